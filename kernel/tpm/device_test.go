// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
)

// answers is a TPM that has answered already.
type answers struct{ io.Reader }

func (answers) Write(p []byte) (int, error) { return len(p), nil }

// FuzzResponse: a response is as long as it says, however it arrives, or an error.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("\x80\x01\x00\x00\x00\x0a\x00\x00\x00\x00"))
	f.Add([]byte("\x80\x01\x00\x00\x00\x0c\x00\x00\x00\x00ab"))
	f.Add([]byte("\x80\x01\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add([]byte("\x80\x01\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, err := exchange(answers{bytes.NewReader(data)}, nil)
		slow, slowErr := exchange(answers{iotest.OneByteReader(bytes.NewReader(data))}, nil)
		if err == nil && (slowErr != nil || !bytes.Equal(whole, slow)) {
			t.Errorf("%x is read as %x, and byte by byte as %x, %v", data, whole, slow, slowErr)
		}
		if err == nil && (len(whole) != len(data) || int(binary.BigEndian.Uint32(data[2:])) != len(whole)) {
			t.Errorf("%x is read as %x", data, whole)
		}
	})
}
