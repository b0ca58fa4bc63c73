// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// primary is the template of the storage key that encrypts new keys: elliptic and without a
// unique value, so that other tools derive the same key (draft-bottomley-tpm2-keys §3.1.8).
var primary = func() tpm2.TPMTPublic {
	t := tpm2.ECCSRKTemplate
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return t
}()

// Parent returns the storage key with a handle: [tpm2.TPMRHOwner] for the one derived from the
// owner's seed, or a persistent one. release removes what Parent loaded.
func (t *Conn) Parent(handle tpm2.TPMHandle) (key tpm2.AuthHandle, release func(), err error) {
	if handle != tpm2.TPMRHOwner {
		r, err := tpm2.ReadPublic{ObjectHandle: handle}.Execute(t)
		if err != nil {
			return key, nil, fmt.Errorf("cannot find storage key %#x: %w", uint32(handle), err)
		}
		return tpm2.AuthHandle{Handle: handle, Name: r.Name, Auth: tpm2.PasswordAuth(nil)}, func() {}, nil
	}
	r, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(primary),
	}.Execute(t)
	if err != nil {
		return key, nil, fmt.Errorf("cannot derive the owner's storage key (if the owner has a password: name a persistent one by parent=): %w", err)
	}
	return tpm2.AuthHandle{Handle: r.ObjectHandle, Name: r.Name, Auth: tpm2.PasswordAuth(nil)},
		func() { t.forget(r.ObjectHandle) }, nil
}

func (t *Conn) forget(h tpm2.TPMHandle) { tpm2.FlushContext{FlushHandle: h}.Execute(t) }

// FlushAll removes the objects of an earlier connection. Without the kernel's resource manager
// nobody else does, and a TPM holds only three objects. With it, the objects of other programs
// are invisible.
func (t *Conn) FlushAll() error {
	r, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: uint32(tpm2.TPMHTTransient) << 24, PropertyCount: 16}.Execute(t)
	if err != nil {
		return fmt.Errorf("cannot ask for its objects: %w", err)
	}
	handles, err := r.CapabilityData.Data.Handles()
	if err != nil {
		return fmt.Errorf("cannot ask for its objects: %w", err)
	}
	for _, h := range handles.Handle {
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(t); err != nil {
			return fmt.Errorf("cannot forget object %#x: %w", uint32(h), err)
		}
	}
	return nil
}
