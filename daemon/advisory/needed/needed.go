// SPDX-License-Identifier: Apache-2.0

// Package needed finds the files without which a machine does not start, nobody can log in, or
// nothing can be updated: the programs for that, the libraries that they link, the files that
// running programs have loaded, and those of the running kernel.
//
// In doubt it names a file.
package needed

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Files are the needed files.
type Files struct {
	exact    map[string]string // why, by path without /usr
	prefixes []prefix
}

type prefix struct{ path, why string }

// key makes one of the two names that a file has where /lib is a link to /usr/lib.
func key(path string) string {
	if rest, is := strings.CutPrefix(path, "/usr"); is && strings.HasPrefix(rest, "/") {
		return rest
	}
	return path
}

// Why returns the reason why a file is needed, "" if it is not.
func (f *Files) Why(path string) string {
	k := key(path)
	if why := f.exact[k]; why != "" {
		return why
	}
	for _, p := range f.prefixes {
		if strings.HasPrefix(k, p.path) {
			return p.why
		}
	}
	return ""
}

// Len returns the number of files that are known one by one.
func (f *Files) Len() int { return len(f.exact) }

// running are processes whose programs, and all that these have loaded, are needed.
var running = []string{"systemd", "init", "sshd", "agetty", "getty", "login", "dbus-daemon", "dbus-broker", "polkitd", "digestd", "NetworkManager"}

// programs are needed whether or not they run.
var programs = []string{
	"usr/lib/systemd/systemd", "sbin/init", "usr/sbin/agetty", "usr/bin/login", "usr/sbin/sshd", "usr/libexec/openssh/sshd-session", "usr/lib/openssh/sshd-session",
	"usr/bin/sh", "usr/bin/bash", "usr/bin/su", "usr/bin/sudo", "usr/bin/mount", "usr/bin/rpm", "usr/bin/rpmkeys", "usr/bin/dnf", "usr/bin/dnf5", "usr/bin/zypper",
	"usr/bin/microdnf", "usr/bin/digestctl", "usr/sbin/digestd", "usr/bin/digestd", "usr/libexec/digestd-hook", "usr/libexec/digestd/digestd-guard", "usr/bin/gpg", "usr/bin/gpgv", "usr/bin/curl",
}

// plugins are directories and names of what the programs load by themselves.
var plugins = []string{
	"rpm-plugins/*.so", "security/pam_*.so", "libnss_*.so*", "libdnf5/plugins/*.so", "libdnf/plugins/*.so", "ossl-modules/*.so", "engines-3/*.so",
}

// libraries are where the loader looks, besides what /etc/ld.so.conf.d says.
var libraries = []string{"usr/lib64", "usr/lib", "lib64", "lib"}

// Find finds the needed files below root. It looks at processes only if root is the root of
// this machine.
func Find(root string) *Files {
	f := &finder{root: root, Files: Files{exact: map[string]string{}}, seen: map[string]bool{}}
	f.dirs = f.libraryDirs()
	for _, p := range programs {
		f.program(filepath.Join("/", p), p[strings.LastIndexByte(p, '/')+1:]+" is needed to start, log in or update")
	}
	for _, dir := range f.dirs {
		for _, pattern := range plugins {
			found, _ := filepath.Glob(filepath.Join(root, dir, pattern))
			for _, path := range found {
				f.program(f.inside(path), "a program that is needed loads it")
			}
		}
	}
	if filepath.Clean(root) == "/" {
		f.processes()
		f.kernel()
	}
	return &f.Files
}

type finder struct {
	Files
	root string
	dirs []string // of libraries
	seen map[string]bool
}

func (f *finder) inside(path string) string {
	return filepath.Join("/", strings.TrimPrefix(path, strings.TrimSuffix(filepath.Clean(f.root), "/")))
}

// libraryDirs are the directories that the loader looks into.
func (f *finder) libraryDirs() []string {
	dirs := slices.Clone(libraries)
	multiarch, _ := filepath.Glob(filepath.Join(f.root, "usr/lib/*-linux-gnu*"))
	for _, dir := range multiarch {
		dirs = append(dirs, strings.TrimPrefix(f.inside(dir), "/"))
	}
	files, _ := filepath.Glob(filepath.Join(f.root, "etc/ld.so.conf.d/*.conf"))
	for _, file := range append(files, filepath.Join(f.root, "etc/ld.so.conf")) {
		data, _ := os.ReadFile(file)
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); filepath.IsAbs(line) {
				dirs = append(dirs, strings.TrimPrefix(filepath.Clean(line), "/"))
			}
		}
	}
	return dirs
}

