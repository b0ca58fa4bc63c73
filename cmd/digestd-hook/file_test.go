// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/pkgtest"
)

// packageFile makes a signed package and returns its path.
func packageFile(tb testing.TB) string {
	tb.Helper()
	key, err := pkgtest.NewKey("vendor", 2048)
	if err != nil {
		tb.Fatal(err)
	}
	p := pkgtest.Package{Name: "a", Version: "1", Release: "1", Arch: "noarch", Files: map[string]string{"/a": "a"}, Key: key}
	file, err := p.Build(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	return file
}

func TestPackageFile(t *testing.T) {
	file := packageFile(t)
	m, err := headerOf(file)
	if err != nil {
		t.Fatal(err)
	}
	h, err := header.ParseImmutable(m.Region)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := h.NEVRA(); err != nil || name.String() != "a-1-1.noarch" || m.Type != wire.Added || len(m.Signatures) != 1 {
		t.Errorf("%v, %v, type %d, %d signatures", name, err, m.Type, len(m.Signatures))
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ends := bytes.LastIndex(data, []byte(header.Magic)) + 8 + 8 + len(m.Region)
	for n := 0; n < ends-16; n += 7 {
		if _, err := readHeaders(bytes.NewReader(data[:n])); err == nil {
			t.Fatalf("%d of %d bytes are a package", n, len(data))
		}
	}
	huge := append(bytes.Clone(data[:leadSize]), header.Magic+"\x00\x00\x00\x01\xff\xff\xff\xff"...)
	if _, err := readHeaders(bytes.NewReader(huge)); err == nil || !strings.Contains(err.Error(), "header of ") {
		t.Errorf("a header of 4 GiB: %v", err)
	}
}

func TestFind(t *testing.T) {
	cache := t.TempDir()
	want := filepath.Join(cache, "updates-0123456789abcdef", "packages", "a-1-1.noarch.rpm")
	for _, file := range []string{want, filepath.Join(cache, "updates-testing-0123456789abcdef", "packages", "a-1-1.noarch.rpm")} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ repo, location, want string }{
		{"updates", "Packages/a/a-1-1.noarch.rpm", want},
		{"updates", "a-2-1.noarch.rpm", ""},
		{"update", "a-1-1.noarch.rpm", ""},
		{"updates", "", ""},
		{"@commandline", "/home/a-1-1.noarch.rpm", "/home/a-1-1.noarch.rpm"},
	} {
		if got := find(cache, pkg{Repo: tc.repo, Location: tc.location}); got != tc.want {
			t.Errorf("%s of %s: %q, want %q", tc.location, tc.repo, got, tc.want)
		}
	}
}

// One header that is refused refuses the transaction; a file that is no package
// is for rpm to complain of.
func TestAskAboutFiles(t *testing.T) {
	file, broken := packageFile(t), filepath.Join(t.TempDir(), "broken.rpm")
	if err := os.WriteFile(broken, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		decision wire.ListDecision
		want     string
	}{{"proceed", wire.NoList, ""}, {"refuse", wire.RefuseList, "no\nno"}} {
		t.Run(tc.name, func(t *testing.T) {
			asked := 0
			o := serve(t, func(c net.Conn, _ *wire.Begin) {
				conn := wire.NewConn(c)
				conn.Write(&wire.Verdict{}, time.Minute)
				for {
					m, err := conn.Read(context.Background(), time.Minute, time.Minute)
					if err != nil {
						return
					}
					h, ok := m.(*wire.Header)
					if asked++; !ok || int(h.Element) != asked {
						t.Errorf("asked %+v", m)
					}
					reply := &wire.List{Element: h.Element, Decision: tc.decision}
					if tc.decision == wire.RefuseList {
						reply.Notes = []wire.Note{{Level: wire.LevelError, Text: "no"}}
					}
					conn.Write(reply, time.Minute)
				}
			})
			packages := []pkg{{Action: "E", Name: "a"}, {Action: "I", Name: "a", File: file}, {Action: "U", Name: "b", File: file},
				{Action: "U", Name: "c", File: broken}, {Action: "U", Name: "d", File: broken + "x"}, {Action: "O", Name: "b", File: file}}
			got, away := o.ask(context.Background(), "test", root{path: "/"}, packages)
			if said := strings.Join(got, "\n"); said != tc.want || asked != 2 || away {
				t.Errorf("asked %d times, says %q, want %q", asked, said, tc.want)
			}
		})
	}
}

// FuzzPackageFile: what a mirror sends is read, or refused, whatever it is.
func FuzzPackageFile(f *testing.F) {
	data, err := os.ReadFile(packageFile(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readHeaders(bytes.NewReader(data))
		if err != nil {
			return
		}
		m.Element = 1
		if err := wire.NewConn(nopConn{}).Write(m, time.Second); err != nil {
			t.Errorf("cannot be sent: %v", err)
		}
	})
}

// nopConn takes everything.
type nopConn struct{ net.Conn }

func (nopConn) Write(b []byte) (int, error)      { return io.Discard.Write(b) }
func (nopConn) SetWriteDeadline(time.Time) error { return nil }
