// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/hooks/wire"
)

var (
	errNotAsked = errors.New("not asked yet")
	errNoBus    = errors.New("digestd is not on D-Bus, by its configuration")
)

// NoBus is an error of Machine.Status: there is no bus to ask on.
type NoBus struct{ Err error }

func (e NoBus) Error() string { return e.Err.Error() }
func (e NoBus) Unwrap() error { return e.Err }

const (
	startIt = "systemctl start digestd"
	logOf   = "journalctl -u digestd -n 30"
)

func lookConfig(_ context.Context, p *patient) {
	if p.confErr != nil {
		p.fail("sudoedit "+shell(p.Config), "%v", p.confErr)
		p.advise("digestd cannot start with it; the running digestd keeps the old configuration")
		return
	}
	dropIns, _ := filepath.Glob(filepath.Join(p.Config+".d", "*.conf"))
	switch _, err := os.Stat(p.Config); {
	case err != nil && len(dropIns) == 0:
		p.ok("there is no %s: defaults apply", p.Config)
	case len(dropIns) == 0:
		p.ok("%s", p.Config)
	default:
		p.ok("%s and %d in %s.d", p.Config, len(dropIns), p.Config)
	}
	for _, place := range []struct{ key, written, used string }{
		{"root", p.written.Root, p.conf.Root}, {"lists", p.written.Lists, p.conf.Lists},
		{"socket", p.written.Socket, p.conf.Socket}, {"state", p.written.State, p.conf.State},
	} {
		if place.written != place.used {
			p.warn("systemctl restart digestd", "the running digestd uses %s = %q, but %s says %q", place.key, place.used, p.Config, place.written)
		}
	}
	if p.conf.Format == "rpm" {
		p.warn("", `format = "rpm": a kernel with the Integrity Digest Cache refuses all files in such lists until its parser module is loaded manually`)
		p.advise(`set format = "tlv" in %s; the kernel reads this format without a module`, p.Config)
	}
}

// systemd reports whether systemd runs the machine.
func (p *patient) systemd() bool {
	_, err := os.Stat(p.at("/run/systemd/system"))
	return err == nil
}

// unit asks systemd about a unit, which knows also of one that is not there.
func unit(ctx context.Context, name string) (map[string]string, error) {
	out, err := output(ctx, "systemctl", "show", name, "--property=LoadState,ActiveState,SubState,UnitFileState,Result,NRestarts,NeedDaemonReload")
	if err != nil {
		return nil, err
	}
	properties := map[string]string{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[key] = value
	}
	return properties, nil
}

// atBoot reports whether a unit is part of the next boot, or needs not be.
func atBoot(u map[string]string) bool {
	state := u["UnitFileState"]
	return strings.HasPrefix(state, "enabled") || state == "static" || state == "linked" || state == "generated" || state == ""
}

func lookService(ctx context.Context, p *patient) {
	if !p.systemd() {
		p.skip("systemd is not the init system of this machine")
		return
	}
	service, err := unit(ctx, "digestd.service")
	if err != nil {
		p.warn("systemctl status digestd", "systemd does not answer: %v", err)
		return
	}
	p.service(service)
	socket, err := unit(ctx, "digestd.socket")
	switch {
	case err != nil, socket["LoadState"] == "not-found":
		// A service alone makes its socket itself.
	case socket["ActiveState"] != "active":
		p.warn("systemctl enable --now digestd.socket", "digestd.socket is %s: package managers do not wait while digestd starts", socket["ActiveState"])
	case !atBoot(socket):
		p.warn("systemctl enable digestd.socket", "digestd.socket is %s: it will not start at the next boot", socket["UnitFileState"])
	}
}

func (p *patient) service(u map[string]string) {
	switch active := u["ActiveState"]; {
	case u["LoadState"] == "not-found":
		p.fail("dnf install digestd", "systemd has no unit digestd.service")
		return
	case u["LoadState"] == "masked":
		p.fail("systemctl unmask digestd && systemctl enable --now digestd", "digestd.service is masked: it cannot start")
		return
	case active == "failed", active == "activating" && u["SubState"] == "auto-restart":
		p.fail(logOf, "digestd.service keeps failing: %s, restarted %s times", u["Result"], u["NRestarts"])
		p.advise("see the last lines of its log, fix the cause, then: systemctl restart digestd")
	case active != "active" && active != "reloading":
		p.fail("systemctl enable --now digestd", "digestd.service is %s", active)
		return
	default:
		p.ok("digestd.service is %s (%s)", active, u["SubState"])
	}
	if !atBoot(u) {
		p.warn("systemctl enable digestd", "digestd.service is %s: it will not start at the next boot", u["UnitFileState"])
	}
	if u["NeedDaemonReload"] == "yes" {
		p.warn("systemctl daemon-reload && systemctl restart digestd", "digestd.service changed since systemd read it")
	}
}

