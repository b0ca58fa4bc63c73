// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto/ecdsa"
	"encoding/pem"
	"fmt"
	"math/big"
	"strconv"

	"github.com/digestd/digestd/kernel/tpm"
	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

const (
	// firstPersistent and lastPersistent bound the handles of the owner's persistent objects
	// (TPM 2.0 Part 2, 7.5).
	firstPersistent, lastPersistent = tpm2.TPMHandle(0x81000000), tpm2.TPMHandle(0x817fffff)
)

// tpmPlace is a TPM, and the storage key that encrypts new keys: the owner's primary key, which
// the TPM derives when it is needed, or a persistent key.
type tpmPlace struct {
	device string
	parent tpm2.TPMHandle
}

// parseTPMPlace reads "tpm:", optionally followed by device=PATH and parent=HANDLE, separated by
// a semicolon.
func parseTPMPlace(where string) (place, error) {
	p := tpmPlace{parent: tpm2.TPMRHOwner}
	var err error
	p.device, err = tpm.ParsePlace(where, "parent", func(value string) (err error) {
		p.parent, err = parseHandle(value)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make keys in %.80q: %w", where, err)
	}
	return p, nil
}

func parseHandle(text string) (tpm2.TPMHandle, error) {
	n, err := strconv.ParseUint(text, 0, 32)
	h := tpm2.TPMHandle(n)
	if err != nil || h < firstPersistent || h > lastPersistent {
		return 0, fmt.Errorf("parent %.40q: want the handle of a persistent storage key, %#x to %#x", text, uint32(firstPersistent), uint32(lastPersistent))
	}
	return h, nil
}

// tpmKeys is a TPM that has loaded a signing key.
type tpmKeys struct {
	*tpm.Conn
	key tpm2.AuthHandle // the loaded key
}

func openTPM(ctx context.Context, device string) (*tpmKeys, error) {
	c, err := tpm.Open(ctx, device)
	if err != nil {
		return nil, err
	}
	return &tpmKeys{Conn: c}, nil
}

func (p tpmPlace) create(ctx context.Context) ([]byte, *ecdsa.PublicKey, error) {
	t, err := openTPM(ctx, p.device)
	if err != nil {
		return nil, nil, err
	}
	defer t.Close()
	blob, err := t.createKey(p.parent)
	if err != nil {
		return nil, nil, fmt.Errorf("TPM %s: %w", p.device, err)
	}
	public, err := blob.publicKey()
	if err != nil {
		return nil, nil, fmt.Errorf("TPM %s: %w", p.device, err)
	}
	block := &pem.Block{Type: tpmType, Bytes: blob.marshal()}
	if p.device != tpm.DefaultDevice {
		block.Headers = map[string]string{deviceHeader: p.device}
	}
	return pem.EncodeToMemory(block), public, nil
}

// loadTPM opens a key that a TPM made and encrypted.
func loadTPM(block *pem.Block, public any) (Signer, error) {
	want, err := remoteKey(public)
	if err != nil {
		return nil, err
	}
	device := tpm.DefaultDevice
	for name, value := range block.Headers {
		if name != deviceHeader {
			return nil, fmt.Errorf("unknown header %.40q", name)
		}
		device = value
	}
	if err := tpm.CheckDevice(device); err != nil {
		return nil, err
	}
	blob, err := parseTPMKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if got, err := blob.publicKey(); err != nil {
		return nil, err
	} else if !got.Equal(want) {
		return nil, errOtherKey
	}
	return newRemote("TPM "+device, want, func(ctx context.Context) (connection, error) {
		t, err := openTPM(ctx, device)
		if err != nil {
			return nil, err
		}
		if err := t.loadKey(blob); err != nil {
			t.Close()
			return nil, err
		}
		return t, nil
	}), nil
}

// signingKey is the template of a key that signs by ECDSA on P-256 and never leaves the TPM.
var signingKey = tpm2.TPMTPublic{
	Type:    tpm2.TPMAlgECC,
	NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true,
	},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		CurveID: tpm2.TPMECCNistP256,
		Scheme: tpm2.TPMTECCScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
		},
	}),
}

func (t *tpmKeys) createKey(handle tpm2.TPMHandle) (*tpmKey, error) {
	if err := t.FlushAll(); err != nil {
		return nil, err
	}
	parent, release, err := t.Parent(handle)
	if err != nil {
		return nil, err
	}
	defer release()
	r, err := tpm2.Create{ParentHandle: parent, InPublic: tpm2.New2B(signingKey)}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	return &tpmKey{Type: oidLoadable, EmptyAuth: true, Parent: int64(handle), Public: tpm2.Marshal(r.OutPublic), Private: tpm2.Marshal(r.OutPrivate)}, nil
}

// loadKey loads the key into the TPM until the connection ends.
func (t *tpmKeys) loadKey(k *tpmKey) error {
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](k.Public)
	if err != nil {
		return fmt.Errorf("cannot read the public part of the key: %w", err)
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](k.Private)
	if err != nil {
		return fmt.Errorf("cannot read the private part of the key: %w", err)
	}
	if err := t.FlushAll(); err != nil {
		return err
	}
	parent, release, err := t.Parent(tpm2.TPMHandle(k.Parent))
	if err != nil {
		return err
	}
	defer release()
	r, err := tpm2.Load{ParentHandle: parent, InPrivate: *private, InPublic: *public}.Execute(t)
	if err != nil {
		return fmt.Errorf("cannot load the key (is it another TPM, or was it cleared since?): %w", err)
	}
	t.key = tpm2.AuthHandle{Handle: r.ObjectHandle, Name: r.Name, Auth: tpm2.PasswordAuth(nil)}
	return nil
}

func (t *tpmKeys) sign(ctx context.Context, digest []byte) ([]byte, error) {
	t.Context = ctx
	r, err := tpm2.Sign{
		KeyHandle:  t.key,
		Digest:     tpm2.TPM2BDigest{Buffer: digest},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck},
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	sig, err := r.Signature.Signature.ECDSA()
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(sig.SignatureR.Buffer))
		b.AddASN1BigInt(new(big.Int).SetBytes(sig.SignatureS.Buffer))
	})
	return b.Bytes()
}

func (t *tpmKeys) close() { t.Close() }
