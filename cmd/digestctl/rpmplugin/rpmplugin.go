// SPDX-License-Identifier: Apache-2.0

// Package rpmplugin checks whether rpm would load a plugin, without loading it.
package rpmplugin

import (
	"debug/elf"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Fits returns the reason why rpm's loader would refuse the plugin in file. The plugin must be
// for this machine, export its table of hooks, and find every library and every function of rpm
// with which it was linked. rpm is the path of that program, plugins the directory from which it
// loads plugins; rpm's libraries may be beside that. The error is nil if rpm is not an ELF
// program, because it is not known what a script would load.
func Fits(rpm, file, plugins string) error {
	plugin, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("cannot read it: %w", err)
	}
	defer plugin.Close()
	program, err := elf.Open(rpm)
	if err != nil {
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
