// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// frameHeader is the length of what precedes a payload: version, type, two zero
// bytes, length.
const frameHeader = 8

// appendFrame appends m to dst.
func appendFrame(dst []byte, m Message) ([]byte, error) {
	start := len(dst)
	e := encoder{buf: append(dst, Version, byte(m.Kind()), 0, 0, 0, 0, 0, 0)}
	m.encode(&e)
	limit, _ := m.Kind().limit()
	n := len(e.buf) - start - frameHeader
	if e.err == nil && n > limit {
		e.fail("payload of %d bytes, at most %d are allowed", n, limit)
	}
	if e.err != nil {
		return dst, fmt.Errorf("cannot encode %v: %w", m.Kind(), e.err)
	}
	binary.BigEndian.PutUint32(e.buf[start+4:], uint32(n))
	return e.buf, nil
}

type encoder struct {
	buf []byte
	err error
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

func (e *encoder) u8(v uint8)   { e.buf = append(e.buf, v) }
func (e *encoder) u16(v uint16) { e.buf = binary.BigEndian.AppendUint16(e.buf, v) }
func (e *encoder) u32(v uint32) { e.buf = binary.BigEndian.AppendUint32(e.buf, v) }
func (e *encoder) u64(v uint64) { e.buf = binary.BigEndian.AppendUint64(e.buf, v) }

func (e *encoder) bytes(b []byte) {
	if len(b) > MaxHeader {
		e.fail("field of %d bytes", len(b))
		return
	}
	e.u32(uint32(len(b)))
	e.buf = append(e.buf, b...)
}

func (e *encoder) str(s string, limit int) {
	switch {
	case len(s) > limit:
		e.fail("string of %d bytes, at most %d are allowed", len(s), limit)
	case strings.IndexByte(s, 0) >= 0:
		e.fail("string with a NUL")
	default:
		e.u32(uint32(len(s)))
		e.buf = append(e.buf, s...)
	}
}

func (e *encoder) notes(notes []Note) {
	notes = fit(notes)
	e.u16(uint16(len(notes)))
	for _, n := range notes {
		e.u8(uint8(n.Level))
		e.str(n.Text, MaxString)
	}
}

// fit makes notes small enough for one frame: it cuts long ones, and counts those that are too
// many in a last one, whose level is the highest of theirs.
func fit(notes []Note) []Note {
	const room = MaxControl - 2*MaxString // the rest of the frame, and the last note
	fitted := make([]Note, 0, min(len(notes), MaxNotes))
	size := 0
	for i, n := range notes {
		n.Text = clip(n.Text)
		size += 1 + 4 + len(n.Text)
		if size > room || len(fitted) == MaxNotes-1 && len(notes) > MaxNotes {
			last := Note{Text: fmt.Sprintf("and %d more messages", len(notes)-i)}
			for _, left := range notes[i:] {
				last.Level = max(last.Level, left.Level)
			}
			return append(fitted, last)
		}
		fitted = append(fitted, n)
	}
	return fitted
}

// clip makes any text a valid string of this protocol.
func clip(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	if len(text) <= MaxString {
		return text
	}
	const mark = "..."
	return strings.ToValidUTF8(text[:MaxString-len(mark)], "") + mark
}

func (m *Begin) encode(e *encoder) {
	e.str(m.Plugin, MaxString)
	e.str(m.RPM, MaxString)
	e.str(m.Root, MaxString)
	e.u64(m.RootDev)
	e.u64(m.RootIno)
	e.str(m.DBPath, MaxString)
	e.u64(m.DBDev)
	e.u64(m.DBIno)
	e.u32(m.Flags)
	e.u32(m.TID)
	if len(m.Elements) > MaxElements {
		e.fail("%d elements, at most %d are allowed", len(m.Elements), MaxElements)
		return
	}
	e.u32(uint32(len(m.Elements)))
	for _, el := range m.Elements {
		e.u8(uint8(el.Type))
		e.u8(0)
		e.u32(el.DBInstance)
		e.str(el.NEVRA.Name, MaxString)
		epoch := ""
		if el.NEVRA.Epoch != 0 {
			epoch = strconv.FormatUint(uint64(el.NEVRA.Epoch), 10)
		}
		e.str(epoch, MaxString)
		e.str(el.NEVRA.Version, MaxString)
		e.str(el.NEVRA.Release, MaxString)
		e.str(el.NEVRA.Arch, MaxString)
	}
}

func (m *Header) encode(e *encoder) {
	e.u32(m.Element)
	e.u8(uint8(m.Type))
	e.u32(m.DBInstance)
	e.bytes(m.Region)
	if len(m.Signatures) >= 1<<16 {
		e.fail("%d signatures", len(m.Signatures))
		return
	}
	e.u16(uint16(len(m.Signatures)))
	for _, s := range m.Signatures {
		e.u32(s.Tag)
		e.bytes(s.Data)
	}
}

func (m *Installed) encode(e *encoder) {
	e.u32(m.Element)
	e.u32(m.DBInstance)
}

func (m *Failed) encode(e *encoder) {
	e.u32(m.Element)
	e.u32(uint32(m.Result))
}

func (m *Removed) encode(e *encoder) {
	e.u32(m.Element)
	if m.Digest == [32]byte{} {
		e.bytes(nil)
		return
	}
	e.bytes(m.Digest[:])
}

func (m *End) encode(e *encoder) { e.u32(m.Failed) }

func (m *Hint) encode(e *encoder) {
	e.str(m.Plugin, MaxString)
	e.u64(m.RootDev)
	e.u64(m.RootIno)
}

func (m *Verdict) encode(e *encoder) {
	e.u8(uint8(m.Decision))
	e.notes(m.Notes)
}

func (m *List) encode(e *encoder) {
	e.u32(m.Element)
	e.u8(uint8(m.Decision))
	e.str(m.Name, MaxName)
	e.u32(uint32(len(m.Signatures)))
	for i, s := range m.Signatures {
		if len(s.Value) > MaxFileSig || i > 0 && s.File <= m.Signatures[i-1].File {
			e.fail("signature of file %d: %d bytes, after that of file %d", s.File, len(s.Value), m.Signatures[max(i-1, 0)].File)
			return
		}
		e.u32(s.File)
		e.bytes(s.Value)
	}
	e.notes(m.Notes)
}

func (m *Ack) encode(e *encoder)   { e.notes(m.Notes) }
func (m *Error) encode(e *encoder) { e.str(clip(m.Text), MaxString) }
