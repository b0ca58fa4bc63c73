// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/google/go-cmp/cmp"
)

// A frame of zypper 1.14.89.
const commitBegin = `{
"TransactionStepList": [{
"solvable": {
"a": "noarch",
"n": "other",
"r": "1",
"v": "1"
},
"type": "+"
}, {
"solvable": {
"a": "x86_64",
"e": "2",
"n": "kernel-default",
"r": "1.1",
"v": "6.4.0"
},
"type": "M"
}, {
"solvable": {"a": "noarch", "e": 3, "n": "tool", "r": "1", "v": 2},
"type": "-"
}, {
"solvable": {"a": "noarch", "n": "obsoleted", "r": "1", "v": "2"}
}, {
"solvable": {"a": "noarch", "n": "patch:fix", "r": "1", "v": "2"},
"type": "+"
}, {
"solvable": {"a": "src", "n": "tool", "r": "1", "v": "2"},
"type": "+"
}]
}`

func TestZyppPackages(t *testing.T) {
	packages, err := zyppPackages([]byte(commitBegin))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := elements(packages)
	want := []wire.Element{
		{Type: wire.Added, NEVRA: nevra.NEVRA{Name: "other", EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}},
		{Type: wire.Added, NEVRA: nevra.NEVRA{Name: "kernel-default", EVR: nevra.EVR{Epoch: 2, Version: "6.4.0", Release: "1.1"}, Arch: "x86_64"}},
		{Type: wire.RemovedElement, NEVRA: nevra.NEVRA{Name: "tool", EVR: nevra.EVR{Epoch: 3, Version: "2", Release: "1"}, Arch: "noarch"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, bad := range []string{"", "[]", "{", `{"TransactionStepList": 1}`, `{"TransactionStepList": [{"solvable": {"n": {}}, "type": "+"}]}`} {
		if _, err := zyppPackages([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestFrames(t *testing.T) {
	read := func(text string) (all []frame, err error) {
		f := newFrames(strings.NewReader(text), io.Discard)
		for {
			m, err := f.read()
			if err != nil {
				return all, err
			}
			all = append(all, m)
		}
	}
	got, err := read("A\ncontent-length:0\n\n\x00B\nx:y\n\nbody\n\x00C\ncontent-length: 3\n\na\x00b\x00D\n\n\x00")
	want := []frame{{"A", []byte{}}, {"B", []byte("body\n")}, {"C", []byte("a\x00b")}, {"D", []byte{}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(frame{})); !errors.Is(err, io.EOF) || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, bad := range []string{
		"A", "A\n", "A\n\n", "A\n\nbody", "A\ncontent-length:4\n\nabc\x00", "A\ncontent-length:4\n\nabcde\x00",
		"A\ncontent-length:-1\n\n\x00", "A\ncontent-length:99999999999\n\n", "A\ncontent-length:x\n\n\x00",
		strings.Repeat("A", maxHead+1), "A\n" + strings.Repeat("x:y\n", maxHead/4),
	} {
		if got, err := read(bad); err == nil || errors.Is(err, io.EOF) || len(got) > 0 {
			t.Errorf("%.40q: %v, %v", bad, got, err)
		}
	}
	endless := newFrames(io.MultiReader(strings.NewReader("A\n\n"), repeat('x')), io.Discard)
	if _, err := endless.read(); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a body without an end: %v", err)
	}
}

// repeat reads as one byte for ever.
type repeat byte

func (r repeat) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r)
	}
	return len(b), nil
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("COMMITBEGIN\ncontent-length:2\n\n{}\x00"))
	f.Add([]byte("COMMITBEGIN\n\n" + commitBegin + "\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := newFrames(bytes.NewReader(data), io.Discard)
		for {
			m, err := in.read()
			if err != nil {
				return
			}
			if len(m.body) > len(data) || len(m.command) > maxHead {
				t.Fatalf("%d bytes make a body of %d", len(data), len(m.body))
			}
			if packages, err := zyppPackages(m.body); err == nil {
				_, _, _ = elements(packages)
			}
		}
	})
}

// A frame that ends in the middle does not hold the hook for ever.
func TestFrameDeadline(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	f := newFrames(expired{pollable(in)}, io.Discard)
	fmt.Fprint(out, "COMMITBEGIN\n")
	if _, err := f.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// expired has every deadline be near.
type expired struct{ *os.File }

func (e expired) SetReadDeadline(when time.Time) error {
	if !when.IsZero() {
		when = time.Now().Add(10 * time.Millisecond)
	}
	return e.File.SetReadDeadline(when)
}

// libzypp hears in any case that all is well; only its refusal, or the administrator's, stops
// anything.
func TestCommitPlugin(t *testing.T) {
	const talk = "PLUGINBEGIN\ncontent-length:0\n\n\x00COMMITBEGIN\n\n" + commitBegin + "\x00COMMITEND\n\n{}\x00PLUGINEND\n\n\x00_DISCONNECT\n\n\x00"
	const said = "ACK\n\n\x00ACK\n\n\x00ACK\n\n\x00ACK\n\n\x00ACK\nexit:0\n\n\x00"
	verdict := func(v *wire.Verdict) func(net.Conn, *wire.Begin) {
		return func(c net.Conn, b *wire.Begin) {
			if b.Plugin != "digestd-hook zypper" || len(b.Elements) != 3 || !b.Check() {
				t.Errorf("asked %+v", b)
			}
			wire.NewConn(c).Write(v, time.Minute)
		}
	}
	refusal := &wire.Verdict{Decision: wire.Refuse, Notes: []wire.Note{{Level: wire.LevelError, Text: "no"}}}
	away := options{socket: "/nonexistent/sock", budget: time.Second}
	refuses := away
	refuses.refuse = true
	for _, tc := range []struct {
		name  string
		o     options
		quiet bool
		talk  string
		want  string
	}{
		{"proceed", serve(t, verdict(&wire.Verdict{Decision: wire.Proceed})), false, talk, ""},
		{"refuse", serve(t, verdict(refusal)), false, talk, "no"},
		{"away", away, false, talk, ""},
		{"away, which the administrator does not want", refuses, false, talk, "no answer at /nonexistent/sock"},
		{"rpm's plugin is not loaded", refuses, true, talk, ""},
		{"not understood", refuses, false, strings.Replace(talk, "TransactionStepList\"", "", 1), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			var why []string
			c := commit{options: tc.o, silent: tc.quiet, root: root{path: "/", dev: 1, ino: 1}, stop: func(w []string) { why = w }}
			if err := c.serve(context.Background(), newFrames(strings.NewReader(tc.talk), &out)); err != nil || out.String() != said {
				t.Errorf("%v, answers %q", err, out.String())
			}
			if got := strings.Join(why, "\n"); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("says %q, want %q", got, tc.want)
			}
		})
	}
}