// add enters a path and, where it is a link, what that leads to. It returns the last.
func (f *finder) add(path, why string) (real string) {
	const most = 16
	for range most {
		k := key(path)
		f.exact[k] = cmp.Or(f.exact[k], why)
		target, err := os.Readlink(filepath.Join(f.root, path))
		if err != nil {
			return path
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = filepath.Clean(target)
	}
	return path
}

// program enters a program or library with all that it links.
func (f *finder) program(path, why string) {
	full := filepath.Join(f.root, path)
	if _, err := os.Lstat(full); err != nil {
		return
	}
	real := f.add(path, why)
	if f.seen[real] {
		return
	}
	f.seen[real] = true
	file, err := os.Open(filepath.Join(f.root, real))
	if err != nil {
		return
	}
	defer file.Close()
	name := filepath.Base(real)
	object, err := elf.NewFile(file)
	if err != nil {
		f.script(file, name, why)
		return
	}
	for _, p := range object.Progs {
		const most = 4096
		if p.Type == elf.PT_INTERP && p.Filesz < most {
			if data := make([]byte, p.Filesz); len(data) > 0 {
				if _, err := p.ReadAt(data, 0); err == nil {
					f.program(string(bytes.TrimRight(data, "\x00")), "it loads "+name+", and "+why)
				}
			}
		}
	}
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		paths, _ := object.DynString(tag)
		for _, p := range paths {
			for dir := range strings.SplitSeq(p, ":") {
				dir = strings.NewReplacer("$ORIGIN", filepath.Dir(real), "${ORIGIN}", filepath.Dir(real)).Replace(dir)
				dirs = append(dirs, strings.TrimPrefix(filepath.Clean(dir), "/"))
			}
		}
	}
	imported, _ := object.ImportedLibraries()
	for _, library := range append(imported, named(object)...) {
		for _, dir := range slices.Concat(dirs, f.dirs) {
			// Wherever it is: which of them is loaded is the loader's to know.
			f.program(filepath.Join("/", dir, filepath.Base(library)), chain(name, why))
		}
	}
}

// named are the libraries that an object names in its constants or notes: it may load them
// when it first needs them, as systemd does.
func named(object *elf.File) (libraries []string) {
	const most = 32 << 20
	for _, s := range object.Sections {
		if s.Name != ".rodata" && !strings.HasPrefix(s.Name, ".note.dlopen") || s.Size > most {
			continue
		}
		data, err := s.Data()
		if err != nil {
			continue
		}
		for rest := data; ; {
			i := bytes.Index(rest, []byte(".so"))
			if i < 0 {
				break
			}
			from := i
			for from > 0 && strings.IndexByte(libraryBytes, rest[from-1]) >= 0 {
				from--
			}
			end := i + len(".so")
			for end < len(rest) && (rest[end] == '.' || rest[end] >= '0' && rest[end] <= '9') {
				end++
			}
			if name := string(rest[from:end]); strings.HasPrefix(name, "lib") && !slices.Contains(libraries, name) {
				libraries = append(libraries, name)
			}
			rest = rest[end:]
		}
	}
	return libraries
}

// libraryBytes are those of names of libraries.
const libraryBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-."

// chain says that a program links something. It names the program alone.
func chain(name, why string) string {
	if strings.HasPrefix(why, "linked by ") {
		return why
	}
	return "linked by " + name + ", which " + strings.TrimPrefix(why, name+" ")
}

// script enters what interprets a script. A script in Python needs the files of Python.
func (f *finder) script(file *os.File, name, why string) {
	line, err := bufio.NewReaderSize(file, 256).ReadSlice('\n')
	words := strings.Fields(strings.TrimPrefix(string(line), "#!"))
	if err != nil || !strings.HasPrefix(string(line), "#!") || len(words) == 0 {
		return
	}
	f.program(words[0], chain(name, why))
	if strings.Contains(string(line), "python") {
		for _, dir := range []string{"/lib/python3", "/lib64/python3"} {
			f.prefixes = append(f.prefixes, prefix{dir, name + " is written in Python, and " + why})
		}
	}
}

// processes enters what programs that run have loaded.
func (f *finder) processes() {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		exe, err := os.Readlink("/proc/" + e.Name() + "/exe")
		if err != nil {
			continue
		}
		name := filepath.Base(strings.TrimSuffix(exe, " (deleted)"))
		if pid != 1 && pid != os.Getpid() && !slices.ContainsFunc(running, func(r string) bool { return name == r || strings.HasPrefix(name, r+"-") }) {
			continue
		}
		data, _ := os.ReadFile("/proc/" + e.Name() + "/maps")
		for line := range strings.Lines(string(data)) {
			if i := strings.IndexByte(line, '/'); i > 0 {
				f.add(strings.TrimSuffix(strings.TrimSpace(line[i:]), " (deleted)"), name+" has loaded it, process "+e.Name())
			}
		}
	}
}

// kernel enters what belongs to the kernel that runs.
func (f *finder) kernel() {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return
	}
	release := unix.ByteSliceToString(u.Release[:])
	for _, path := range []string{"/lib/modules/" + release + "/", "/boot/vmlinuz-" + release, "/boot/config-" + release, "/boot/System.map-" + release, "/boot/initr"} {
		f.prefixes = append(f.prefixes, prefix{path, "the kernel that runs needs it"})
	}
}
