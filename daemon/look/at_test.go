// SPDX-License-Identifier: Apache-2.0

package look

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

func openRoot(t *testing.T, dir string) *kernel.Root {
	t.Helper()
	root, err := kernel.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// digestctl looks in its own process.
func TestAt(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "content")
	if err := errors.Join(os.Symlink("/file", filepath.Join(dir, "link")), os.Symlink("loop", filepath.Join(dir, "loop")),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644)); err != nil {
		t.Fatal(err)
	}
	root := openRoot(t, dir)
	for path, want := range map[string]Kind{"file": Regular, "/link": Regular, "absent": Missing, "file/below": Missing, "fifo": NotRegular, "/": NotRegular} {
		found, err := At(t.Context(), root, path)
		if err != nil || found.Kind != want {
			t.Errorf("%s: %+v, %v, want %s", path, found, err, want)
		}
	}
	found, err := At(t.Context(), root, "link", digestlist.SHA256, digestlist.SHA384, digestlist.SHA512)
	if err != nil || string(found.Real) != filepath.Join(dir, "file") {
		t.Fatalf("%+v, %v", found, err)
	}
	a, b, c := sha256.Sum256([]byte("content")), sha512.Sum384([]byte("content")), sha512.Sum512([]byte("content"))
	for algo, want := range map[digestlist.Algo][]byte{digestlist.SHA256: a[:], digestlist.SHA384: b[:], digestlist.SHA512: c[:]} {
		if !bytes.Equal(found.Digests[algo], want) {
			t.Errorf("%s is %x, want %x", algo, found.Digests[algo], want)
		}
	}
	if _, err := At(t.Context(), root, "loop"); err == nil {
		t.Error("a link to itself leads somewhere")
	}
	if _, err := At(t.Context(), root, "file", digestlist.Algo(250)); err == nil || !strings.Contains(err.Error(), "no list has digests by") {
		t.Errorf("an algorithm that nobody has: %v", err)
	}
	if found, err := At(t.Context(), openRoot(t, "/"), "/proc/version"); err != nil || found.Kind != MadeUp {
		t.Errorf("what the kernel makes up: %+v, %v", found, err)
	}
	write(t, filepath.Join(dir, "large"), "")
	if err := os.Truncate(filepath.Join(dir, "large"), maxRead+1); err != nil {
		t.Fatal(err)
	}
	if _, err := At(t.Context(), root, "large", digestlist.SHA256); err == nil || !strings.Contains(err.Error(), "the limit for this request") {
		t.Errorf("a file that is too large: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := At(ctx, root, "file", digestlist.SHA256); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	write(t, filepath.Join(dir, "secret"), "x")
	if err := os.Chmod(filepath.Join(dir, "secret"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := At(t.Context(), root, "secret", digestlist.SHA256); os.Geteuid() != 0 && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a file that may not be read: %v", err)
	}
}

// A process that looks answers question by question, and ends at what is none.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "content")
	var in, out bytes.Buffer
	for _, q := range []question{{path: "/file", algos: []digestlist.Algo{digestlist.SHA256}}, {path: "/absent"}, {path: "/file", algos: []digestlist.Algo{250}}} {
		if _, err := send(&in, nil, &q); err != nil {
			t.Fatal(err)
		}
	}
	if err := Serve(dir, &in, &out); err != nil {
		t.Fatal(err)
	}
	var answers []answer
	for r := bufio.NewReaderSize(&out, maxMessage); ; {
		var a answer
		err := receive(r, &a)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	sum := sha256.Sum256([]byte("content"))
	if len(answers) != 3 || !bytes.Equal(answers[0].file.Digests[digestlist.SHA256], sum[:]) || answers[1].file.Kind != Missing || answers[2].text == "" {
		t.Errorf("answered %+v", answers)
	}
	for _, text := range []string{"no question\n", strings.Repeat("x", maxMessage+1) + "\n"} {
		if err := Serve(dir, strings.NewReader(text), &out); err == nil {
			t.Errorf("%.20q was a question", text)
		}
	}
	if err := Serve(filepath.Join(dir, "absent"), &in, &out); err == nil {
		t.Error("served without a root")
	}
}
