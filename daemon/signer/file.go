// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const pkcs8Type = "PRIVATE KEY"

// errOtherKey prevents signatures that nobody could verify.
var errOtherKey = errors.New("the certificate belongs to another key")

type filePlace struct{}

func (filePlace) create(context.Context) ([]byte, *ecdsa.PublicKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pkcs8Type, Bytes: der}), &key.PublicKey, nil
}

// fileKey is a key in memory, which is always available.
type fileKey struct{ crypto.Signer }

func (fileKey) Close() error                { return nil }
func (fileKey) Check(context.Context) error { return nil }
func (fileKey) Release()                    {}
func (fileKey) Failure() error              { return nil }
func (fileKey) String() string              { return "file" }

// InFile reports whether the file of s contains the key itself.
func InFile(s Signer) bool {
	_, ok := s.(fileKey)
	return ok
}

func loadPEM(data []byte, public crypto.PublicKey) (Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is neither PEM nor a PKCS#11 URI")
	}
	switch block.Type {
	case pkcs8Type:
		return loadPKCS8(block.Bytes, public)
	case tpmType:
		return loadTPM(block, public)
	}
	return nil, fmt.Errorf("it holds a %.40q, want a %q or a %q", block.Type, pkcs8Type, tpmType)
}

func loadPKCS8(der []byte, public crypto.PublicKey) (Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	if p, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !p.Equal(public) {
		return nil, errOtherKey
	}
	return fileKey{signer}, nil
}
