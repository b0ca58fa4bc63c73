// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"
)

// answers is a TPM that has answered already.
type answers struct{ io.Reader }

func (answers) Write(p []byte) (int, error) { return len(p), nil }

// FuzzResponse: a response is as long as it says, however it arrives, or an error.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("\x80\x01\x00\x00\x00\x0a\x00\x00\x00\x00"))
	f.Add([]byte("\x80\x01\x00\x00\x00\x0c\x00\x00\x00\x00ab"))
	f.Add([]byte("\x80\x01\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add([]byte("\x80\x01\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, err := exchange(answers{bytes.NewReader(data)}, nil)
		slow, slowErr := exchange(answers{iotest.OneByteReader(bytes.NewReader(data))}, nil)
		if err == nil && (slowErr != nil || !bytes.Equal(whole, slow)) {
			t.Errorf("%x is read as %x, and byte by byte as %x, %v", data, whole, slow, slowErr)
		}
		if err == nil && (len(whole) != len(data) || int(binary.BigEndian.Uint32(data[2:])) != len(whole)) {
			t.Errorf("%x is read as %x", data, whole)
		}
	})
}

// shared is a TPM of which the kernel lets go only after another program's command.
type shared struct {
	answers
	free chan struct{}
}

func (s shared) Close() error {
	<-s.free
	return nil
}

// TestCloseEnds: a close that waits for another program's command holds nobody up beyond the
// deadline, and keeps the turn until it ends.
func TestCloseEnds(t *testing.T) {
	free := make(chan struct{})
	device := NewDevice("")
	device.open = func(ctx context.Context, _ string) (*Conn, error) {
		return &Conn{ReadWriteCloser: shared{free: free}, Context: ctx}, nil
	}
	use := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return device.Do(ctx, func(*Conn) error { return nil })
	}
	done := make(chan error, 1)
	go func() { done <- use(10 * time.Millisecond) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a call waits for the close")
	}
	if err := use(10 * time.Millisecond); !errors.Is(err, errBusy) {
		t.Errorf("while the TPM is in use: %v", err)
	}
	close(free)
	if err := use(10 * time.Second); err != nil {
		t.Errorf("once it is free: %v", err)
	}
}
