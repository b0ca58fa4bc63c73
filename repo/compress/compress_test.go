// SPDX-License-Identifier: Apache-2.0

package compress

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Files that real tools compressed are read as they were.
func TestOpen(t *testing.T) {
	text := []byte(strings.Repeat("<package name=\"a\"/>\n", 5000))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"cat", "gzip -c", "bzip2 -c", "xz -c", "zstd -q -c", "zck -o /dev/stdout"} {
		args := append(strings.Fields(command), file)
		packed, err := exec.Command(args[0], args[1:]...).Output()
		if args[0] == "zck" { // it needs a file
			if out, err := exec.Command("zck", "-o", file+".zck", file).CombinedOutput(); err != nil {
				t.Fatalf("zck: %v\n%s", err, out)
			}
			packed, err = os.ReadFile(file + ".zck")
		}
		if err != nil {
			t.Fatalf("%s (integration/setup.sh test installs it): %v", command, err)
		}
		r, err := Open(bytes.NewReader(packed))
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, %v", command, len(got), err)
		}
		if command == "cat" {
			continue
		}
		if r, err := Open(bytes.NewReader(packed[:len(packed)/2])); err == nil {
			if _, err := io.ReadAll(r); err == nil {
				t.Errorf("half of what %s makes is read", command)
			}
		}
	}
	for _, magic := range []string{"\x1f\x8b", "\xfd7zXZ\x00", "\x00ZCK1"} {
		if _, err := Open(strings.NewReader(magic)); err == nil || !strings.Contains(err.Error(), "cannot decompress") {
			t.Errorf("%q: %v", magic, err)
		}
	}
}
