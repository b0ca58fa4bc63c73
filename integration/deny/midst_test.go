// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"os"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// Its scriptlet waits for the test, so that the transaction is in flight as long
// as that wants: the list is published, the package not yet installed.
const waitingSpec = `
Name: wide
Version: 1
Release: 1
Summary: A package that takes its time
License: Apache-2.0
BuildArch: noarch
%description
A package that takes its time.
%install
mkdir -p %{buildroot}/opt
echo -n wide-miner >%{buildroot}/opt/bad
echo -n wide-tool >%{buildroot}/opt/good
%post -p <lua>
local f = io.open("/opt/wait")
f:read("a")
%files
/opt/bad
/opt/good
`

// A denial during a transaction applies to the packages of that transaction.
func TestInTheMidst(t *testing.T) {
	for _, tc := range []struct {
		name, what string
		lists      []string // at once, and when all is over
	}{
		{"content", "sha256:" + sum("wide-miner"), []string{"tlv-wide-0:1-1.noarch"}},
		{"package", "wide<2", []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, `unsigned = "allow"`)
			files, err := pkgtest.BuildSpec(t.TempDir(), waitingSpec)
			if err == nil {
				err = os.Mkdir(m.Path("/opt"), 0o755)
			}
			if err == nil {
				err = unix.Mkfifo(m.Path("/opt/wait"), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			rpm := m.Root.Command(append([]string{"-i"}, files...)...)
			var said strings.Builder
			rpm.Stdout, rpm.Stderr = &said, &said
			if err := rpm.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- rpm.Wait() }()
			t.Cleanup(func() { rpm.Process.Kill() })
			// Nobody can write to it until the scriptlet reads.
			var wait *os.File
			m.Until("the scriptlet waits", func() bool {
				if len(ended) > 0 {
					t.Fatalf("rpm ended: %v\n%s", <-ended, said.String())
				}
				wait, err = os.OpenFile(m.Path("/opt/wait"), os.O_WRONLY|unix.O_NONBLOCK, 0)
				return err == nil
			})
			m.HasLists("tlv-wide-0:1-1.noarch")
			m.Exits(0, "deny", tc.what, "--reason", "test")
			check := func() {
				t.Helper()
				m.HasLists(tc.lists...)
				if len(tc.lists) > 0 {
					m.has(tc.lists[0], "/opt/good")
				}
			}
			check()
			wait.Close()
			if err := <-ended; err != nil {
				t.Fatalf("rpm: %v\n%s", err, said.String())
			}
			check()
			m.Exits(0, "sync")
			check()
			m.Kill()
			m.Start()
			check()
			m.Exits(0, "deny", "lift", tc.what, "--reason", "test")
			m.vouched("/opt/bad")
			m.Stop()
		})
	}
}
