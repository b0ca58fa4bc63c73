// SPDX-License-Identifier: Apache-2.0

// Package tpm is the interface to a TPM 2.0: it holds keys below the owner's storage key, and
// counters that can only rise.
//
// No call outlasts its context, however long the TPM takes, and no secret crosses the bus to the
// TPM in the clear. The callers give the counters their meaning.
package tpm

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/unix"
)

// DefaultDevice is the shared device of the TPM: the kernel gives every user a space of its own.
const DefaultDevice = "/dev/tpmrm0"

// CheckDevice returns an error if path cannot be the device of a TPM.
func CheckDevice(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || len(path) > 256 || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("device %.80q: want an absolute path without detours, spaces and other than ASCII", path)
	}
	return nil
}

// Conn is a connection to a TPM: a character device, or the Unix socket of an emulator. Both
// take whole commands and return whole responses (TPM 2.0 Part 1, 18). One goroutine uses it at
// a time.
type Conn struct {
	io.ReadWriteCloser
	Context context.Context // bounds later calls
	// Endorsement is the password of the endorsement hierarchy, empty for none.
	Endorsement []byte

	late chan struct{} // closed once the TPM is free, after a call that ended before; nil: no call did
}

// Scheme begins the places of objects in a TPM.
const Scheme = "tpm:"

// ParsePlace parses "tpm:", optionally followed by device=PATH and one more attribute, separated
// by a semicolon. It calls take with the value of that attribute if it is present. The default
// device is DefaultDevice.
func ParsePlace(where, attribute string, take func(value string) error) (device string, err error) {
	device = DefaultDevice
	rest := strings.TrimPrefix(where, Scheme)
	if rest == "" {
		return device, nil
	}
	seen := map[string]bool{}
	for item := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(item, "=")
		switch {
		case seen[name]:
			err = fmt.Errorf("%s appears twice", name)
		case name == "device":
			device, err = value, CheckDevice(value)
		case name == attribute:
			err = take(value)
		default:
			err = fmt.Errorf("unknown attribute %.40q: want device= or %s=", name, attribute)
		}
		if err != nil {
			return "", err
		}
		seen[name] = true
	}
	return device, nil
}

// Open opens the TPM at a path from the configuration.
func Open(ctx context.Context, path string) (*Conn, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open TPM: %w", err)
	}
	if info.Mode().Type() == os.ModeSocket {
		conn, err := net.DialTimeout("unix", path, time.Second)
		if err != nil {
			return nil, fmt.Errorf("cannot open TPM: %w", err)
		}
		return &Conn{ReadWriteCloser: conn, Context: ctx}, nil
	}
	if info.Mode()&os.ModeCharDevice == 0 {
		return nil, fmt.Errorf("cannot open TPM: %s is neither a character device nor a socket", path)
	}
	// os.OpenFile would make it non-blocking: reads would then return before the TPM has
	// answered.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open TPM: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	return &Conn{ReadWriteCloser: os.NewFile(uintptr(fd), path), Context: ctx}, nil
}

// Send sends a command to the TPM and returns the response. It repeats the command if the TPM
// asks for that, as it does when it records the first use of a secret: the kernel does the same,
// an emulator does not. If the context ends it closes the connection, and a late response is
// dropped.
func (t *Conn) Send(command []byte) ([]byte, error) {
	for pause := firstPause; ; pause *= 2 {
		response, err := t.send(command)
		if err != nil || len(response) < header || tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])) != tpm2.TPMRCRetry {
			return response, err
		}
		select {
		case <-time.After(pause):
		case <-t.Context.Done():
			return response, nil
		}
	}
}

// firstPause is the pause before a command is repeated for the first time.
const firstPause = 20 * time.Millisecond

func (t *Conn) send(command []byte) ([]byte, error) {
	if err := t.Context.Err(); err != nil {
		return nil, err
	}
	type result struct {
		response []byte
		err      error
	}
	done, ended := make(chan result, 1), make(chan struct{})
	go func() {
		defer close(ended)
		response, err := exchange(t.ReadWriteCloser, command)
		done <- result{response, err}
	}()
	select {
	case r := <-done:
		return r.response, r.err
	case <-t.Context.Done():
		late := make(chan struct{})
		t.late = late
		go func() {
			defer close(late)
			t.ReadWriteCloser.Close()
			<-ended
		}()
		return nil, t.Context.Err()
	}
}

// Close closes the connection. The kernel then removes the connection's objects from the TPM,
// for which it waits for the commands of other programs: Close waits no longer than the context.
func (t *Conn) Close() error {
	if t.late != nil {
		return nil // Send closes it
	}
	done, late := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(late)
		done <- t.ReadWriteCloser.Close()
	}()
	select {
	case err := <-done:
		return err
	case <-t.Context.Done():
		t.late = late
		return t.Context.Err()
	}
}

// header is the size of a response's header: tag, size, code.
const header = 10

// exchange writes a command and reads its response, whose header has its length.
func exchange(rw io.ReadWriter, command []byte) ([]byte, error) {
	const most = 4096
	if _, err := rw.Write(command); err != nil {
		return nil, fmt.Errorf("cannot write to TPM: %w", err)
	}
	buf := make([]byte, most)
	for n, size := 0, header; ; {
		got, err := rw.Read(buf[n:])
		if n += got; err != nil && n < size {
			return nil, fmt.Errorf("cannot read from TPM: %w", err)
		}
		if n >= header {
			size = int(binary.BigEndian.Uint32(buf[2:]))
		}
		if size < header || size > most || n > size {
			return nil, fmt.Errorf("cannot read from TPM: a response of %d bytes claims to have %d", n, size)
		}
		if n == size {
			return buf[:n], nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read from TPM: %w", err)
		}
	}
}
