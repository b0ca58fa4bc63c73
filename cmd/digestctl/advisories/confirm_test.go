// SPDX-License-Identifier: Apache-2.0

package advisories_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/ctltest"
)

// At a terminal import asks, and sets floors for yes alone.
func TestImportAsks(t *testing.T) {
	w := ctltest.NewWorld(t)
	w.Start()
	file := filepath.Join(t.TempDir(), "updateinfo.xml")
	if err := os.WriteFile(file, []byte(`<updates><update type="security"><id>VSA-2026:0001</id><pkglist><collection>
<package name="bash" epoch="0" version="5.2" release="2" arch="x86_64"/></collection></pkglist></update></updates>`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		typed string
		set   bool
	}{{"\n", false}, {"no\n", false}, {"yess\n", false}, {"\x04", false}, {" YES \n", true}} {
		screen, terminal, err := ctltest.OpenTerminal(200)
		if err != nil {
			t.Fatal(err)
		}
		cmd := w.Digestctl("advisories", "import", file)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		// The terminal keeps what is typed before it is asked for.
		if _, err := io.WriteString(screen, tc.typed); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		terminal.Close()
		shown, _ := io.ReadAll(screen) // it ends with EIO
		screen.Close()
		err = cmd.Wait()
		said := string(shown)
		if !strings.Contains(said, "set these floors? [y/N] ") || strings.Contains(said, "1 floor is set") != tc.set || strings.Contains(said, "nothing was changed") == tc.set || (err == nil) != tc.set {
			t.Errorf("%q: %v\n%s", tc.typed, err, said)
		}
		floors, err := w.Digestctl("floor", "list").Output()
		if err != nil || strings.Contains(string(floors), "bash.x86_64  0:5.2-2") != tc.set {
			t.Errorf("%q: %v\n%s", tc.typed, err, floors)
		}
	}
}
