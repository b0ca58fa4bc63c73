// SPDX-License-Identifier: Apache-2.0

package look

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist"
)

func TestMessages(t *testing.T) {
	var stream bytes.Buffer
	questions := []question{{path: "/"}, {path: strings.Repeat("/long", 900), algos: []digestlist.Algo{digestlist.SHA256, digestlist.SHA512}}}
	answers := []answer{
		{file: File{Kind: Missing}},
		{file: File{Kind: Regular, Real: []byte("/with\nline and \xff"), Label: "label", Digests: map[digestlist.Algo][]byte{digestlist.SHA256: []byte("1"), digestlist.SHA384: []byte("two")}}},
		{text: "cannot read", denied: true},
	}
	var buf []byte
	var err error
	for _, q := range questions {
		if buf, err = send(&stream, buf, &q); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range answers {
		if buf, err = send(&stream, buf, &a); err != nil {
			t.Fatal(err)
		}
	}
	r := bufio.NewReaderSize(&stream, maxMessage)
	for _, want := range questions {
		var got question
		if err := receive(r, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v, not %+v", got, err, want)
		}
	}
	for _, want := range answers {
		var got answer
		if err := receive(r, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v, not %+v", got, err, want)
		}
	}
	if err := receive(r, new(answer)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := send(io.Discard, nil, &question{path: strings.Repeat("x", maxMessage)}); !errors.Is(err, errMessage) {
		t.Errorf("a message that is too long: %v", err)
	}
	var got answer
	if _, err := send(&stream, nil, &answer{text: strings.Repeat("x", 2*maxMessage)}); err != nil {
		t.Errorf("an error that is too long: %v", err)
	} else if err := receive(bufio.NewReaderSize(&stream, maxMessage), &got); err != nil || len(got.text) != maxText {
		t.Errorf("an error that is too long comes as %d bytes, %v", len(got.text), err)
	}
}

func FuzzReceive(f *testing.F) {
	for _, m := range []interface{ append(b []byte) []byte }{
		&question{path: "/file", algos: []digestlist.Algo{digestlist.SHA256}},
		&answer{file: File{Kind: Regular, Real: []byte("/file"), Digests: map[digestlist.Algo][]byte{digestlist.SHA256: []byte("1")}}},
	} {
		var b bytes.Buffer
		if _, err := send(&b, nil, m); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:b.Len()-1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var q question
		if receive(bufio.NewReaderSize(bytes.NewReader(data), maxMessage), &q) == nil {
			var b bytes.Buffer
			if _, err := send(&b, nil, &q); err != nil || !bytes.HasPrefix(data, b.Bytes()) {
				t.Errorf("%q is read, and written as %q (%v)", data, b.Bytes(), err)
			}
		}
		var a answer
		receive(bufio.NewReaderSize(bytes.NewReader(data), maxMessage), &a)
	})
}
