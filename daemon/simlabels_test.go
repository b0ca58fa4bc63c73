// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// A machine on disk has the files of its packages, and labels on them, if the file system
// keeps such.

// labelsKept reports whether files in a directory can have labels.
func labelsKept(dir string) bool {
	probe := filepath.Join(dir, "probe")
	defer os.Remove(probe)
	return os.WriteFile(probe, nil, 0o600) == nil && unix.Setxattr(probe, kernel.LabelName, []byte("probe"), 0) == nil
}

func (m *simMachine) fileOf(p sim.Package, content int) string {
	return filepath.Join(m.config.Root, "opt", p.Name, strconv.Itoa(content))
}

// unpack makes the files of what is installed the only ones.
func (m *simMachine) unpack() error {
	if !m.config.Labels {
		return nil
	}
	in, _ := m.db.has()
	wanted := map[string]string{}
	for _, p := range in {
		for _, c := range p.Contents {
			wanted[m.fileOf(p, c)] = "content " + strconv.Itoa(c)
		}
	}
	there, err := filepath.Glob(filepath.Join(m.config.Root, "opt", "*", "*"))
	for _, path := range there {
		if _, stays := wanted[path]; !stays {
			err = errors.Join(err, os.Remove(path))
		}
		delete(wanted, path)
	}
	for path, text := range wanted {
		err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	return err
}

// label does what rpm's plugin does: it binds the files of a package to its list.
func (m *simMachine) label(p sim.Package, list string) (err error) {
	if !m.config.Labels || list == "" {
		return nil
	}
	for _, c := range p.Contents {
		err = errors.Join(err, unix.Setxattr(m.fileOf(p, c), kernel.LabelName, []byte(list), 0))
	}
	return err
}

// bound names a file that is bound to something that does not vouch for it, though
// another list does: no kernel would let it run. "" if there is none.
func (m *simMachine) bound() string {
	if !m.config.Labels {
		return ""
	}
	lists := map[string]simList{}
	for name, data := range m.lists.All() {
		lists[name] = m.list(name, data)
	}
	in, _ := m.db.has()
	for _, p := range in {
		own := lists[m.file(p)]
		for _, c := range p.Contents {
			if !slices.Contains(own.contents, c) {
				continue
			}
			label := make([]byte, 256)
			n, err := unix.Getxattr(m.fileOf(p, c), kernel.LabelName, label)
			if errors.Is(err, unix.ENODATA) || errors.Is(err, fs.ErrNotExist) {
				continue // the kernel looks into every list
			}
			if name := string(label[:max(n, 0)]); err != nil || !slices.Contains(lists[name].contents, c) {
				return fmt.Sprintf("%s/%d, bound to %s (%v)", p.Name, c, digestlist.WithoutSequence(name), err)
			}
		}
	}
	return ""
}
