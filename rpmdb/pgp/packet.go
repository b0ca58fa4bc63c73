// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Packet types of RFC 9580, section 5.
const (
	tagSignature     = 2
	tagSecretKey     = 5
	tagPublicKey     = 6
	tagSecretSubkey  = 7
	tagMarker        = 10
	tagTrust         = 12
	tagUserID        = 13
	tagPublicSubkey  = 14
	tagUserAttribute = 17
	tagPadding       = 21
	tagNonCritical   = 40 // types from here on may be ignored when unknown
)

// rawPacket is one packet, header included in whole and left out of body. Both
// alias the input.
type rawPacket struct {
	tag         byte
	whole, body []byte
}

var (
	errTruncated = errors.New("packet is cut short")
	errLibrary   = errors.New("OpenPGP library cannot cope with it") // it panicked
)

// nextPacket splits the first packet off b, whose header may have the old or the
// new format (RFC 9580, section 4.2). Partial and indeterminate lengths are
// refused: neither belongs into keys or signatures.
func nextPacket(b []byte) (p rawPacket, rest []byte, err error) {
	if len(b) < 2 {
		return p, nil, errTruncated
	}
	var header, length int
	switch first, l := b[0], b[1]; {
	case first&0x80 == 0:
		return p, nil, errors.New("no OpenPGP packet")
	case first&0x40 == 0:
		p.tag = first >> 2 & 0x0f
		if first&3 == 3 {
			return p, nil, errors.New("packet has no length")
		}
		header = 1 + 1<<(first&3)
	default:
		p.tag = first & 0x3f
		switch {
		case l < 192:
			header = 2
		case l < 224:
			header = 3
		case l < 255:
			return p, nil, errors.New("packet has a partial length")
		default:
			header = 6
		}
	}
	if len(b) < header {
		return p, nil, errTruncated
	}
	switch {
	case header == 2:
		length = int(b[1])
	case header == 3 && b[0]&0x40 != 0:
		length = int(b[1]-192)<<8 + int(b[2]) + 192
	case header == 3:
		length = int(binary.BigEndian.Uint16(b[1:]))
	default:
		n := binary.BigEndian.Uint32(b[header-4:])
		if n > uint32(maxInput) {
			return p, nil, errTruncated
		}
		length = int(n)
	}
	if length > len(b)-header {
		return p, nil, errTruncated
	}
	p.whole, p.body = b[:header+length], b[header:header+length]
	return p, b[header+length:], nil
}

// readPacket has the library parse p, and fails if it leaves bytes over. The
// library has panicked on hostile input before; that becomes an error as well.
func readPacket(p rawPacket) (parsed packet.Packet, err error) {
	defer recovered(&err)
	r := bytes.NewReader(p.whole)
	if parsed, err = packet.Read(r); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errTruncated
		}
		return parsed, err
	}
	if r.Len() != 0 {
		return nil, fmt.Errorf("packet has %d bytes too many", r.Len())
	}
	return parsed, nil
}

func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", errLibrary, r)
	}
}
