// SPDX-License-Identifier: Apache-2.0

package zck

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// text is what a repository may have: much that comes again, in many chunks.
func text() []byte {
	var b bytes.Buffer
	for i := range 6_000 {
		fmt.Fprintf(&b, "<package name=%q arch=\"x86_64\" epoch=\"0\" version=\"%d\" release=\"1\"/>\n", fmt.Sprint("package-", i*7919%6_000), i%100)
	}
	return b.Bytes()
}

// made is what zck makes of data.
func made(t *testing.T, data []byte, args ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("zck", append(args, "-o", file+".zck", file)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("zck (integration/setup.sh test installs it): %v\n%s", err, out)
	}
	packed, err := os.ReadFile(file + ".zck")
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func read(data []byte) ([]byte, error) {
	z, err := NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func TestAgainstZchunk(t *testing.T) {
	dict := filepath.Join(t.TempDir(), "dict")
	if err := os.WriteFile(dict, []byte(strings.Repeat("<package name=\"package-\" arch=\"x86_64\" epoch=\"0\" version=\"", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	data := text()
	for name, x := range map[string]struct {
		data []byte
		args []string
	}{
		"many chunks":       {data, nil},
		"with a dictionary": {data, []string{"--dict", dict}},
		"split by a word":   {data, []string{"-m", "--split", "<package name=\"package-1"}},
		"small":             {[]byte("hello"), nil},
		"not compressed":    {data, []string{"--compression-format=none"}},
		"digests twice":     {data, []string{"-u"}},
	} {
		t.Run(name, func(t *testing.T) {
			packed := made(t, x.data, x.args...)
			got, err := read(packed)
			if err != nil || !bytes.Equal(got, x.data) {
				t.Fatalf("%d bytes, %v; want %d", len(got), err, len(x.data))
			}
			cmd := exec.Command("unzck", "--stdout")
			file := filepath.Join(t.TempDir(), "f.zck")
			if err := os.WriteFile(file, packed, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd.Args = append(cmd.Args, file)
			if theirs, err := cmd.Output(); err != nil || !bytes.Equal(theirs, got) {
				t.Errorf("unzck reads %d bytes, %v", len(theirs), err)
			}
		})
	}
}

// A byte that changed anywhere is noticed, and so is every end before the end.
func TestDamaged(t *testing.T) {
	data := text()[:200_000]
	packed := made(t, data)
	step := len(packed)/300 + 1
	for i := 0; i < len(packed); i += step {
		bad := bytes.Clone(packed)
		bad[i] ^= 0x40
		if got, err := read(bad); err == nil && !bytes.Equal(got, data) {
			t.Errorf("byte %d changed, and %d bytes are read", i, len(got))
		}
		if got, err := read(packed[:i]); err == nil {
			t.Errorf("cut at %d, and %d bytes are read", i, len(got))
		}
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "cut short",
		"no zchunk":        "no zchunk file",
		Magic:              "cut short",
		Magic + "\x89\x80": "unknown kind",
		Magic + "\x81" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00": "too large",
		Magic + "\x81\x7f\x7f\x7f\x7f\xff":                                  "at most",
		Magic + "\x81\x90" + strings.Repeat("x", 40):                        "cut short",
		Magic + "\x81\x90" + strings.Repeat("x", 48):                        "another checksum",
	} {
		if _, err := read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(Magic + "\x81\x90" + strings.Repeat("x", 48)))
	f.Fuzz(func(t *testing.T, data []byte) {
		z, err := NewReader(bytes.NewReader(data))
		if err == nil {
			io.Copy(io.Discard, io.LimitReader(z, 1<<24))
		}
	})
}