func lookDaemon(_ context.Context, p *patient) {
	st, err := p.status()
	switch {
	case errors.Is(err, errNoBus):
		p.skip(`%v: bus = "none"`, err)
		return
	case errors.As(err, new(NoBus)):
		p.fail("systemctl start dbus", "%v", err)
		return
	case err != nil:
		p.fail(startIt, "%v", err)
		return
	case st.Version != p.Version:
		p.warn("systemctl restart digestd", "digestd %s is running, but %s is installed", st.Version, p.Version)
	default:
		p.ok("digestd %s answers; %d of %d packages are vouched for", st.Version, max(st.Packages-st.Lists.Withheld, 0), st.Packages)
	}
	for _, problem := range st.Problems {
		switch problem.Severity {
		case api.SeverityError:
			p.fail("", "%s", problem.Text)
		case api.SeverityWarning:
			p.warn("", "%s", problem.Text)
		default:
			continue
		}
		p.advise("%s", problem.Advice)
	}
}

// lookSocket speaks to digestd as the plugin does, about packages that it does
// not keep: so nothing is begun.
func lookSocket(ctx context.Context, p *patient) {
	path := p.conf.Socket
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.fail(startIt, "there is no %s: package managers do not reach digestd", path)
		return
	case err != nil:
		p.unseen(err)
		return
	case fi.Mode().Type() != fs.ModeSocket:
		p.fail("mv "+shell(path)+" "+shell(path+".aside")+" && systemctl restart digestd", "%s is not a socket", path)
		return
	}
	if uid, ours := owner(fi); !ours {
		p.fail("systemctl restart digestd", "%s belongs to user %d, who would receive rpm's announcements", path, uid)
		return
	}
	if mode := fi.Mode().Perm(); mode&0o077 != 0 {
		p.warn("chmod 0600 "+shell(path), "%s has mode %04o: other users can connect and block it", path, mode)
	}
	// To connect would have systemd start digestd, and nothing is to be changed.
	if p.systemd() && path == wire.DefaultSocket {
		service, err := unit(ctx, "digestd.service")
		if state := service["ActiveState"]; err == nil && service["LoadState"] == "loaded" && (state == "inactive" || state == "failed") {
			p.skip("digestd.service is %s; systemd starts it on a connection to %s", state, path)
			return
		}
	}
	c, err := wire.Dial(ctx, path)
	if err != nil {
		switch {
		case errors.Is(err, fs.ErrPermission):
			p.unseen(err)
		case errors.Is(err, syscall.ECONNREFUSED):
			p.fail(startIt, "no process listens at %s", path)
		default:
			p.fail("systemctl restart digestd", "%s: %v", path, err)
		}
		return
	}
	defer c.Close()
	// Well before the check itself must end.
	ctx, cancel := context.WithTimeout(ctx, p.Patience/2)
	defer cancel()
	const nowhere = 1<<64 - 1 // no root has this device and inode
	_, err = c.Begin(ctx, &wire.Begin{Plugin: "digestctl doctor", Root: "/", RootDev: nowhere, RootIno: nowhere, Flags: wire.FlagTest})
	var slow net.Error
	switch {
	case err == nil:
		p.ok("%s answers, protocol %d", path, wire.Version)
	case errors.As(err, &slow) && slow.Timeout(), ctx.Err() != nil:
		p.fail("systemctl restart digestd", "the process that listens at %s does not answer", path)
		p.advise("first see its log: journalctl -u digestd")
	default:
		p.fail("systemctl restart digestd", "%s: %v", path, err)
	}
}

// unseen says that the caller may not look.
func (p *patient) unseen(err error) {
	if errors.Is(err, fs.ErrPermission) && !p.Root {
		p.skip("only root may connect: %v", err)
		return
	}
	p.fail("", "%v", err)
}

// owner reports who a file belongs to, and whether that is root or who looks.
func owner(fi fs.FileInfo) (uid uint32, ours bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, st.Uid == 0 || st.Uid == uint32(os.Geteuid())
}

// shell quotes a word for a shell, if it must be.
func shell(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("/._-+:=@%,", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return word
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(word, "'", `'\''`))
}
