// SPDX-License-Identifier: Apache-2.0

package rpmfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/kernel/confine"
	"github.com/google/rpmpack"
	"golang.org/x/sys/unix"
)

// The test binary is the process that reads packages, or one that tries what that must not.
const tryVerb = "try-what-is-refused"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == Verb:
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case len(os.Args) == 2 && os.Args[1] == tryVerb:
		os.Exit(tryRefused())
	}
	os.Exit(m.Run())
}

// tryRefused does what the process that reads packages must not, and exits with how much
// of that succeeded.
func tryRefused() (worked int) {
	if err := confine.Process(limitsFor(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 100
	}
	for name, try := range map[string]func() error{
		"open":    func() error { _, err := os.Open("/etc/passwd"); return err },
		"create":  func() error { _, err := os.Create("/tmp/digestd-must-not-exist"); return err },
		"socket":  func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); return err },
		"execute": func() error { return unix.Exec("/bin/true", []string{"true"}, nil) },
		"remove":  func() error { return os.Remove("/tmp/digestd-must-not-exist") },
	} {
		if err := try(); !errors.Is(err, unix.EPERM) {
			fmt.Fprintln(os.Stderr, name, err)
			worked++
		}
	}
	return worked
}

func TestReaderIsConfined(t *testing.T) {
	if out, err := unixCommand(tryVerb); err != nil {
		t.Errorf("what must be refused was not: %v\n%s", err, out)
	}
}

func unixCommand(arg string) (string, error) {
	var out bytes.Buffer
	process, err := os.StartProcess("/proc/self/exe", []string{"test", arg}, &os.ProcAttr{Files: []*os.File{nil, nil, os.Stderr}})
	if err != nil {
		return "", err
	}
	state, err := process.Wait()
	if err == nil && !state.Success() {
		err = errors.New(state.String())
	}
	return out.String(), err
}

var contents = map[string]string{"/usr/bin/one": "first", "/usr/bin/two": strings.Repeat("second ", 1000), "/usr/bin/empty": ""}

func build(t *testing.T, compressor string) []byte {
	t.Helper()
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "hello", Version: "1", Release: "2", Arch: "noarch", Compressor: compressor})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range contents {
		r.AddFile(rpmpack.RPMFile{Name: name, Body: []byte(content), Mode: 0o100755, Owner: "root", Group: "root"})
	}
	r.AddFile(rpmpack.RPMFile{Name: "/usr/bin/link", Body: []byte("one"), Mode: 0o120777, Owner: "root", Group: "root"})
	r.AddFile(rpmpack.RPMFile{Name: "/var/log/ghost", Mode: 0o100644, Owner: "root", Group: "root", Type: rpmpack.GhostFile})
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// readPackage has a package read, here and by a process, which must agree where the package
// is one that can be read.
func readPackage(t *testing.T, data []byte) (*Package, error) {
	t.Helper()
	here, herr := safely(data)
	p, err := readByProcess(t, data)
	if (err == nil) != (herr == nil) || !reflect.DeepEqual(here, p) {
		t.Errorf("a process read %+v, %v; here it is %+v, %v", p, err, here, herr)
	}
	return p, err
}

// safely reads a package and turns what breaks into an error.
func safely(data []byte) (p *Package, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			p, err = nil, fmt.Errorf("%v", broken)
		}
	}()
	return read(bytes.NewReader(data))
}

func readByProcess(t *testing.T, data []byte) (*Package, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "package.rpm")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return Read(t.Context(), "/proc/self/exe", f)
}

func TestRead(t *testing.T) {
	for _, compressor := range []string{"gzip", "zstd", "xz", "lzma"} {
		data := build(t, compressor)
		p, err := readPackage(t, data)
		if err != nil {
			t.Errorf("%s: %v", compressor, err)
			continue
		}
		if p.NEVRA != "hello-1-2.noarch" || p.Compared != len(contents) || len(p.Different) > 0 {
			t.Errorf("%s: %s, %d compared, different %v", compressor, p.NEVRA, p.Compared, p.Different)
		}
		if h, err := header.Parse(p.Header); err != nil {
			t.Errorf("%s: its header: %v", compressor, err)
		} else if _, err := h.Immutable(); err != nil {
			t.Errorf("%s: its region: %v", compressor, err)
		}
		if _, err := header.Parse(p.Signatures); err != nil {
			t.Errorf("%s: its signatures: %v", compressor, err)
		}
	}
}

// repack returns a package of build with another payload under the same headers.
func repack(t *testing.T, data []byte, change func(archive []byte) []byte) []byte {
	t.Helper()
	return repackFrom(t, data, func(archive []byte) io.Reader { return bytes.NewReader(change(archive)) })
}

