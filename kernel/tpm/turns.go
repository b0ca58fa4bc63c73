// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"errors"
)

// errBusy means that the TPM did not answer an earlier call yet, or another goroutine waits
// for it.
var errBusy = errors.New("the TPM has not answered an earlier call yet")

// Device is a TPM that goroutines use one after another. A call that the TPM does not
// answer keeps its turn until it does: however long that takes, one goroutine waits
// for it.
type Device struct {
	path string
	turn chan struct{} // holds a token while somebody has the TPM
	open func(ctx context.Context, path string) (*Conn, error)
}

// NewDevice returns the TPM at path, which need not be there yet.
func NewDevice(path string) *Device {
	return &Device{path: path, turn: make(chan struct{}, 1), open: Open}
}

// Do opens the TPM for fn, whose calls end with ctx.
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
