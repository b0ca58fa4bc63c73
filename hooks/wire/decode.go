// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/digestd/digestd/digestlist/header"
)

// ErrProtocol is wrapped by every error about malformed bytes. The stream cannot be used
// afterwards.
var ErrProtocol = errors.New("protocol violation")

// decode decodes a payload. The message may alias it.
func decode(kind Kind, payload []byte) (Message, error) {
	var m Message
	switch kind {
	case KindBegin:
		m = new(Begin)
	case KindHeader:
		m = new(Header)
	case KindInstalled:
		m = new(Installed)
	case KindFailed:
		m = new(Failed)
	case KindRemoved:
		m = new(Removed)
	case KindEnd:
		m = new(End)
	case KindHint:
		m = new(Hint)
	case KindVerdict:
		m = new(Verdict)
	case KindList:
		m = new(List)
	case KindAck:
		m = new(Ack)
	case KindError:
		m = new(Error)
	default:
		return nil, fmt.Errorf("%w: %v is unknown", ErrProtocol, kind)
	}
	d := decoder{rest: payload}
	m.decode(&d)
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes left over", len(d.rest))
	}
	if d.err != nil {
		return nil, fmt.Errorf("cannot decode %v: %w", kind, d.err)
	}
	return m, nil
}

// decoder takes fields off a payload. After the first error every field is zero.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)
		d.rest = nil
	}
}

var zeros [8]byte

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.fail("field of %d bytes, %d are there", n, len(d.rest))
		return zeros[:min(n, len(zeros))]
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) u8() uint8   { return d.take(1)[0] }
func (d *decoder) u16() uint16 { return binary.BigEndian.Uint16(d.take(2)) }
func (d *decoder) u32() uint32 { return binary.BigEndian.Uint32(d.take(4)) }
func (d *decoder) u64() uint64 { return binary.BigEndian.Uint64(d.take(8)) }

func (d *decoder) bytes() []byte {
	n := d.u32()
	if uint64(n) > uint64(len(d.rest)) {
		d.fail("field of %d bytes, %d are there", n, len(d.rest))
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) str(limit int) string {
	b := d.bytes()
	switch {
	case len(b) > limit:
		d.fail("string of %d bytes, at most %d are allowed", len(b), limit)
		return ""
	case bytes.IndexByte(b, 0) >= 0:
		d.fail("string with a NUL")
		return ""
	}
	return string(b)
}

// count reads how many items follow, each at least size bytes long, so that
// room is made only for items that can have arrived.
func (d *decoder) count(n, limit, size int) int {
	if n > limit {
		d.fail("%d items, at most %d are allowed", n, limit)
		return 0
	}
	if n*size > len(d.rest) {
		d.fail("%d items in %d bytes", n, len(d.rest))
		return 0
	}
	return n
}

func (d *decoder) elementType() ElementType {
	t := ElementType(d.u8())
	if d.err == nil && !t.valid() {
		d.fail("element type %d is unknown", t)
	}
	return t
}

func (d *decoder) notes() []Note {
	n := d.count(int(d.u16()), MaxNotes, 1+4)
	if n == 0 {
		return nil
	}
	notes := make([]Note, n)
	for i := range notes {
		notes[i] = Note{Level: Level(d.u8()), Text: d.str(MaxString)}
		if notes[i].Level > LevelError {
			d.fail("message level %d is unknown", notes[i].Level)
		}
	}
	return notes
}

func (m *Begin) decode(d *decoder) {
	m.Plugin = d.str(MaxString)
	m.RPM = d.str(MaxString)
	m.Root = d.str(MaxString)
	m.RootDev = d.u64()
	m.RootIno = d.u64()
	m.DBPath = d.str(MaxString)
	m.DBDev = d.u64()
	m.DBIno = d.u64()
	m.Flags = d.u32()
	m.TID = d.u32()
	n := d.count(int(d.u32()), MaxElements, 1+1+4+5*4)
	if n == 0 {
		return
	}
	m.Elements = make([]Element, n)
	for i := range m.Elements {
		m.Elements[i].decode(d)
		if d.err != nil {
			return
		}
	}
}

func (e *Element) decode(d *decoder) {
	e.Type = d.elementType()
	if flags := d.u8(); flags != 0 {
		d.fail("element flags %#02x are unknown", flags)
	}
	e.DBInstance = d.u32()
	e.NEVRA.Name = d.str(MaxString)
	// rpm keeps an epoch as 32 bits and prints it without sign or zeros.
	if epoch := d.str(MaxString); epoch != "" {
		n, err := strconv.ParseUint(epoch, 10, 32)
		if err != nil || n == 0 && epoch != "0" || n > 0 && epoch[0] == '0' {
			d.fail("epoch %.20q is no number", epoch)
		}
		e.NEVRA.Epoch = uint32(n)
	}
	e.NEVRA.Version = d.str(MaxString)
	e.NEVRA.Release = d.str(MaxString)
	e.NEVRA.Arch = d.str(MaxString)
}

func (m *Header) decode(d *decoder) {
	m.Element = d.u32()
	m.Type = d.elementType()
	m.DBInstance = d.u32()
	m.Region = d.bytes()
	n := d.count(int(d.u16()), 1<<16, 4+4)
	if n == 0 {
		return
	}
	m.Signatures = make([]header.Signature, n)
	for i := range m.Signatures {
		m.Signatures[i] = header.Signature{Tag: d.u32(), Data: d.bytes()}
	}
}

func (m *Installed) decode(d *decoder) {
	m.Element = d.u32()
	m.DBInstance = d.u32()
}

func (m *Failed) decode(d *decoder) {
	m.Element = d.u32()
	m.Result = int32(d.u32())
}

func (m *Removed) decode(d *decoder) {
	m.Element = d.u32()
	digest := d.bytes()
	if len(digest) != 0 && len(digest) != len(m.Digest) {
		d.fail("digest of %d bytes, want 0 or %d", len(digest), len(m.Digest))
	}
	copy(m.Digest[:], digest)
}

func (m *End) decode(d *decoder) { m.Failed = d.u32() }

func (m *Hint) decode(d *decoder) {
	m.Plugin = d.str(MaxString)
	m.RootDev = d.u64()
	m.RootIno = d.u64()
}

func (m *Verdict) decode(d *decoder) {
	m.Decision = Decision(d.u8())
	if m.Decision > Assured {
		d.fail("%v is unknown", m.Decision)
	}
	m.Notes = d.notes()
}

func (m *List) decode(d *decoder) {
	m.Element = d.u32()
	m.Decision = ListDecision(d.u8())
	if m.Decision > RefuseList {
		d.fail("%v is unknown", m.Decision)
	}
	m.Name = d.str(MaxName)
	if d.err == nil && (m.Name != "") != (m.Decision == ListNamed) {
		d.fail("decision %q with list name %q", m.Decision, m.Name)
	}
	m.signatures(d)
	m.Notes = d.notes()
}

func (m *List) signatures(d *decoder) {
	n := d.count(int(d.u32()), MaxList, 4+4)
	if n == 0 {
		return
	}
	m.Signatures = make([]FileSignature, n)
	for i := range m.Signatures {
		s := FileSignature{File: d.u32(), Value: d.bytes()}
		if len(s.Value) > MaxFileSig || i > 0 && s.File <= m.Signatures[i-1].File {
			d.fail("signature %d: %d bytes, of file %d", i, len(s.Value), s.File)
			return
		}
		m.Signatures[i] = s
	}
}

func (m *Ack) decode(d *decoder)   { m.Notes = d.notes() }
func (m *Error) decode(d *decoder) { m.Text = d.str(MaxString) }
