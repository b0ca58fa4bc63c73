// SPDX-License-Identifier: Apache-2.0

package own

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"path"
	"path/filepath"

	"github.com/digestd/digestd/cmd/digestctl/scan"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/digestlist/imalog"
	"github.com/digestd/digestd/kernel"
)

// maxPathList bounds the paths that are read from standard input, in bytes.
const maxPathList = 512 << 20

// inputs are the files that a command line names, as paths of this machine.
type inputs struct {
	chroot   string // no path leads out of it, "" for this machine
	trees    []scan.Tree
	listed   []string // single files
	expected map[string]scan.Expectation
	real     map[string]string // directories, and their real paths
}

// read takes in the arguments of a command line, and what its flags name besides.
func (in *inputs) read(args []string, o options, stdin io.Reader) (err error) {
	if o.chroot != "" {
		if in.chroot, err = filepath.Abs(o.chroot); err != nil {
			return err
		}
		if in.chroot, err = filepath.EvalSymlinks(in.chroot); err != nil {
			return fmt.Errorf("cannot use --root: %w", err)
		}
	}
	for _, arg := range args {
		switch {
		case arg == "-":
			paths, err := readPaths(stdin, o.null)
			if err != nil {
				return err
			}
			for _, p := range paths {
				if p, err = in.file(p); err != nil {
					return err
				}
				in.listed = append(in.listed, p)
			}
		case in.chroot != "":
			in.trees = append(in.trees, scan.Tree{Path: arg, Chroot: in.chroot})
		default:
			path, err := userfile.Absolute(arg)
			if err != nil {
				return err
			}
			in.trees = append(in.trees, scan.Tree{Path: path})
		}
	}
	if o.imaLog != "" {
		return in.readLog(o.imaLog)
	}
	return nil
}

// file makes the path of a single file one of this machine, without links in its
// directories.
func (in *inputs) file(path string) (_ string, err error) {
	if in.chroot != "" {
		path = filepath.Join(in.chroot, filepath.Join("/", path))
	} else if path, err = userfile.Absolute(path); err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	real, known := in.real[dir]
	if !known {
		if real, err = realDir(in.chroot, dir); err != nil {
			real = dir // opening the file then reports the error
		}
		if in.real == nil {
			in.real = map[string]string{}
		}
		in.real[dir] = real
	}
	return filepath.Join(real, filepath.Base(path)), nil
}

// realDir follows the links in a directory. An absolute link inside of chroot leads to
// a place inside of it, as for a process that runs there, and not to one of this machine.
func realDir(chroot, dir string) (string, error) {
	if chroot == "" {
		return filepath.EvalSymlinks(dir)
	}
	root, err := kernel.OpenRoot(chroot)
	if err != nil {
		return "", err
	}
	defer root.Close()
	inside, err := root.Inside(dir)
	if err == nil {
		inside, err = root.RealDir(inside)
	}
	return filepath.Join(chroot, inside), err
}

// readPaths reads paths that end with a NUL or a line.
func readPaths(in io.Reader, null bool) ([]string, error) {
	data, err := io.ReadAll(io.LimitReader(bufio.NewReader(in), maxPathList+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read paths: %w", err)
	}
	if len(data) > maxPathList {
		return nil, fmt.Errorf("cannot read paths: there are more than %d bytes", maxPathList)
	}
	end := []byte("\n")
	if null {
		end = []byte{0}
	}
	var paths []string
	for part := range bytes.SplitSeq(data, end) {
		if len(part) > 0 {
			paths = append(paths, string(part))
		}
	}
	return paths, nil
}

// readLog takes the files of a measurement list in, with the digest that each had
// when it was measured last.
func (in *inputs) readLog(file string) error {
	in.expected = map[string]scan.Expectation{}
	return userfile.EachMeasured(file, func(e imalog.Entry) error {
		if e.Path == "" || e.Path[0] != '/' {
			return nil // the entry is not about a file: keys, buffers, boot_aggregate
		}
		file, err := in.file(path.Clean(e.Path))
		if err != nil {
			return err
		}
		if _, again := in.expected[file]; !again {
			in.listed = append(in.listed, file)
		}
		in.expected[file] = scan.Expectation{Algo: e.Algo, Digest: append([]byte(nil), e.Digest...)}
		return nil
	})
}
