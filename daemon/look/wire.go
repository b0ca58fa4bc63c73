// SPDX-License-Identifier: Apache-2.0

package look

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/digestd/digestd/digestlist"
)

// Messages between a Pool and its processes, which run the same program. A message has its
// length in 4 bytes, followed by its content. Numbers are big-endian; a string, and a sequence,
// has its length in 2 bytes.
const (
	maxMessage = 64 << 10 // bytes of a message: a path has at most 4096
	maxText    = 16 << 10 // bytes of an error's text
)

var errMessage = errors.New("message is malformed")

type question struct {
	path  string
	algos []digestlist.Algo
}

type answer struct {
	file   File
	text   string // of the error, "" for none
	denied bool
}

func (q *question) append(b []byte) []byte {
	b = appendString(b, q.path)
	b = binary.BigEndian.AppendUint16(b, uint16(len(q.algos)))
	for _, algo := range q.algos {
		b = binary.BigEndian.AppendUint16(b, uint16(algo))
	}
	return b
}

func (q *question) parse(b []byte) error {
	p := parser{rest: b}
	q.path = p.string()
	for range p.number() {
		if p.bad {
			break
		}
		q.algos = append(q.algos, digestlist.Algo(p.number()))
	}
	return p.end()
}

func (a *answer) append(b []byte) []byte {
	b = appendString(b, string(a.file.Kind))
	b = appendString(b, string(a.file.Real))
	b = appendString(b, a.file.Label)
	b = binary.BigEndian.AppendUint16(b, uint16(len(a.file.Digests)))
	for algo, digest := range a.file.Digests {
		b = binary.BigEndian.AppendUint16(b, uint16(algo))
		b = appendString(b, string(digest))
	}
	denied := uint16(0)
	if a.denied {
		denied = 1
	}
	b = binary.BigEndian.AppendUint16(b, denied)
	return appendString(b, a.text[:min(len(a.text), maxText)])
}

func (a *answer) parse(b []byte) error {
	p := parser{rest: b}
	a.file = File{Kind: Kind(p.string())}
	if real := p.string(); real != "" {
		a.file.Real = []byte(real)
	}
	a.file.Label = p.string()
	for range p.number() {
		if p.bad {
			break
		}
		if a.file.Digests == nil {
			a.file.Digests = map[digestlist.Algo][]byte{}
		}
		algo := digestlist.Algo(p.number())
		a.file.Digests[algo] = []byte(p.string())
	}
	a.denied = p.number() != 0
	a.text = p.string()
	return p.end()
}

// send writes a message in one write. A string that is too long for its length field makes the
// message too long as well.
func send(w io.Writer, buf []byte, m interface{ append(b []byte) []byte }) ([]byte, error) {
	buf = m.append(append(buf[:0], 0, 0, 0, 0))
	if len(buf) > maxMessage {
		return buf, fmt.Errorf("cannot send %d bytes: %w", len(buf), errMessage)
	}
	binary.BigEndian.PutUint32(buf, uint32(len(buf)-4))
	_, err := w.Write(buf)
	return buf, err
}

// receive reads a message. The error is io.EOF at the end of the stream.
func receive(r *bufio.Reader, m interface{ parse(b []byte) error }) error {
	head, err := r.Peek(4)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	size := int64(4) + int64(binary.BigEndian.Uint32(head))
	if size > maxMessage {
		return errMessage
	}
	whole, err := r.Peek(int(size))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = m.parse(whole[4:])
		r.Discard(int(size))
	}
	return err
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// parser reads the fields of a message. After a field that is incomplete, all others are zero.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) take(n int) []byte {
	if p.bad || n > len(p.rest) {
		p.bad = true
		return nil
	}
	var b []byte
	b, p.rest = p.rest[:n], p.rest[n:]
	return b
}

func (p *parser) number() uint16 {
	b := p.take(2)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func (p *parser) string() string { return string(p.take(int(p.number()))) }

func (p *parser) end() error {
	if p.bad || len(p.rest) > 0 {
		return errMessage
	}
	return nil
}
