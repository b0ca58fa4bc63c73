// SPDX-License-Identifier: Apache-2.0

package header

import (
	"bytes"
	"encoding/base64"
	"strings"
)

const (
	maxSignatures    = 64       // more than any package has; each costs a verification
	maxSignatureSize = 64 << 10 // a post-quantum signature takes about 5 KiB
)

// Signature is an OpenPGP signature of Magic and the immutable region.
type Signature struct {
	Tag  uint32 // TagRSAHeader, TagDSAHeader or TagOpenPGP
	Data []byte // binary; not yet parsed
}

// Signatures returns the signatures of the region: from the entries after it or, for the
// signature header of a package file, from all entries. It omits signatures that also cover the
// payload, because they cannot be verified once the package is installed. It returns at most 64
// signatures, each of at most 64 KiB. A signature that cannot be decoded is returned unchanged,
// and the verifier refuses it.
func (h *Header) Signatures() []Signature {
	s := &h.unsigned
	if h.region == TagHeaderSignatures {
		s = &h.Section
	}
	var sigs []Signature
	for i := range s.n {
		e, data := s.get(i)
		switch {
		case e.tag != TagRSAHeader && e.tag != TagDSAHeader && e.tag != TagOpenPGP:
		case e.typ == typeBin:
			sigs = appendSignature(sigs, e.tag, data[:e.count])
		default:
			c, err := stringsOf(e, data)
			for err == nil && c.left > 0 && len(sigs) < maxSignatures {
				var text []byte
				if text, err = c.next(); err == nil {
					sigs = appendSignature(sigs, e.tag, decodeBase64(text))
				}
			}
		}
	}
	return sigs
}

func appendSignature(sigs []Signature, tag uint32, data []byte) []Signature {
	if len(sigs) == maxSignatures || len(data) > maxSignatureSize {
		return sigs
	}
	return append(sigs, Signature{Tag: tag, Data: data})
}

// PubKeys returns the OpenPGP certificates of a gpg-pubkey header, binary or armored, not
// parsed. Old versions of rpm have the certificate only in the description. Any package may
// contain such entries, so check the name first.
func (h *Header) PubKeys() [][]byte {
	var keys [][]byte
	c, err := h.strings(TagPubKeys)
	for err == nil && c.left > 0 {
		var text []byte
		if text, err = c.next(); err == nil {
			keys = append(keys, decodeBase64(text))
		}
	}
	if len(keys) > 0 {
		return keys
	}
	if text, err := h.String(TagDescription); err == nil && strings.Contains(text, "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
		return [][]byte{[]byte(text)}
	}
	return nil
}

// decodeBase64 decodes text, which may have line breaks, and returns text
// itself when it is not base64.
func decodeBase64(text []byte) []byte {
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(out, bytes.TrimSpace(text))
	if err != nil {
		return text
	}
	return out[:n]
}

// MultiVersion reports whether the package declares that several of its versions may be
// installed side by side, as kernels do: it provides installonlypkg(…) or multiversion(…).
func (h *Header) MultiVersion() bool {
	c, err := h.strings(TagProvideName)
	for err == nil && c.left > 0 {
		var name []byte
		name, err = c.next()
		if bytes.HasPrefix(name, []byte("installonlypkg(")) || bytes.HasPrefix(name, []byte("multiversion(")) {
			return true
		}
	}
	return false
}
