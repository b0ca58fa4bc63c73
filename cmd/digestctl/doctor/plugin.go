// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/rpmplugin"
	"github.com/digestd/digestd/hooks/wire"
)

const reinstallPlugin = "dnf reinstall rpm-plugin-digestd"

// lookPlugin follows rpm: macro, file, whether it can be loaded, and to whom it
// would speak. Loading it is left to rpm.
func lookPlugin(ctx context.Context, p *patient) {
	rpm, err := exec.LookPath("rpm")
	if err != nil {
		p.skip("there is no rpm on this machine: digestd watches the database itself")
		return
	}
	out, err := output(ctx, rpm, "--version")
	if err != nil {
		p.fail("rpm --version", "cannot run rpm: %v", err)
		return
	}
	version := strings.TrimPrefix(strings.TrimSpace(out), "RPM version ")
	// Tabs, for none of them holds one.
	out, err = output(ctx, rpm, "-E", "%{?__transaction_digestd}\t%{__plugindir}\t%{_rpmmacrodir}\t%{?_digestd_on_unreachable}")
	macros := strings.Split(strings.TrimSuffix(out, "\n"), "\t")
	if err != nil || len(macros) != 4 {
		p.fail("rpm -E '%__transaction_digestd'", "rpm %s cannot expand its macros: %v", version, err)
		return
	}
	value, plugins, macroDir, unreachable := macros[0], macros[1], macros[2], macros[3]
	file, options, _ := strings.Cut(strings.TrimSpace(value), " ")
	if file == "" {
		what := "%__transaction_digestd is not set"
		fix := "dnf install rpm-plugin-digestd"
		if _, err := os.Stat(filepath.Join(macroDir, "macros.transaction_digestd")); err == nil {
			what += " though " + macroDir + "/macros.transaction_digestd exists, but another macro file overrides it"
			fix = "grep -rs transaction_digestd /etc/rpm " + shell(macroDir) + " ~/.rpmmacros"
		}
		p.fail(fix, "rpm %s does not load the plugin: %s", version, what)
		p.advise("until then digestd sees packages only afterwards, in rpm's database, and refuses none")
		return
	}
	// rpm matches its macros with what is in the directory of plugins, and says
	// nothing of one that is missing.
	if _, err := os.Stat(filepath.Join(plugins, filepath.Base(file))); err != nil {
		p.fail(reinstallPlugin, "rpm %s looks for %s, which does not exist: rpm continues without it and reports nothing", version, filepath.Join(plugins, filepath.Base(file)))
		return
	}
	if err := rpmplugin.Fits(rpm, file, plugins); err != nil {
		p.fail(reinstallPlugin, "rpm %s cannot load %s: %v", version, file, err)
		p.advise("rpm refuses every package until then; to continue immediately: rpm --noplugins")
		return
	}
	p.ok("rpm %s loads %s; when digestd is unreachable it would %s", version, file, cmp.Or(unreachable, "proceed"))
	socket := wire.DefaultSocket
	for _, option := range strings.Fields(options) {
		if s, ok := strings.CutPrefix(option, "socket="); ok {
			socket = s
		}
	}
	if socket != p.conf.Socket {
		p.fail("rpm -E '%__transaction_digestd'", "the plugin connects to %s, but digestd listens at %s", socket, p.conf.Socket)
		p.advise("give socket= of the macro and socket in %s the same value", p.Config)
	}
}

// managers are package managers, and where their plugins lie; each is a pattern.
var managers = []struct{ program, pattern, install, without string }{
	{"dnf-3", "/usr/lib/python3*/*-packages/dnf-plugins/digestd.py", "dnf install python3-dnf-plugin-digestd", "rpm refuses packages only after the download"},
	{"dnf5", "/etc/dnf/libdnf5-plugins/actions.d/digestd.actions", "dnf install digestd-dnf5", "rpm refuses packages only after the download"},
	{"zypper", "/usr/lib/zypp/plugins/commit/digestd", "zypper install digestd-zypp", "rpm refuses packages only when others are installed"},
}

// lookDNF is about comfort: without these rpm's plugin refuses the same, only
// later.
func lookDNF(_ context.Context, p *patient) {
	found := false
	for _, d := range managers {
		program, err := exec.LookPath(d.program)
		if err != nil {
			continue
		}
		found = true
		if files, _ := filepath.Glob(p.at(d.pattern)); len(files) > 0 {
			p.ok("%s loads %s", program, files[0])
			continue
		}
		p.warn(d.install, "%s does not load digestd's plugin: %s", program, d.without)
	}
	if !found {
		p.skip("there is neither dnf nor zypper on this machine")
	}
}

// isMissing reports whether an error says that something is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
