// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/unix"
)

// tpm is a connection to a TPM: a character device, or the Unix socket of an
// emulator, which both take whole commands and give whole responses (TPM 2.0 Part
// 1, 18).
type tpm struct {
	io.ReadWriteCloser
	ctx context.Context // of the call under way
	key tpm2.AuthHandle // what signs, once it is loaded
}

// openTPM opens a device that is a TPM by the word of whoever configured it.
func openTPM(path string) (*tpm, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open TPM: %w", err)
	}
	if info.Mode().Type() == os.ModeSocket {
		conn, err := net.DialTimeout("unix", path, time.Second)
		if err != nil {
			return nil, fmt.Errorf("cannot open TPM: %w", err)
		}
		return &tpm{ReadWriteCloser: conn}, nil
	}
	if info.Mode()&os.ModeCharDevice == 0 {
		return nil, fmt.Errorf("cannot open TPM: %s is neither a character device nor a socket", path)
	}
	// Not by os.OpenFile, which would make it non-blocking: reads would then
	// return before the TPM has answered.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open TPM: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	return &tpm{ReadWriteCloser: os.NewFile(uintptr(fd), path)}, nil
}

// Send gives the TPM a command and returns its response. When the time is over it
// closes the connection: a response that comes later is nobody's.
func (t *tpm) Send(command []byte) ([]byte, error) {
	type result struct {
		response []byte
		err      error
	}
	done := make(chan result, 1)
	go func() {
		response, err := exchange(t.ReadWriteCloser, command)
		done <- result{response, err}
	}()
	select {
	case r := <-done:
		return r.response, r.err
	case <-t.ctx.Done():
		t.Close()
		return nil, t.ctx.Err()
	}
}

// exchange writes a command and reads its response, which says itself how long
// it is.
func exchange(rw io.ReadWriter, command []byte) ([]byte, error) {
	const (
		header = 10 // tag, size, code
		most   = 4096
	)
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