func repackFrom(t *testing.T, data []byte, change func(archive []byte) io.Reader) []byte {
	t.Helper()
	at := bytes.Index(data, []byte{0x1f, 0x8b})
	r, err := gzip.NewReader(bytes.NewReader(data[at:]))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	buf := bytes.NewBuffer(slices.Clone(data[:at]))
	w, _ := gzip.NewWriterLevel(buf, gzip.BestSpeed)
	_, err = io.Copy(w, change(archive))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// A file of the payload that was exchanged is named, and so is one that is not there.
func TestPayloadThatDiffers(t *testing.T) {
	data := build(t, "gzip")
	p, err := readPackage(t, repack(t, data, func(archive []byte) []byte { return bytes.Replace(archive, []byte("first"), []byte("other"), 1) }))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Different) != 1 || p.Different[0].Path != "/usr/bin/one" || p.Different[0].Kind != Changed || p.Different[0].Expected == p.Different[0].Found {
		t.Errorf("different are %+v", p.Different)
	}
	const entry = 110 // bytes of a header of cpio
	p, err = readPackage(t, repack(t, data, func(archive []byte) []byte { return archive[bytes.Index(archive, []byte("TRAILER!!!"))-entry:] }))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Different) != len(contents) || p.Different[0].Kind != Missing {
		t.Errorf("different are %+v", p.Different)
	}
}

// What unpacks to more than its header says is not read to its end, and what lies in a
// payload and in no header is no package.
func TestLyingPayloads(t *testing.T) {
	good := build(t, "gzip")
	const zeros = 64 << 20 // many times what the header says
	entry := func(name string, mode int, size int, content io.Reader) func(archive []byte) io.Reader {
		head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0) + name + "\x00"
		head += strings.Repeat("\x00", -len(head)&3)
		return func(archive []byte) io.Reader {
			return io.MultiReader(strings.NewReader(head), content, bytes.NewReader(archive))
		}
	}
	endless := func() io.Reader { return io.LimitReader(zeroes{}, zeros) }
	for name, test := range map[string]struct {
		change func(archive []byte) io.Reader
		says   string
	}{
		"a bomb":            {entry("./usr/bin/one", 0o100755, zeros, endless()), `at "/usr/bin/one": it has 67108864 bytes, the header says 5`},
		"a bomb of a link":  {entry("./usr/bin/link", 0o120777, zeros, endless()), `at "/usr/bin/link": it has 67108864 bytes, the header says 3`},
		"a file twice":      {entry("./usr/bin/one", 0o100755, 0, strings.NewReader("")), `has "/usr/bin/one" more than once`},
		"a path that leads": {entry("./../../etc/passwd", 0o100644, 4, strings.NewReader("root")), `it has "/../../etc/passwd", which the header does not have`},
		"another file":      {entry("./etc/passwd", 0o100644, 4, strings.NewReader("root")), `it has "/etc/passwd", which the header does not have`},
		"more at its end": {func(archive []byte) io.Reader {
			return io.MultiReader(bytes.NewReader(archive), strings.NewReader("more"))
		},
			"does not have the digest that its header says"},
	} {
		data := repackFrom(t, good, test.change)
		began := time.Now()
		if _, err := readPackage(t, data); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	for size, want := range map[int64]uint64{0: 60, 1 << 20: 61, 100 << 20: 160, 1 << 40: 600} {
		if got := limitsFor(size)[unix.RLIMIT_CPU]; got != want {
			t.Errorf("%d bytes may take %d s of a processor, want %d", size, got, want)
		}
	}
}

// zeroes are as many as somebody reads.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The caller gets an error about a bad file, and goes on.
func TestHostilePackages(t *testing.T) {
	good := build(t, "gzip")
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte("#!/bin/sh\n"), "lead alone": good[:leadSize], "cut": good[:len(good)-20],
		"a header of 4 GiB": slices.Concat(good[:leadSize], []byte(header.Magic), bytes.Repeat([]byte{0xff}, 8)),
		"no payload":        good[:bytes.Index(good, []byte{0x1f, 0x8b})],
	} {
		if p, err := readPackage(t, data); err == nil {
			t.Errorf("%s was read: %+v", name, p)
		} else if !strings.Contains(err.Error(), "cannot read package") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Each byte of the headers exchanged: what reads them may say or break what it wants. Of
	// some a process does, which must end with an answer or an error.
	ends := bytes.Index(good, []byte{0x1f, 0x8b})
	few := ends / 8
	for at := leadSize; at < ends; at++ {
		data := slices.Clone(good)
		data[at] ^= 0xff
		if at%few == 0 {
			readPackage(t, data)
		} else {
			safely(data)
		}
	}
}

// A reader that says nothing, or no end, is an error within the caller's time.
func TestReaderThatFails(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"cancelled":   func() error { _, err := Read(ctx, "/proc/self/exe", f); return err },
		"no program":  func() error { _, err := Read(t.Context(), "/nonexistent", f); return err },
		"says no":     func() error { _, err := Read(t.Context(), "/bin/false", f); return err },
		"says no end": func() error { _, err := Read(t.Context(), "/usr/bin/yes", f); return err },
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
