// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/bench/gendb"
)

// place is a machine in a directory, on which digestd runs in the process of the test.
type place struct {
	dir    string
	config string // path of the configuration
	bus    string // its setting
	db     *gendb.Database
}

// newPlace writes a configuration, and a database of rpm's without packages.
func newPlace(t *testing.T) place {
	t.Helper()
	p := place{dir: t.TempDir(), bus: "none"}
	p.config = filepath.Join(p.dir, "digestd.conf")
	var err error
	if p.db, err = gendb.NewDatabase(filepath.Join(p.dir, "root/rpm")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.db.Close() })
	p.configure(t, "")
	return p
}

// configure writes the configuration, with some lines more.
func (p place) configure(t *testing.T, more string) {
	t.Helper()
	var c strings.Builder
	for setting, name := range map[string]string{"root": "root", "state": "state", "lists": "lists", "image-lists": "image/lists", "socket": "run/hook.sock",
		"keys": "keys.d", "revoked": "revoked.d", "blacklist": "blacklist.d", "policy": "policy.d"} {
		fmt.Fprintf(&c, "%s = %q\n", setting, p.path(name))
	}
	fmt.Fprintf(&c, "bus = %q\n", p.bus)
	c.WriteString("audit-trail = \"none\"\nlabels = false\ndbpath = \"/rpm\"\n" + more)
	write(t, p.config, c.String())
}

func (p place) path(name string) string { return filepath.Join(p.dir, name) }

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// manager is a service manager, as far as it is told of states.
type manager struct{ *net.UnixConn }

// newManager starts one, for this process.
func newManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{c}
}

// await waits until the manager is told something of which each part is in one message.
func (m manager) await(t *testing.T, parts ...string) {
	t.Helper()
	m.SetReadDeadline(time.Now().Add(time.Minute))
	buffer := make([]byte, 1<<16)
next:
	for {
		n, err := m.Read(buffer)
		if err != nil {
			t.Fatalf("the service manager is not told %q: %v", parts, err)
		}
		for _, part := range parts {
			if !strings.Contains(string(buffer[:n]), part) {
				continue next
			}
		}
		return
	}
}

// runs starts digestd, and returns what ends it and checks that it ended well.
func (p place) runs(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, p.config, false) }()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("digestd ended: %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("digestd does not end")
		}
	}
}
