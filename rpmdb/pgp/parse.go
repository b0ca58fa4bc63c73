// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// Limits of what ParseCerts reads. Real release keys have a few KiB, and tens of
// packets.
const (
	maxInput    = 1 << 20 // bytes
	maxPackets  = 4096
	maxSubkeys  = 256    // a certificate
	maxSelfSigs = 256    // a certificate
	maxWork     = 1024   // of verifying signatures, in all, as work counts it
	maxKey      = 0xffff // bytes, what the fingerprint of version 4 has room for
	maxUserID   = 2048   // bytes, as GnuPG has it
	maxReports  = 8      // of what could not be read
)

// ParseCerts reads the certificates in data: one or more armored blocks,
// possibly with text around them, or binary packets. Keys that must not vouch
// are among them, with the reason in Weak, Revoked or Expires.
//
// The error names the certificates that could not be read; it comes together with the others.
// Data without any certificate is an error too.
func ParseCerts(data []byte) ([]*Cert, error) {
	if len(data) > maxInput {
		return nil, fmt.Errorf("cannot read certificates: %d bytes are too many, at most %d are possible", len(data), maxInput)
	}
	r := &reader{}
	if p, _, err := nextPacket(data); err == nil && p.tag == tagPublicKey {
		r.read(data)
	} else {
		r.readArmored(data)
	}
	if len(r.certs) == 0 && len(r.errs) == 0 {
		r.fail(errors.New("there is none"))
	}
	if r.unsaid > 0 {
		r.errs = append(r.errs, fmt.Errorf("cannot read %d more certificates", r.unsaid))
	}
	return r.certs, errors.Join(r.errs...)
}

type reader struct {
	certs         []*Cert
	errs          []error
	unsaid        int // errors beyond maxReports
	packets, work int
}

func (r *reader) fail(err error) {
	if len(r.errs) == maxReports {
		r.unsaid++
		return
	}
	r.errs = append(r.errs, fmt.Errorf("cannot read certificate: %w", err))
}

// readArmored reads all blocks of RFC 9580, section 6.
func (r *reader) readArmored(data []byte) {
	in := bufio.NewReader(bytes.NewReader(data))
	for {
		body, kind, err := nextBlock(in)
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			r.fail(err)
			return
		case kind != "PGP PUBLIC KEY BLOCK":
			r.fail(fmt.Errorf("block is a %q", kind))
			continue
		}
		r.read(body)
	}
}

// nextBlock returns io.EOF if there is none left.
func nextBlock(in *bufio.Reader) (body []byte, kind string, err error) {
	defer recovered(&err)
	block, err := armor.Decode(in)
	if err != nil {
		return nil, "", err
	}
	if body, err = io.ReadAll(block.Body); err != nil {
		return nil, "", fmt.Errorf("armor is damaged: %v", err)
	}
	return body, block.Type, nil
}

// read splits a sequence of packets into certificates. A certificate that breaks off or
// holds what does not belong there is dropped: a revocation may be in the part
// that cannot be read.
func (r *reader) read(data []byte) {
	var b *builder
	skip := false
	finish := func() {
		if b != nil {
			r.certs = append(r.certs, b.facts.judge(Options{}))
		}
		b = nil
	}
	drop := func(err error) {
		if b != nil {
			err = fmt.Errorf("%s: %w", b.facts.primary.fingerprint, err)
		}
		r.fail(err)
		b, skip = nil, true
	}
	for len(data) > 0 {
		p, rest, err := nextPacket(data)
		if r.packets++; err == nil && r.packets > maxPackets {
			err = fmt.Errorf("there are more than %d packets", maxPackets)
		}
		if err == nil && r.work > maxWork {
			err = errors.New("there are too many self-signatures to verify: part the certificates among several files")
		}
		if err != nil {
			drop(err)
			return
		}
		data = rest
		switch {
		case p.tag == tagPublicKey:
			finish()
			skip = false
			if b, err = newBuilder(p, &r.work); err != nil {
				drop(err)
			}
		case b != nil:
			if err := b.add(p); err != nil {
				drop(err)
			}
		case p.tag == tagSecretKey:
			drop(errors.New("it holds a secret key"))
		case !skip && p.tag != tagMarker && p.tag != tagPadding:
			drop(fmt.Errorf("packet of type %d does not begin one", p.tag))
		}
	}
	finish()
}
