// SPDX-License-Identifier: Apache-2.0

// Package preflight finds the files that the guard would refuse, before it is told to enforce:
// those that run now, and those that an owner needs to get back into the machine. It also
// looks for what the guard needs of the kernel.
//
// It promises to look at regular files only, never to wait for one, and to report files that
// it could not read. It cannot know of programs that do not run now and are not among
// those that every machine needs: mode audit shows these.
package preflight

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
)

// Finding is a file that would be refused, or of which that is not known.
type Finding struct {
	Path   string `json:"path"`
	Digest string `json:"digest,omitempty"` // SHA-256 in hexadecimal
	Why    string `json:"why"`              // why it matters: "runs as sshd (PID 812)", "rpm needs it"
	Users  bool   `json:"users,omitempty"`  // only processes of others than root run it
	Error  string `json:"error,omitempty"`  // why its content could not be looked at
	Text   string `json:"text,omitempty"`   // what lists say of the content, where somebody asked
	Advice string `json:"advice,omitempty"` // what to do, the same
}

// Report is what was found.
type Report struct {
	Conditions []Condition `json:"conditions"` // what the guard needs of the machine
	Looked     int         `json:"looked"`     // how many files were looked at
	Findings   []Finding   `json:"findings"`
}

// Passed reports whether nothing speaks against mode enforce.
func (r Report) Passed() bool {
	return len(r.Findings) == 0 && !slices.ContainsFunc(r.Conditions, func(c Condition) bool { return !c.OK })
}

// Needed returns the findings without which the machine may not be usable: all but what only
// processes of others than root run. These must not decide whether a machine enforces.
func (r Report) Needed() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Users })
}

// essential are programs without which a machine cannot be used or mended, by the names
// that releases have for them. Those that are not there are not needed.
var essential = []string{
	"/sbin/init", "/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd-executor", "/usr/lib/systemd/systemd-shutdown", "/usr/bin/systemctl",
	"/usr/sbin/digestd", "/usr/sbin/digestd-guard", "/usr/bin/digestctl", "/usr/libexec/digestd/digestd-hook",
	"/usr/lib/systemd/systemd-sulogin-shell", "/usr/lib/systemd/systemd-logind", "/usr/bin/journalctl",
	"/usr/bin/rpm", "/usr/bin/dnf", "/usr/bin/dnf-3", "/usr/bin/dnf5", "/usr/bin/microdnf", "/usr/bin/yum", "/usr/bin/zypper",
	"/usr/bin/python3", "/usr/libexec/platform-python",
	"/usr/sbin/agetty", "/sbin/agetty", "/usr/bin/login", "/bin/login", "/usr/sbin/sulogin", "/sbin/sulogin", "/usr/sbin/unix_chkpwd",
	"/usr/sbin/sshd", "/usr/lib/openssh/sshd-session", "/usr/libexec/openssh/sshd-session", "/usr/libexec/openssh/sshd-auth",
	"/usr/bin/bash", "/usr/bin/sh", "/bin/sh", "/usr/bin/su", "/usr/bin/sudo", "/usr/bin/mount", "/bin/mount", "/usr/bin/kmod",
}

// loaded are libraries that these programs load when they need them, which no program names
// in its file: the modules of logins and of name services, the plugins of rpm and dnf.
var loaded = []string{
	"*/security/pam_*.so", "*/libnss_*.so.2", "*/rpm-plugins/*.so", "*/libdnf5/plugins/*.so", "*/libdnf/plugins/*.so",
	"*/python3*/lib-dynload/*.so", "*/python3*/site-packages/rpm/*.so", "*/python3*/site-packages/libdnf/*.so",
	"*/python3*/site-packages/hawkey/*.so", "*/python3*/site-packages/libcomps/*.so", "*/python3*/site-packages/dnf-plugins/*.so",
}

// libraryDirs are where programs find what they are linked with.
var libraryDirs = []string{
	"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/lib/systemd", "/usr/lib64/systemd",
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/systemd",
	"/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu/systemd",
}

// most bounds how many files are looked at; a machine has a few hundred.
const most = 20_000

// Machine is what to look at.
type Machine struct {
	Top    string // where /proc and /sys lie, for Conditions; "" is /
	Proc   string // where processes are; "/proc"
	Shells string // a file that names the shells of users; "/etc/shells"
	// Listed says of each digest whether the guard lets contents with it run.
	Listed func(context.Context, []guard.Digest) ([]bool, error)
}

// Examine looks at all of it.
func (m Machine) Examine(ctx context.Context) (Report, error) {
	why := map[string]reason{}
	note := func(path string, new reason) {
		if old, ok := why[path]; !ok && len(why) < most || ok && old.users && !new.users {
			why[path] = new
		}
	}
	add := func(path, text string) { note(path, reason{text: text}) }
	if err := m.running(note); err != nil {
		return Report{}, err
	}
	shells, err := m.shells()
	if err != nil {
		return Report{}, err
	}
	for _, path := range slices.Concat(essential, shells) {
		if _, err := os.Stat(path); err == nil {
			add(path, "every machine needs it")
			needs(path, add)
		}
	}
	for _, path := range modules() {
		add(path, "logins or package managers load it")
		needs(path, add)
	}
	r := Report{Conditions: []Condition{}, Findings: []Finding{}}
	var files []Finding
	var digests []guard.Digest
	for _, path := range slices.Sorted(mapsKeys(why)) {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		d, err := hash(path)
		f := Finding{Path: path, Why: why[path].text, Users: why[path].users}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // gone since, and so no more to be run
		case err != nil:
			f.Error = err.Error()
			r.Findings = append(r.Findings, f)
		default:
			f.Digest = hex.EncodeToString(d[:])
			files, digests = append(files, f), append(digests, d)
		}
		r.Looked++
	}
	listed, err := m.Listed(ctx, digests)
	if err != nil {
		return Report{}, err
	}
	if len(listed) != len(files) {
		return Report{}, fmt.Errorf("%d answers to %d digests", len(listed), len(files))
	}
	for i, ok := range listed {
		if !ok {
			r.Findings = append(r.Findings, files[i])
		}
	}
	slices.SortFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(a.Path, b.Path) })
	return r, nil
}

func mapsKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// reason is why a file is looked at.
type reason struct {
	text  string
	users bool // only others than root run it
}

// running notes the files of which processes have mapped code. Those in containers
// have files of their own, for which exemptions are.
func (m Machine) running(note func(path string, why reason)) error {
	entries, err := os.ReadDir(m.Proc)
	if err != nil {
		return fmt.Errorf("cannot list processes: %w", err)
	}
	own, err := os.Readlink(filepath.Join(m.Proc, "self/ns/mnt"))
	if err != nil {
		return fmt.Errorf("cannot tell which mounts are the host's: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(m.Proc, e.Name())
		if ns, err := os.Readlink(filepath.Join(dir, "ns/mnt")); err != nil || ns != own {
			// Units with PrivateMounts= have another: their files are the host's all the same.
			if root, err := os.Readlink(filepath.Join(dir, "root")); err != nil || root != "/" {
				continue
			}
		}
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue // it has ended
		}
		f, err := os.Open(filepath.Join(dir, "maps"))
		if err != nil {
			continue
		}
		users := ofUsers(dir)
		for path := range code(f) {
			note(path, reason{fmt.Sprintf("runs as %s (PID %d)", strings.TrimSpace(string(comm)), pid), users})
		}
		f.Close()
	}
	return nil
}

// ofUsers reports whether a process, whose directory in /proc this is, acts for another user than
// root. The directory's owner alone is always that user: files in it become root's where a process
// is not to be traced.
func ofUsers(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid != 0
}

// code goes through the files of which a process has mapped code, by its
// /proc/PID/maps. A file that was removed since is not among them.
func code(maps io.Reader) func(func(string) bool) {
	return func(yield func(string) bool) {
		lines := bufio.NewScanner(maps)
		for lines.Scan() {
			// address perms offset dev inode path, which may have spaces
			fields := strings.Fields(lines.Text())
			if len(fields) < 6 || len(fields[1]) != 4 || fields[1][2] != 'x' {
				continue
			}
			i := strings.Index(lines.Text(), "/")
			if i < 0 || strings.HasSuffix(lines.Text(), " (deleted)") || fields[5][0] != '/' {
				continue
			}
			if !yield(lines.Text()[i:]) {
				return
			}
		}
	}
}

// modules finds what is loaded.
func modules() (files []string) {
	seen := map[string]bool{}
	for _, dir := range libraryDirs {
		for _, pattern := range loaded {
			found, _ := filepath.Glob(dir + strings.TrimPrefix(pattern, "*"))
			for _, path := range found {
				real, err := filepath.EvalSymlinks(path)
				if err == nil && !seen[real] && len(files) < most/4 {
					seen[real] = true
					files = append(files, path)
				}
			}
		}
	}
	return files
}

func (m Machine) shells() ([]string, error) {
	data, err := os.ReadFile(m.Shells)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read which shells users have: %w", err)
	}
	var shells []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
			shells = append(shells, line)
		}
	}
	return shells, nil
}

// needs adds the libraries of a program, and theirs. A file that cannot be parsed adds
// nothing: it is a script, or its own hash says enough.
func needs(path string, add func(path, why string)) {
	seen := map[string]bool{path: true}
	for todo := []string{path}; len(todo) > 0 && len(seen) < 1000; todo = todo[1:] {
		for _, file := range linked(todo[0]) {
			if !seen[file] {
				seen[file] = true
				add(file, filepath.Base(path)+" needs it")
				todo = append(todo, file)
			}
		}
	}
}

// linked returns the files of an ELF file's interpreter and libraries, where they are
// found.
func linked(path string) (files []string) {
	raw, err := open(path)
	if err != nil {
		return nil
	}
	defer raw.Close()
	f, err := elf.NewFile(raw)
	if err != nil {
		return nil
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			name := make([]byte, p.Filesz)
			if _, err := p.ReadAt(name, 0); err == nil {
				files = append(files, strings.TrimRight(string(name), "\x00"))
			}
		}
	}
	names, err := f.ImportedLibraries()
	if err != nil {
		return files
	}
	for _, name := range names {
		for _, dir := range libraryDirs {
			if file := filepath.Join(dir, name); !strings.Contains(name, "/") {
				if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
					files = append(files, file)
					break
				}
			}
		}
	}
	return files
}

// open opens a regular file without waiting for anybody.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// hash returns the SHA-256 of a file's content.
func hash(path string) (guard.Digest, error) {
	f, err := open(path)
	if err != nil {
		return guard.Digest{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return guard.Digest{}, err
	}
	return guard.Digest(h.Sum(nil)), nil
}
