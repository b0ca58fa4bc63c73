// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

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
	if err := fits(rpm, file, plugins); err != nil {
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

// fits says why rpm's loader would refuse the plugin, which carries no version:
// it must be for this machine, export its table of hooks, and find every library
// and every function of rpm's that it was linked with.
func fits(rpm, file, plugins string) error {
	plugin, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("cannot read it: %w", err)
	}
	defer plugin.Close()
	program, err := elf.Open(rpm)
	if err != nil {
		// A script in front of it: what it would load is not to be known.
		return nil
	}
	defer program.Close()
	if plugin.Machine != program.Machine || plugin.Class != program.Class {
		return fmt.Errorf("it is for %v, rpm for %v", plugin.Machine, program.Machine)
	}
	symbols, err := plugin.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("cannot read its symbols: %w", err)
	}
	table := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)) + "_hooks"
	if !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == table && s.Section != elf.SHN_UNDEF }) {
		return fmt.Errorf("it has no %s", table)
	}
	has, err := program.ImportedLibraries()
	if err != nil {
		return nil
	}
	wants, err := plugin.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("cannot read its libraries: %w", err)
	}
	for _, lib := range wants {
		stem, _, _ := strings.Cut(lib, ".so")
		if !strings.HasPrefix(lib, "librpm") || slices.Contains(has, lib) {
			continue
		}
		if i := slices.IndexFunc(has, func(h string) bool { return strings.HasPrefix(h, stem+".so") }); i >= 0 {
			return fmt.Errorf("it was built for another rpm: it needs %s, rpm has %s", lib, has[i])
		}
	}
	if lacking := unresolved(symbols, has, filepath.Dir(plugins)); lacking != "" {
		return fmt.Errorf("it was built for another rpm: it needs %s", lacking)
	}
	return nil
}

// unresolved names a function that the plugin wants of rpm's libraries and that
// they do not have, "" for none or where they are not to be found.
func unresolved(symbols []elf.Symbol, libraries []string, beside string) string {
	exported := map[string]bool{}
	for _, lib := range libraries {
		if !strings.HasPrefix(lib, "librpm") {
			continue
		}
		if !exports(lib, beside, exported) {
			return ""
		}
	}
	for _, s := range symbols {
		// Functions of libc carry versions, rpm's do not.
		ofRPM := s.Section == elf.SHN_UNDEF && elf.ST_BIND(s.Info) == elf.STB_GLOBAL && s.Library == "" && s.Version == ""
		if ofRPM && len(exported) > 0 && !exported[s.Name] {
			return s.Name
		}
	}
	return ""
}

// exports adds what a library exports, and reports whether it was found where
// loaders look.
func exports(lib, beside string, exported map[string]bool) bool {
	dirs := []string{beside, "/usr/lib64", "/lib64", "/usr/lib", "/lib"}
	more, _ := filepath.Glob("/usr/lib/*-linux-gnu*")
	for _, dir := range append(dirs, more...) {
		f, err := elf.Open(filepath.Join(dir, lib))
		if err != nil {
			continue
		}
		symbols, err := f.DynamicSymbols()
		f.Close()
		if err != nil {
			return false
		}
		for _, s := range symbols {
			if s.Section != elf.SHN_UNDEF {
				exported[s.Name] = true
			}
		}
		return true
	}
	return false
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
