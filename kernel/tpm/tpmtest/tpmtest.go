// SPDX-License-Identifier: Apache-2.0

// Package tpmtest changes TPMs in ways that tests need and digestd never uses.
package tpmtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/digestd/digestd/kernel/tpm"
	"github.com/google/go-tpm/tpm2"
)

// Do calls fn with the TPM at a device or socket. An error ends the test.
func Do(tb testing.TB, device string, fn func(*tpm.Conn) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := tpm.NewDevice(device).Do(ctx, fn); err != nil {
		tb.Fatal(err)
	}
}

// SetOwner sets the password of the TPM's owner.
func SetOwner(password string) func(*tpm.Conn) error {
	return func(c *tpm.Conn) error {
		_, err := tpm2.HierarchyChangeAuth{AuthHandle: tpm2.TPMRHOwner, NewAuth: tpm2.TPM2BAuth{Buffer: []byte(password)}}.Execute(c)
		return err
	}
}

// SetEndorsement sets the password of the TPM's endorsement hierarchy.
func SetEndorsement(password string) func(*tpm.Conn) error {
	return func(c *tpm.Conn) error {
		_, err := tpm2.HierarchyChangeAuth{AuthHandle: tpm2.TPMRHEndorsement, NewAuth: tpm2.TPM2BAuth{Buffer: []byte(password)}}.Execute(c)
		return err
	}
}

// Clear clears the TPM.
func Clear(c *tpm.Conn) error {
	_, err := tpm2.Clear{AuthHandle: tpm2.TPMRHLockout}.Execute(c)
	return err
}

// Fill uses up the memory for indices.
func Fill(c *tpm.Conn) error {
	size, kind := uint16(2048), tpm2.TPMNTOrdinary
	for index := uint32(0x01810000); ; index++ {
		err := define(c, index, size, kind)
		switch {
		case err == nil:
		case !errors.Is(err, tpm2.TPMRCNVSpace):
			return err
		case kind == tpm2.TPMNTCounter:
			return nil
		case size == 8:
			kind = tpm2.TPMNTCounter // some room is reserved for these
		default:
			size /= 2
		}
	}
}

func define(c *tpm.Conn, index uint32, size uint16, kind tpm2.TPMNT) error {
	_, err := tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, Auth: tpm2.TPM2BAuth{Buffer: []byte("right")}, PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(index), NameAlg: tpm2.TPMAlgSHA256, DataSize: size, Attributes: tpm2.TPMANV{NT: kind, AuthRead: true, AuthWrite: true},
	})}.Execute(c)
	return err
}

// LockOut enters wrong passwords until the TPM accepts none any more for the objects that
// lockout protects.
func LockOut(c *tpm.Conn) error {
	const guarded = 0x01800007
	err := define(c, guarded, 8, tpm2.TPMNTOrdinary)
	if err != nil {
		return err
	}
	name, _, err := c.NameAt(guarded, nil)
	if err != nil {
		return err
	}
	for range 100 {
		_, err = tpm2.NVWrite{
			AuthHandle: tpm2.AuthHandle{Handle: guarded, Name: tpm2.TPM2BName{Buffer: name}, Auth: tpm2.PasswordAuth([]byte("wrong"))},
			NVIndex:    tpm2.NamedHandle{Handle: guarded, Name: tpm2.TPM2BName{Buffer: name}},
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: make([]byte, 8)},
		}.Execute(c)
		if errors.Is(err, tpm2.TPMRCLockout) {
			return nil
		}
	}
	return fmt.Errorf("the TPM does not lock out: %w", err)
}
