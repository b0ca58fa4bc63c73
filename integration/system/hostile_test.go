// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/pkgtest"
)

// strangerVariable makes the test binary connect to the socket it names and say
// how that went.
const strangerVariable = "DIGESTD_TEST_STRANGER"

func beStranger() int {
	conn, err := net.Dial("unix", os.Getenv(strangerVariable))
	if err != nil {
		fmt.Println("cannot connect:", err)
		return 0
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(pkgtest.Patience))
	answer, err := io.ReadAll(conn)
	fmt.Printf("%q %v\n", answer, err)
	return 0
}

func TestPeerThatIsNotRoot(t *testing.T) {
	m := start(t)
	// The directories that lead here are the test's own.
	for dir := m.Dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "stranger")
	os.Chmod(filepath.Dir(program), 0o755)
	os.Chmod(filepath.Dir(filepath.Dir(program)), 0o755)
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(program, self, 0o755)
	}
	m.OK(err)
	ask := func() string {
		cmd := exec.Command(program)
		cmd.Env = []string{strangerVariable + "=" + m.In("run", "hook.sock")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := ask(); !strings.Contains(got, "permission denied") {
		t.Errorf("socket as it is: %s", got)
	}
	m.OK(os.Chmod(m.In("run", "hook.sock"), 0o666))
	if got := ask(); !strings.Contains(got, "uid 65534") {
		t.Errorf("socket open to all: %s", got)
	}
}

// dial connects to the daemon as a package manager would.
func (m *machine) dial() *net.UnixConn {
	m.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: m.In("run", "hook.sock"), Net: "unix"})
	m.OK(err)
	m.Cleanup(func() { conn.Close() })
	return conn
}

func (m *machine) begin(elements ...wire.Element) *wire.Begin {
	m.Helper()
	id := func(path string) (dev, ino uint64) {
		var st syscall.Stat_t
		m.OK(syscall.Stat(path, &st))
		return st.Dev, st.Ino
	}
	b := &wire.Begin{Plugin: "test", Root: m.In("root"), DBPath: "/var/lib/rpm", Elements: elements}
	b.RootDev, b.RootIno = id(m.In("root"))
	b.DBDev, b.DBIno = id(m.In("root", "var/lib/rpm"))
	return b
}

func brings(name, version string) wire.Element {
	return wire.Element{Type: wire.Added, NEVRA: nevra.NEVRA{Name: name, EVR: nevra.EVR{Version: version, Release: "1"}, Arch: "noarch"}}
}

// TestPeersThatMisbehave: whatever one connection does, the next one is served.
func TestPeersThatMisbehave(t *testing.T) {
	m := start(t)
	frame := func(version, kind byte, length uint32, payload string) string {
		return string(binary.BigEndian.AppendUint32([]byte{version, kind, 0, 0}, length)) + payload
	}
	for name, bytes := range map[string]string{
		"nothing":           "",
		"garbage":           strings.Repeat("\xde\xad\xbe\xef", 1000),
		"half a frame":      frame(1, 1, 100, "short"),
		"oversized frame":   frame(1, 1, 1<<31, ""),
		"other version":     frame(9, 1, 0, ""),
		"unknown type":      frame(1, 77, 0, ""),
		"header first":      frame(1, 2, 4, "\x00\x00\x00\x00"),
		"truncated begin":   frame(1, 1, 3, "\x00\x00\x00"),
		"lying string":      frame(1, 1, 8, "\xff\xff\xff\xff\xff\xff\xff\xff"),
		"a frame and a bit": frame(1, 6, 4, "\x00\x00\x00\x00") + "\x01",
	} {
		t.Run(name, func(t *testing.T) {
			conn := m.dial()
			if _, err := conn.Write([]byte(bytes)); err != nil && !errors.Is(err, syscall.EPIPE) {
				t.Fatal(err)
			}
			conn.CloseWrite()
			conn.SetReadDeadline(time.Now().Add(pkgtest.Patience))
			if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("digestd did not hang up: %v", err)
			}
		})
	}
	m.RPM("-U", m.build("fine-1-1.noarch"))
	m.WantLists("tlv-fine-0:1-1.noarch")
}

// TestPeersThatStall: connections that say nothing take none from others, and a
// package manager that dies within a transaction leaves nothing behind.
func TestPeersThatStall(t *testing.T) {
	m := start(t)
	for range 20 {
		m.dial()
	}
	conn := m.dial()
	client := wire.NewClient(conn)
	file := m.build("half-1-1.noarch")
	verdict, err := client.Begin(t.Context(), m.begin(brings("half", "1")))
	if err != nil || verdict.Decision != wire.Assured {
		t.Fatalf("verdict %+v, %v", verdict, err)
	}
	region, sigs := m.headerOf(file)
	list, err := client.Header(t.Context(), &wire.Header{Type: wire.Added, Region: region, Signatures: sigs})
	if err != nil || list.Decision != wire.ListNamed {
		t.Fatalf("list %+v, %v", list, err)
	}
	m.WantLists("tlv-half-0:1-1.noarch")
	conn.Close()
	m.WantLists()
	m.RPM("-U", m.build("fine-1-1.noarch"))
	m.WantLists("tlv-fine-0:1-1.noarch")
}

// TestHostileHeaders: a header that no honest package has costs its package the
// list, not the transaction its end.
func TestHostileHeaders(t *testing.T) {
	m := start(t)
	region, sigs := m.headerOf(m.build("good-1-1.noarch"))
	change := func(at int, value uint32) []byte {
		b := append([]byte(nil), region...)
		binary.BigEndian.PutUint32(b[at:], value)
		return b
	}
	flipped := append([]byte(nil), region...)
	flipped[len(flipped)-20] ^= 1
	for name, h := range map[string]*wire.Header{
		"empty":               {Region: nil, Signatures: sigs},
		"truncated":           {Region: region[:len(region)/2], Signatures: sigs},
		"one byte short":      {Region: region[:len(region)-1], Signatures: sigs},
		"one byte more":       {Region: append(append([]byte(nil), region...), 0), Signatures: sigs},
		"index too large":     {Region: change(0, 0xffffffff), Signatures: sigs},
		"data too large":      {Region: change(4, 0xffffffff), Signatures: sigs},
		"offset out of data":  {Region: change(8+16+8, 0x7fffffff), Signatures: sigs},
		"offset before data":  {Region: change(8+16+8, 0x80000000), Signatures: sigs},
		"count out of data":   {Region: change(8+16+12, 0x10000000), Signatures: sigs},
		"region around":       {Region: change(8+8, 8), Signatures: sigs},
		"altered":             {Region: flipped, Signatures: sigs},
		"no signature":        {Region: region},
		"garbage signature":   {Region: region, Signatures: []header.Signature{{Tag: 268, Data: []byte("garbage")}}},
		"truncated signature": {Region: region, Signatures: []header.Signature{{Tag: 268, Data: sigs[0].Data[:20]}}},
	} {
		t.Run(name, func(t *testing.T) {
			client := wire.NewClient(m.dial())
			verdict, err := client.Begin(t.Context(), m.begin(brings("good", "1")))
			if err != nil || verdict.Decision != wire.Assured {
				t.Fatalf("verdict %+v, %v", verdict, err)
			}
			h.Type = wire.Added
			list, err := client.Header(t.Context(), h)
			if err != nil || list.Decision != wire.NoList {
				t.Fatalf("list %+v, %v, want none", list, err)
			}
			if _, err := client.End(t.Context(), &wire.End{}); err != nil {
				t.Fatal(err)
			}
			m.WantLists()
		})
	}
}
