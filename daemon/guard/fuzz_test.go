// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/kernel/guard"
)

// FuzzServer sends bytes to a server, which answers or ends the connection, and goes on
// to serve others.
func FuzzServer(f *testing.F) {
	for _, frame := range []string{
		"\x01\x01\x00\x00\x00\x00\x00\x00",
		"\x01\x02\x00\x00\x00\x00\x00\x20" + "0123456789abcdef0123456789abcdef",
		"\x01\x05\x00\x00\x00\x00\x00\x04\x00\x00\x00\x01" +
			"\x01\x06\x00\x00\x00\x00\x00\x24" + "0123456789abcdef0123456789abcdef\x00\x00\x00\x01" +
			"\x01\x07\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x01",
		"\x01\x08\x00\x00\x00\x00\x00\x10" + `{"mode":"audit"}`,
		"\x01\x0a\x00\x00\x00\x00\x00\x00",
	} {
		f.Add([]byte(frame))
	}
	path := filepath.Join(f.TempDir(), "guard.sock")
	stop, err := guardtest.Serve(path, guardtest.NewMemory(), enforcing(), new(protocol.Log), os.Getuid())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { stop() })
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		go func() {
			c.Write(b)
			c.CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
			t.Fatal("the server holds the connection")
		}
		if _, err := dial(t, path).Listed(t.Context(), []guard.Digest{{}}); err != nil {
			t.Fatalf("others are not served: %v", err)
		}
	})
}
