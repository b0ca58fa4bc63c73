// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"errors"
)

// errBusy means that the TPM has not answered an earlier call yet, or that another goroutine
// waits for it.
var errBusy = errors.New("the TPM has not answered an earlier call yet")

// Device is a TPM that goroutines use one after another. A call that the TPM does not answer
// keeps its turn until it does: however long that takes, one goroutine waits for it.
type Device struct {
	path string
	turn chan struct{} // has a token while the TPM is in use
	open func(ctx context.Context, path string) (*Conn, error)
}

// NewDevice returns the TPM at path, which need not exist yet.
func NewDevice(path string) *Device {
	return &Device{path: path, turn: make(chan struct{}, 1), open: Open}
}

// Do opens the TPM and calls fn. The calls of fn end with ctx.
func (d *Device) Do(ctx context.Context, fn func(*Conn) error) error {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return errBusy
	}
	c, err := d.open(ctx, d.path)
	if err != nil {
		<-d.turn
		return err
	}
	err = fn(c)
	c.Close()
	if c.late == nil {
		<-d.turn
		return err
	}
	go func() {
		<-c.late
		<-d.turn
	}()
	return err
}
