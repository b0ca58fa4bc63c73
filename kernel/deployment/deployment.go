// SPDX-License-Identifier: Apache-2.0

// Package deployment finds out which of several installed systems a machine is running: the
// deployment of ostree (rpm-ostree, bootc), or the btrfs subvolume at the root, which snapper
// and transactional-update replace.
//
// It reads only what the kernel reports about the root that it mounted. It ignores markers such
// as /run/ostree-booted and boot loader entries, because programs write them.
package deployment

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The kinds of deployments.
const (
	OSTree    = "ostree"    // a deployment of ostree, also under composefs
	Composefs = "composefs" // an image that bootc mounts with composefs alone
	Btrfs     = "btrfs"     // a subvolume
)

// Deployment identifies an installed system that can be booted. The zero value stands for a
// machine that has only one, or one of an unknown kind.
type Deployment struct {
	Kind string
	ID   string // unique among deployments of a kind
	Name string // for people
}

// maxLine and maxTable bound the part of the mount table that is read, in bytes.
const (
	maxLine  = 64 << 10
	maxTable = 16 << 20
)

// Booted returns the deployment that the machine is running. proc is the mount point of procfs.
func Booted(proc string) (Deployment, error) {
	f, err := open(proc)
	if err != nil {
		return Deployment{}, fmt.Errorf("cannot read which deployment was booted: %w", err)
	}
	defer f.Close()
	d, err := Parse(io.LimitReader(f, maxTable+1))
	if err != nil {
		return Deployment{}, fmt.Errorf("cannot read which deployment was booted: %w", err)
	}
	return d, nil
}

// open opens the mount table of this process. It fails if proc is not a procfs.
func open(proc string) (*os.File, error) {
	dir, err := unix.Open(proc, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", proc, err)
	}
	defer unix.Close(dir)
	var st unix.Statfs_t
	if err := unix.Fstatfs(dir, &st); err != nil || st.Type != unix.PROC_SUPER_MAGIC {
		return nil, fmt.Errorf("%s is not procfs", proc)
	}
	name := strconv.Itoa(os.Getpid()) + "/mountinfo"
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH})
	if err != nil {
		return nil, fmt.Errorf("cannot open %s/%s: %w", proc, name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// mount is a line of the mount table.
type mount struct {
	root, kind string
	subvolume  string // ID of a btrfs subvolume
}

// Parse finds the deployment in a mount table; see proc_pid_mountinfo(5).
func Parse(table io.Reader) (Deployment, error) {
	mounts := map[string]mount{}
	lines, read := bufio.NewScanner(table), 0
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if read += len(lines.Bytes()) + 1; read > maxTable {
			return Deployment{}, fmt.Errorf("the table of mounts is larger than %d bytes", maxTable)
		}
		point, m, err := parseLine(lines.Bytes())
		if err != nil {
			return Deployment{}, err
		}
		if point != "" {
			mounts[point] = m // a later mount hides an earlier one
		}
	}
	if err := lines.Err(); err != nil {
		return Deployment{}, fmt.Errorf("cannot read the table of mounts: %w", err)
	}
	root, there := mounts["/"]
	if !there {
		return Deployment{}, errors.New("the table of mounts has no root")
	}
	if d, ok := imageOf(mounts); ok {
		return d, nil
	}
	if root.kind == "btrfs" {
		d := Deployment{Kind: Btrfs, ID: root.subvolume, Name: "btrfs subvolume " + root.root}
		if d.ID == "" {
			d.ID = root.root
		} else {
			d.Name += " (ID " + d.ID + ")"
		}
		return d, nil
	}
	return Deployment{}, nil
}

// parseLine returns the mount in a line and its mount point, "" if the line is irrelevant.
func parseLine(line []byte) (point string, m mount, err error) {
	before, after, ok := bytes.Cut(line, []byte(" - "))
	fields, rest := bytes.Fields(before), bytes.Fields(after)
	if !ok || len(fields) < 6 || len(rest) < 2 {
		return "", m, fmt.Errorf("a line is none of a table of mounts: %.80q", line)
	}
	switch point = string(fields[4]); point {
	case "/", "/etc", "/usr":
	default:
		return "", m, nil
	}
	m = mount{root: unescape(string(fields[3])), kind: string(rest[0])}
	if len(rest) > 2 {
		for option := range strings.SplitSeq(string(rest[2]), ",") {
			if id, is := strings.CutPrefix(option, "subvolid="); is {
				m.subvolume = id
			}
		}
	}
	return point, m, nil
}

var (
	ofOSTree    = regexp.MustCompile(`^(?:/.*)?/ostree/deploy/([^/]+)/deploy/([0-9a-f]{64}\.[0-9]+)(/etc|/usr)?$`)
	ofComposefs = regexp.MustCompile(`^(?:/.*)?/state/deploy/([0-9a-f]{64,128})/etc$`)
)

// imageOf finds the deployment of an ostree image. The root itself is a directory of it; with
// composefs the root is a file system of its own, and /etc is such a directory.
func imageOf(mounts map[string]mount) (Deployment, bool) {
	for _, point := range []string{"/", "/etc", "/usr"} {
		m, there := mounts[point]
		if !there {
			continue
		}
		if found := ofOSTree.FindStringSubmatch(m.root); found != nil && "/"+strings.TrimPrefix(found[3], "/") == point {
			sum, serial, _ := strings.Cut(found[2], ".")
			return Deployment{Kind: OSTree, ID: found[1] + "/" + found[2], Name: fmt.Sprintf("ostree %s %.12s.%s", found[1], sum, serial)}, true
		}
		if found := ofComposefs.FindStringSubmatch(m.root); found != nil && point == "/etc" {
			return Deployment{Kind: Composefs, ID: found[1], Name: fmt.Sprintf("composefs %.12s", found[1])}, true
		}
	}
	return Deployment{}, false
}

// unescape replaces the kernel's escapes for blanks and the like: a backslash and three octal
// digits.
func unescape(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 || len(s) < i+4 {
			return b.String() + s
		}
		b.WriteString(s[:i])
		if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
			b.WriteByte(byte(n))
			s = s[i+4:]
		} else {
			b.WriteByte('\\')
			s = s[i+1:]
		}
	}
}
