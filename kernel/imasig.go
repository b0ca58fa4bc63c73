// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// IMAName is the extended attribute with IMA's signature of a file.
const IMAName = "security.ima"

// maxIMA bounds the attribute, in bytes: an RSA signature of 4096 bits has 521.
const maxIMA = 1024

// The head of a signature in security.ima (kernel: security/integrity/integrity.h,
// struct signature_v2_hdr): type, version, number of the hash, key, length.
const (
	imaTypeSignature = 3 // EVM_IMA_XATTR_DIGSIG
	imaHead          = 9
)

// The versions of signatures in security.ima. Version 2 signs only the digest of a file's
// content; version 3 also signs the kind of that digest (struct ima_file_id).
// appraise_type=sigv3 of Linux 7.1 refuses version 2, and older kernels refuse version 3.
const (
	IMAVersion2 = 2
	IMAVersion3 = 3
)

// IMASignature is a signature over the digest of a file's content by an X.509 key, in the form
// that the kernel's asymmetric keys verify.
type IMASignature struct {
	Version   uint8   // IMAVersion2 or IMAVersion3
	Hash      uint8   // enum hash_algo (include/uapi/linux/hash_info.h)
	KeyID     [4]byte // last bytes of the certificate's subject key identifier
	Signature []byte  // PKCS#1 v1.5, or the DER form of ECDSA's two numbers
}

// Value returns the attribute's value.
func (s IMASignature) Value() []byte {
	b := append(make([]byte, 0, imaHead+len(s.Signature)), imaTypeSignature, s.Version, s.Hash)
	b = append(b, s.KeyID[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.Signature)))
	return append(b, s.Signature...)
}

// IMASigned returns the digest that a signature of that version signs for a file whose content
// has the given digest by algorithm algo (enum hash_algo); hash implements algo.
func IMASigned(version, algo uint8, hash crypto.Hash, digest []byte) []byte {
	if version == IMAVersion2 {
		return digest
	}
	h := hash.New()
	h.Write([]byte{imaTypeSignature, algo})
	h.Write(digest)
	return h.Sum(nil)
}

// ParseIMASignature parses the value of the attribute. It fails unless the value is a signature
// of a known version; a mere digest is not one.
func ParseIMASignature(value []byte) (s IMASignature, err error) {
	if len(value) < imaHead || value[0] != imaTypeSignature || value[1] != IMAVersion2 && value[1] != IMAVersion3 {
		return s, errors.New("no signature of version 2 or 3")
	}
	if n := int(binary.BigEndian.Uint16(value[7:])); n != len(value)-imaHead {
		return s, fmt.Errorf("signature of %d bytes, %d are there", n, len(value)-imaHead)
	}
	s.Version, s.Hash, s.Signature = value[1], value[2], value[imaHead:]
	copy(s.KeyID[:], value[3:])
	return s, nil
}

// IMA returns the value of the file's security.ima, nil for none.
func (f *File) IMA() ([]byte, error) {
	var buf [maxIMA]byte
	n, err := unix.Getxattr(f.proc(), IMAName, buf[:])
	switch {
	case errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP):
		return nil, nil
	case errors.Is(err, unix.ERANGE):
		return nil, fmt.Errorf("cannot read %s: more than %d bytes", IMAName, maxIMA)
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", IMAName, err)
	}
	return append([]byte(nil), buf[:n]...), nil
}

// SetIMA sets the file's security.ima. The kernel then forgets its verdict about the file.
func (f *File) SetIMA(value []byte) error {
	if err := unix.Setxattr(f.proc(), IMAName, value, 0); err != nil {
		return fmt.Errorf("cannot set %s: %w", IMAName, err)
	}
	return nil
}

// RemoveIMA removes security.ima. A file without it is no error. The kernel then forgets its
// verdict about the file.
func (f *File) RemoveIMA() error {
	err := unix.Removexattr(f.proc(), IMAName)
	if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("cannot remove %s: %w", IMAName, err)
	}
	return nil
}
