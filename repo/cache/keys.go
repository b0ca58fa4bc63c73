// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// configurations are the directories of the package managers' configuration of repositories.
var configurations = []string{
	"etc/yum.repos.d", "etc/yum/repos.d", "etc/distro.repos.d", "usr/share/dnf5/repos.d", "etc/zypp/repos.d",
}

const (
	maxConfiguration = 1 << 20
	maxKey           = 1 << 20
	maxKeys          = 64 // files with keys of one repository
)

// KeyFiles returns the key files that the configuration names for repositories, by their IDs:
// gpgkey = file:///PATH. A variable in the path stands for any text within a name. Configuration
// that users other than root can write is ignored.
func KeyFiles(root string) map[string][]string {
	found := map[string][]string{}
	top, err := os.Open(root)
	if err != nil {
		return found
	}
	defer top.Close()
	for _, path := range configurations {
		dir, err := descend(top, path)
		if err != nil {
			continue
		}
		entries, _ := dir.ReadDir(maxRepositories)
		r := &Repository{dir: dir, Dir: path}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".repo") {
				if data, err := r.readAll(e.Name(), maxConfiguration); err == nil {
					readKeys(data, found)
				}
			}
		}
		dir.Close()
	}
	return found
}

// readKeys reads the keys of the repositories that one file of configuration has.
func readKeys(data []byte, found map[string][]string) {
	id, inside := "", false
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxConfiguration)
	for lines.Scan() {
		line := lines.Text()
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
			continue
		case trimmed[0] == '[' && strings.HasSuffix(trimmed, "]"):
			id, inside = trimmed[1:len(trimmed)-1], false
			continue
		case line[0] != ' ' && line[0] != '\t': // else the line before goes on
			key, value, is := strings.Cut(trimmed, "=")
			inside = is && strings.TrimSpace(key) == "gpgkey"
			trimmed = value
		}
		if !inside || id == "" {
			continue
		}
		for word := range strings.FieldsFuncSeq(trimmed, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
			path, is := strings.CutPrefix(word, "file://")
			if is && filepath.IsAbs(path) && len(found[id]) < maxKeys && !slices.Contains(found[id], path) {
				found[id] = append(found[id], path)
			}
		}
	}
}

var variable = regexp.MustCompile(`\$\{?[A-Za-z0-9_]+\}?`)

// ReadKeys reads the key files at a path from the configuration. The files, and every directory
// above them, must belong to root. It follows links within the root.
func ReadKeys(root, path string) (data [][]byte, err error) {
	paths := []string{path}
	if variable.MatchString(path) {
		dir, base := filepath.Split(path)
		if variable.MatchString(dir) {
			return nil, errors.New("a variable names a directory of keys")
		}
		// Only the package manager knows the value of a variable, so every matching file is
		// read.
		pattern := variable.ReplaceAllString(base, "*")
		top, err := os.Open(filepath.Join(root, dir))
		if err != nil {
			return nil, err
		}
		names, err := top.Readdirnames(maxRepositories)
		top.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		paths = nil
		for _, name := range names {
			if ok, err := filepath.Match(pattern, name); ok && err == nil && len(paths) < maxKeys {
				paths = append(paths, filepath.Join(dir, name))
			}
		}
	}
	top, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	for _, p := range paths {
		one, rerr := readKey(top, p)
		if rerr != nil {
			err = errors.Join(err, rerr)
			continue
		}
		data = append(data, one)
	}
	return data, err
}

func readKey(top *os.File, path string) ([]byte, error) {
	fd, err := unix.Openat2(int(top.Fd()), strings.TrimLeft(path, "/"),
		&unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := trusted(fd, unix.S_IFREG); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return io.ReadAll(io.LimitReader(f, maxKey))
}
