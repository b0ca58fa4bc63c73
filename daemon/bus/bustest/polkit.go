// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// enter gives polkitd directories of its own: the places it looks in are fixed.
const enter = `
set -e
mount --bind "$1/actions" /usr/share/polkit-1/actions
for dir in /etc/polkit-1/rules.d /usr/share/polkit-1/rules.d; do
	mkdir -p $dir
	mount --bind "$1/rules" $dir
done
shift
exec "$@"
`

// Polkit runs the real polkitd on the bus. It knows the actions of the policy
// file and decides by rules, in its JavaScript.
func (b *Bus) Polkit(policy, rules string) {
	b.tb.Helper()
	dir, err := os.MkdirTemp("", "digestd-polkit-")
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() { os.RemoveAll(dir) })
	text, err := os.ReadFile(policy)
	if err != nil {
		b.tb.Fatal(err)
	}
	for name, content := range map[string][]byte{"actions/" + filepath.Base(policy): text, "rules/50-test.rules": []byte(rules)} {
		path := filepath.Join(dir, name)
		// polkitd reads them as a user of its own.
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.tb.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			b.tb.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		b.tb.Fatal(err)
	}
	var output lockedBuffer
	cmd := exec.Command("unshare", "--mount", "sh", "-c", enter, "sh", dir, polkitd(b.tb))
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+b.Address)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		b.tb.Fatalf("cannot run polkitd: %v", err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	b.tb.Cleanup(func() { cmd.Process.Kill(); <-ended })
	conn, err := dbus.Connect(b.Address)
	if err != nil {
		b.tb.Fatal(err)
	}
	defer conn.Close()
	// It owns its name once it has read everything.
	for owned, end := false, time.Now().Add(time.Minute); !owned; time.Sleep(10 * time.Millisecond) {
		conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.PolicyKit1").Store(&owned)
		select {
		case <-ended:
			b.tb.Fatalf("polkitd ended:\n%s", output.String())
		default:
		}
		if time.Now().After(end) {
			b.tb.Fatalf("polkitd is not on the bus:\n%s", output.String())
		}
	}
}

// polkitd finds the program, which is in nobody's path.
func polkitd(tb testing.TB) string {
	tb.Helper()
	for _, path := range []string{"/usr/lib/polkit-1/polkitd", "/usr/libexec/polkit-1/polkitd", "/usr/libexec/polkitd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	tb.Fatal("there is no polkitd; integration/setup.sh test installs it")
	return ""
}

// lockedBuffer is written by a program while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
