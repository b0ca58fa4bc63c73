// SPDX-License-Identifier: Apache-2.0

package sieve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

var errMalformed = errors.New("the message is malformed")

// reader reads marshalled values. After the first error it returns zeros.
type reader struct {
	order    binary.ByteOrder
	data     string
	at       int
	elements int
	err      error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = len(r.data)
}

func (r *reader) empty() bool { return r.at == len(r.data) }

// take returns the next n bytes.
func (r *reader) take(n uint32) string {
	if uint64(n) > uint64(len(r.data)-r.at) {
		r.fail(errMalformed)
		return ""
	}
	s := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return s
}

func (r *reader) align(n int) { r.take(uint32((n - r.at%n) % n)) }

func (r *reader) byte() byte {
	if s := r.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	r.align(4)
	if s := r.take(4); s != "" {
		return r.order.Uint32([]byte(s))
	}
	return 0
}

func (r *reader) uint64() uint64 {
	r.align(8)
	if s := r.take(8); s != "" {
		return r.order.Uint64([]byte(s))
	}
	return 0
}

// text reads a string, short a signature. What is kept of them must not keep the message.
func (r *reader) text() string {
	s := r.take(r.uint32())
	r.take(1)
	return strings.Clone(s)
}

func (r *reader) short() string {
	s := r.take(uint32(r.byte()))
	r.take(1)
	return strings.Clone(s)
}

// array begins an array and returns where it ends.
func (r *reader) array(align int) (end int) {
	n := r.uint32()
	r.align(align)
	if uint64(n) > uint64(len(r.data)-r.at) {
		r.fail(errMalformed)
		return r.at
	}
	return r.at + int(n)
}

// count counts an element.
func (r *reader) count() bool {
	if r.elements++; r.elements > MaxElements {
		r.fail(fmt.Errorf("the arrays have more than %d elements", MaxElements))
	}
	return r.err == nil
}
