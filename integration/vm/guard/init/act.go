// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// act is what a process other than the first does; its arguments say what.
func act(args []string) int {
	if len(args) == 0 {
		return 0 // it ran
	}
	switch args[0] {
	case "map": // a process of its own maps a file
		if err := mapCode(args[1]); err != nil {
			fmt.Println(err)
			return 1
		}
	case "tamper":
		tamper(args[1])
	case "peek":
		if err := peek(); err != nil {
			fmt.Println(err)
			return 1
		}
	case "allow":
		if err := allow(args[1]); err != nil {
			fmt.Println(err)
			return 1
		}
	case "contain":
		if err := contain(); err != nil {
			fmt.Println(err)
			return 1
		}
	case "anonymous":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return 2
		}
		for range n {
			mem, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			if err := unix.Munmap(mem); err != nil {
				return 1
			}
		}
	}
	return 0
}

// tiny returns a program for x86-64 that ends at once, with success. It is small
// because an emulated machine takes a second to hash a few megabytes.
func tiny() []byte {
	const base, headers = 0x400000, 64 + 56
	code := []byte{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05} // mov $60, %eax; xor %edi, %edi; syscall
	b := append([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, make([]byte, 9)...)
	le := binary.LittleEndian
	b = le.AppendUint16(le.AppendUint16(b, 2), 62) // an executable, of x86-64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+headers) // where it begins
	b = le.AppendUint64(le.AppendUint64(b, 64), 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(le.AppendUint32(b, 1), 5) // loaded, to be read and run
	for _, v := range []uint64{0, base, base, headers + 9, headers + 9, 4096} {
		b = le.AppendUint64(b, v)
	}
	return append(append(b, code...), make([]byte, 8192-headers-len(code))...)
}

// mapCode maps a file as a library is mapped.
func mapCode(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return unix.Munmap(mem)
}

// mapThenProtect maps a file to be read only, and then makes it code.
func mapThenProtect(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer unix.Munmap(mem)
	return unix.Mprotect(mem, unix.PROT_READ|unix.PROT_EXEC)
}

// isErr is errors.Is, for which nil is nil only.
func isErr(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}
