// SPDX-License-Identifier: Apache-2.0

// Package wiretest holds the rpm plugin's parser of replies, its connection and
// its state machine to what package wire and docs/protocol.md say, without rpm:
// it compiles them with a small program of its own, under the address and
// undefined-behaviour sanitizers.
package wiretest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/hooks/wire"
)

var program string // the compiled harness

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot build the harness:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "digestd-wiretest-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "harness")
	cc := exec.Command("cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", "-O1",
		"-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-o", program,
		"testdata/harness.c", "../link.c", "../wait.c", "../wire.c")
	if out, err := cc.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("%w\n%s", err, out)
	}
	return m.Run(), nil
}

// harness is the running program: it answers one frame at a time.
type harness struct {
	mu     sync.Mutex
	in     io.Writer
	out    *bufio.Reader
	stderr bytes.Buffer
}

var start = sync.OnceValues(func() (*harness, error) {
	h := &harness{}
	cmd := exec.Command(program)
	cmd.Stderr = &h.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.in, h.out = in, bufio.NewReaderSize(out, 1<<20)
	return h, cmd.Start()
})

// understood is what the plugin makes of a frame.
func understood(t *testing.T, frame []byte) string {
	t.Helper()
	h, err := start()
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
		t.Fatalf("the harness died: %v\n%s", err, &h.stderr)
	}
	line, err := h.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the harness died: %v\n%s", err, &h.stderr)
	}
	return strings.TrimSuffix(line, "\n")
}

// stream is a connection on which one frame has arrived before it was closed.
type stream struct {
	net.Conn
	*bytes.Reader
}

func (s stream) Read(p []byte) (int, error)      { return s.Reader.Read(p) }
func (s stream) Write(p []byte) (int, error)     { return len(p), nil }
func (s stream) SetReadDeadline(time.Time) error { return nil }

// expected is what package wire makes of a frame, as the harness prints it.
func expected(frame []byte) string {
	conn := wire.NewConn(stream{Reader: bytes.NewReader(frame)})
	m, err := conn.Read(context.Background(), 0, 0)
	if err != nil {
		return "bad"
	}
	var b strings.Builder
	notes := func(notes []wire.Note) string {
		for _, n := range notes {
			fmt.Fprintf(&b, " note %d:%x", n.Level, n.Text)
		}
		return b.String()
	}
	switch m := m.(type) {
	case *wire.Verdict:
		fmt.Fprintf(&b, "verdict %d", m.Decision)
		return notes(m.Notes)
	case *wire.List:
		if strings.Contains(m.Name, "/") {
			return "bad" // the plugin takes a file name only
		}
		fmt.Fprintf(&b, "list %d %d %x", m.Element, m.Decision, m.Name)
		for _, s := range m.Signatures {
			fmt.Fprintf(&b, " %d:%x", s.File, s.Value)
		}
		return notes(m.Notes)
	case *wire.Ack:
		b.WriteString("ack")
		return notes(m.Notes)
	case *wire.Error:
		return fmt.Sprintf("error %x", m.Text)
	}
	return "bad" // a message that only hooks send
}

// messages are some of each kind that the daemon sends.
func messages() []wire.Message {
	notes := []wire.Note{{Level: 0, Text: "told"}, {Level: 2, Text: "why \xff"}}
	many := &wire.List{Decision: wire.ListNamed, Name: "tlv-a-0:1-1.noarch"}
	for i := range 300 {
		many.Signatures = append(many.Signatures, wire.FileSignature{File: uint32(3 * i), Value: bytes.Repeat([]byte{byte(i)}, 256)})
	}
	return []wire.Message{
		&wire.Verdict{Decision: wire.Proceed}, &wire.Verdict{Decision: wire.Refuse, Notes: notes},
		&wire.Verdict{Decision: wire.Assured}, &wire.Ack{}, &wire.Ack{Notes: notes},
		&wire.List{Element: 7, Decision: wire.NoList, Notes: notes}, &wire.List{Decision: wire.RefuseList}, many,
		&wire.Error{Text: "another root"}, &wire.Begin{}, &wire.End{},
	}
}

// encoded is the frame of m.
func encoded(t testing.TB, m wire.Message) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		defer a.Close()
		wire.NewConn(a).Write(m, time.Minute)
	}()
	frame, err := io.ReadAll(b)
	if err != nil || len(frame) == 0 {
		t.Fatal("nothing was encoded", err)
	}
	return frame
}

func TestRepliesAreUnderstood(t *testing.T) {
	sound := 0
	for _, m := range messages() {
		frame := encoded(t, m)
		want := expected(frame)
		if want != "bad" {
			sound++
		}
		if got := understood(t, frame); got != want {
			t.Errorf("%T: understood\n%.200s\nwant\n%.200s", m, got, want)
		}
	}
	if sound != 9 {
		t.Errorf("%d messages are sound, want 9", sound)
	}
}

// Each reply cut short, with a byte too many, and with each byte of its first
// fields changed: the plugin acts on none that package wire refuses.
func TestUnsoundRepliesAreRefused(t *testing.T) {
	for _, m := range messages() {
		frame := encoded(t, m)
		for n := range min(len(frame), 200) {
			if got := understood(t, frame[:n]); got != "bad" {
				t.Errorf("%T cut at %d: understood %.200s", m, n, got)
			}
		}
		if got := understood(t, append(frame[:len(frame):len(frame)], 0)); len(frame) < 4000 && got != "bad" {
			t.Errorf("%T and a byte: understood %.200s", m, got)
		}
		for i := range min(len(frame), 64) {
			for _, change := range []byte{0x01, 0x80, 0xff} {
				other := bytes.Clone(frame)
				other[i] ^= change
				compare(t, other)
			}
		}
	}
}

// compare holds the plugin's reading of a frame to package wire's.
func compare(t *testing.T, frame []byte) {
	t.Helper()
	if len(frame) >= 8 {
		// Bytes after a frame are another violation, tested above.
		length := uint64(binary.BigEndian.Uint32(frame[4:]))
		frame = frame[:min(uint64(len(frame)), 8+length)]
	}
	if got, want := understood(t, frame), expected(frame); got != want {
		t.Errorf("frame %.100x: understood\n%.200s\nwant\n%.200s", frame, got, want)
	}
}

func FuzzReply(f *testing.F) {
	for _, m := range messages() {
		if frame := encoded(f, m); len(frame) < 1000 {
			f.Add(frame)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) { compare(t, frame) })
}

// The table of docs/protocol.md, HEADER: rows are no answer due, strict, late;
// columns are a step, another kind of file, a skipped one, a file, a shared one,
// a named one; 0 goes on, 1 puts off, 2 asks.
func TestWaitTable(t *testing.T) {
	out, err := exec.Command(program, "table").Output()
	if err != nil {
		t.Fatal(err)
	}
	const want = "0 0 0 0 0 0\n2 2 2 2 2 2\n2 0 0 1 2 2\n"
	if string(out) != want {
		t.Errorf("table\n%swant\n%s", out, want)
	}
}
