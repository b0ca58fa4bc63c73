// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
)

// disk: a file system on a disk, if the kernel has it.
func (m *machine) disk(kind string) {
	loadModule("loop")
	loadModule(kind)
	known, err := os.ReadFile("/proc/filesystems")
	must(err)
	if !strings.Contains(string(known), "\t"+kind+"\n") {
		m.fact("the kernel has no %s", kind)
		return
	}
	place, readOnly := "/t/disk", slices.Contains([]string{"squashfs", "erofs"}, kind)
	must(os.MkdirAll(place, 0o755))
	device, detach := attachImage(kind)
	defer detach()
	flags := uintptr(0)
	if readOnly {
		flags = unix.MS_RDONLY
	}
	must(unix.Mount(device, place, kind, flags, ""))
	defer unix.Unmount(place, unix.MNT_DETACH)
	tool := place + "/tool"
	d := guard.Digest{}
	if readOnly {
		d = digestOf(tool)
	} else {
		d = program(tool, kind)
	}
	m.check(kind+", unlisted: refused", refused, run(tool))
	m.admit(d)
	m.check(kind+", listed: runs", nil, run(tool))
	before, err := m.set.Counts()
	must(err)
	m.check(kind+", again: runs", nil, run(tool))
	after, err := m.set.Counts()
	must(err)
	m.equal(kind+" is not hashed again", 0, after.Hashed-before.Hashed)
	if !readOnly {
		m.alter(kind, tool)
	}
	m.expel(d)
	m.check(kind+", withdrawn: refused", refused, run(tool))
}

// alter changes a listed file in all ways, and again and again within the same tick of the clock.
func (m *machine) alter(kind, tool string) {
	good, err := os.ReadFile(tool)
	must(err)
	ran := 0
	for i := range 100 {
		f, err := os.OpenFile(tool, os.O_WRONLY, 0)
		must(err)
		_, err = f.WriteAt([]byte{byte(i), ^good[6001]}, 6000)
		must(err)
		must(f.Close())
		if run(tool) == nil {
			ran++
		}
		f, err = os.OpenFile(tool, os.O_RDWR, 0)
		must(err)
		mem, err := unix.Mmap(int(f.Fd()), 0, len(good), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(err)
		copy(mem, good)
		must(unix.Munmap(mem))
		must(f.Close())
		if err := run(tool); err != nil {
			m.failed(kind+", restored: runs", fmt.Sprintf("%v, after %d changes; once more: %v", err, i+1, run(tool)))
			break
		}
	}
	m.equal(kind+", altered a hundred times: never runs", 0, ran)
}

// attachImage makes a device of the image of a file system.
func attachImage(kind string) (device string, detach func()) {
	path := "/t/image-" + kind
	unpack("/images/"+kind+".gz", path)
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	must(err)
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	must(err)
	device = fmt.Sprintf("/dev/loop%d", n)
	loop, err := os.OpenFile(device, os.O_RDWR, 0)
	must(err)
	image, err := os.OpenFile(path, os.O_RDWR, 0)
	must(err)
	defer image.Close()
	must(unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_FD, int(image.Fd())))
	return device, func() {
		_ = unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_CLR_FD, 0)
		loop.Close()
		os.Remove(path)
	}
}

// unpack unpacks a file without writing the zeros in it.
func unpack(from, to string) {
	in, err := os.Open(from)
	must(err)
	defer in.Close()
	z, err := gzip.NewReader(in)
	must(err)
	out, err := os.Create(to)
	must(err)
	defer out.Close()
	buf, zeros, size := make([]byte, 1<<20), make([]byte, 1<<20), int64(0)
	for {
		n, err := io.ReadFull(z, buf)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			_, werr := out.WriteAt(buf[:n], size)
			must(werr)
		}
		size += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		must(err)
	}
	must(out.Truncate(size))
}
