// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/hooks/wire"
)

// bounded is less than any wait of the plugin's that the tests do not ask for,
// and more than a busy machine adds.
const bounded = 5 * time.Second

// wantProceeded wants both packages in place, and one line of warning.
func (b *box) wantProceeded(r result, why string) {
	b.t.Helper()
	if r.code != 0 || len(r.lines) != 1 || !strings.HasPrefix(r.lines[0], "warning: digestd: no answer at "+b.socket()+": "+why) {
		b.t.Errorf("code %d, said %q; want success and one warning about %q", r.code, r.lines, why)
	}
	for _, p := range []string{"/opt/plain", "/opt/other"} {
		if !b.exists(p) {
			b.t.Errorf("%s is not installed", p)
		}
	}
}

// wantRefused wants nothing in place but what is named, and one line of the
// plugin's that says how to go on.
func (b *box) wantRefused(r result, installed string) {
	b.t.Helper()
	said := r.digestd()
	// rpm has a line of its own for each hook that failed.
	said = said[:len(said)-strings.Count(strings.Join(said, "\n"), "Plugin digestd:")]
	if r.code == 0 || len(said) != 1 || !strings.Contains(said[0], "systemctl start digestd)") {
		b.t.Errorf("code %d, said %q; want failure and one reason", r.code, r.lines)
	}
	if got := b.installed(); got != installed {
		b.t.Errorf("installed %q, want %q", got, installed)
	}
}

// gone removes the daemon in one of the ways it can be away.
var gone = map[string]func(b *box){
	"no socket": func(b *box) { b.stop() },
	"stopped": func(b *box) {
		b.listener.SetUnlinkOnClose(false)
		b.stop()
	},
	"no socket but a file": func(b *box) {
		b.stop()
		if err := os.WriteFile(b.m.Outside(b.socket()), nil, 0o600); err != nil {
			b.t.Fatal(err)
		}
	},
}

func TestDaemonGone(t *testing.T) {
	for how, leave := range gone {
		t.Run(how, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *box) {
				leave(b)
				before := b.ok("-U", "--noplugins", "third-1")
				r := b.rpm("-U", "other-1", "plain-1")
				b.wantProceeded(r, "")
				if extra := r.took - before.took; extra > bounded {
					t.Errorf("took %v longer than without the plugin", extra)
				}
			})
		})
	}
}

func TestDaemonGoneAndRefuse(t *testing.T) {
	tests := map[string]func(b *box){
		"option":   func(b *box) { b.options = "on-unreachable=refuse" },
		"macro":    func(b *box) { b.extra = []string{"--define", "_digestd_on_unreachable refuse"} },
		"test run": func(b *box) { b.options = "on-unreachable=refuse"; b.extra = []string{"--test"} },
		"option stands": func(b *box) {
			b.options = "on-unreachable=refuse"
			b.extra = []string{"--define", "_digestd_on_unreachable proceed"}
		},
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *box) {
				b.stop()
				set(b)
				r := b.rpm("-U", "other-1", "plain-1")
				b.extra = nil
				b.wantRefused(r, "")
			})
		})
	}
}

// A typing error must not turn refuse into proceed, and must not go unnoticed.
func TestWrongOptions(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.stop()
		b.extra = []string{"--define", "_digestd_on_unreachable refues"}
		b.options = "timeout=soon colour=blue"
		r := b.rpm("-U", "plain-1")
		all := strings.Join(r.lines, "\n")
		for _, want := range []string{"timeout=soon", "colour=blue", "is refues, neither proceed nor refuse", "refusing to install"} {
			if !strings.Contains(all, want) {
				t.Errorf("nothing about %q in:\n%s", want, all)
			}
		}
		if r.code == 0 {
			t.Error("installed")
		}
	})
}

// until serves a connection as usual until want messages of kind arrived, then
// does something else.
func (b *box) until(kind wire.Kind, want int, then func(c *net.UnixConn)) {
	b.serve = func(c *net.UnixConn) {
		conn := wire.NewConn(c)
		for seen := 0; ; {
			m, err := conn.Read(context.Background(), 30*time.Second, 10*time.Second)
			if err != nil {
				return
			}
			if m.Kind() == kind {
				if seen++; seen == want {
					then(c)
					return
				}
			}
			if reply := usual(m); reply != nil {
				if err := conn.Write(reply, 10*time.Second); err != nil {
					return
				}
			}
		}
	}
}

func stall(c *net.UnixConn) { io.Copy(io.Discard, c) }

func TestStalledServer(t *testing.T) {
	for _, at := range []wire.Kind{wire.KindBegin, wire.KindHeader, wire.KindEnd} {
		t.Run(at.String(), func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *box) {
				b.options = "timeout=1"
				b.until(at, 1, stall)
				r := b.rpm("-U", "other-1", "plain-1")
				b.wantProceeded(r, "Connection timed out")
				if r.took < time.Second || r.took > bounded {
					t.Errorf("took %v; want the one second that is allowed", r.took)
				}
			})
		})
	}
}

// The budget is one for the whole transaction, not for each question.
func TestSlowServer(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.options = "timeout=1"
		b.serve = func(c *net.UnixConn) {
			conn := wire.NewConn(c)
			for {
				m, err := conn.Read(context.Background(), 30*time.Second, 10*time.Second)
				if err != nil {
					return
				}
				if reply := usual(m); reply != nil {
					time.Sleep(400 * time.Millisecond)
					conn.Write(reply, time.Second)
				}
			}
		}
		r := b.rpm("-U", "other-1", "plain-1")
		b.wantProceeded(r, "Connection timed out")
		if r.took > bounded {
			t.Errorf("took %v", r.took)
		}
	})
}

// A server that takes nothing in must not hold rpm either: here it stops within
// a header that is larger than the socket's buffer.
func TestServerThatDoesNotRead(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.options = "timeout=1"
		done := make(chan struct{})
		defer close(done)
		b.serve = func(c *net.UnixConn) {
			conn := wire.NewConn(c)
			if _, err := conn.Read(context.Background(), 10*time.Second, 10*time.Second); err != nil {
				t.Errorf("server: %v", err)
			} else if err := conn.Write(&wire.Verdict{}, 10*time.Second); err != nil {
				t.Errorf("server: %v", err)
			}
			<-done
		}
		b.wantProceeded(b.rpm("-U", "many-1", "other-1", "plain-1"), "Connection timed out")
	})
}

func TestServerDiesWithinTransaction(t *testing.T) {
	for _, at := range []struct {
		kind      wire.Kind
		n         int
		installed string // with refuse
	}{{wire.KindBegin, 1, ""}, {wire.KindHeader, 1, ""}, {wire.KindInstalled, 1, "plain-1"}, {wire.KindHeader, 2, "plain-1"}} {
		t.Run(fmt.Sprintf("%v %d", at.kind, at.n), func(t *testing.T) {
			watched(t, func(t *testing.T, b *box) {
				die := func(c *net.UnixConn) { b.listener.Close(); c.Close() }
				b.until(at.kind, at.n, die)
				r := b.rpm("-U", "other-1", "plain-1")
				b.wantProceeded(r, "")
				if r.took > bounded {
					t.Errorf("took %v", r.took)
				}
			})
			watched(t, func(t *testing.T, b *box) {
				b.options = "on-unreachable=refuse"
				die := func(c *net.UnixConn) { b.listener.Close(); c.Close() }
				b.until(at.kind, at.n, die)
				b.wantRefused(b.rpm("-U", "other-1", "plain-1"), at.installed)
			})
		})
	}
}

func frame(kind wire.Kind, payload string) []byte {
	f := []byte{wire.Version, byte(kind), 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(f[4:], uint32(len(payload)))
	return append(f, payload...)
}

// rpm goes on if garbage comes instead of a reply.
func TestGarbage(t *testing.T) {
	verdict := "\x00\x00\x00" // proceed, no messages
	list := func(element byte, decision byte, name string) string {
		return "\x00\x00\x00" + string([]byte{element, decision, 0, 0, 0, byte(len(name))}) + name + "\x00\x00"
	}
	tests := []struct {
		name  string
		at    wire.Kind
		bytes []byte
		why   string
	}{
		{"text", wire.KindBegin, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "Protocol error"},
		{"half a frame header", wire.KindBegin, frame(wire.KindVerdict, verdict)[:5], "Connection reset by peer"},
		{"half a payload", wire.KindBegin, frame(wire.KindVerdict, verdict)[:10], "Connection reset by peer"},
		{"another version", wire.KindBegin, append([]byte{2}, frame(wire.KindVerdict, verdict)[1:]...), "Protocol error"},
		{"reserved bytes", wire.KindBegin, append([]byte{1, 0x81, 0, 1}, frame(wire.KindVerdict, verdict)[4:]...), "Protocol error"},
		{"endless frame", wire.KindBegin, []byte{1, 0x81, 0, 0, 0xff, 0xff, 0xff, 0xff}, "Protocol error"},
		{"more than one frame", wire.KindBegin, append(frame(wire.KindVerdict, verdict), 1), "Protocol error"},
		{"another reply", wire.KindBegin, frame(wire.KindAck, "\x00\x00"), "Protocol error"},
		{"empty verdict", wire.KindBegin, frame(wire.KindVerdict, ""), "Protocol error"},
		{"unknown decision", wire.KindBegin, frame(wire.KindVerdict, "\x04\x00\x00"), "Protocol error"},
		{"message count", wire.KindBegin, frame(wire.KindVerdict, "\x00\xff\xff"), "Protocol error"},
		{"message length", wire.KindBegin, frame(wire.KindVerdict, "\x00\x00\x01\x02\xff\xff\xff\xff!"), "Protocol error"},
		{"message level", wire.KindBegin, frame(wire.KindVerdict, "\x00\x00\x01\x03\x00\x00\x00\x01!"), "Protocol error"},
		{"bytes left over", wire.KindBegin, frame(wire.KindVerdict, verdict+"\x00"), "Protocol error"},
		{"error", wire.KindBegin, frame(wire.KindError, "\x00\x00\x00\x04busy"), "busy"},
		{"broken error", wire.KindBegin, frame(wire.KindError, "\x00\x00\x00\x09busy"), "Protocol error"},
		{"list of another element", wire.KindHeader, frame(wire.KindList, list(9, 0, "tlv-x")), "Protocol error"},
		{"list without name", wire.KindHeader, frame(wire.KindList, list(0, 0, "")), "Protocol error"},
		{"name without list", wire.KindHeader, frame(wire.KindList, list(0, 1, "tlv-x")), "Protocol error"},
		{"list in a directory", wire.KindHeader, frame(wire.KindList, list(0, 0, "../tlv-x")), "Protocol error"},
		{"list with NUL", wire.KindHeader, frame(wire.KindList, list(0, 0, "tlv-x\x00y")), "Protocol error"},
		{"long name", wire.KindHeader, frame(wire.KindList, "\x00\x00\x00\x00\x00\x00\x00\x01\x00"+strings.Repeat("x", 256)+"\x00\x00"), "Protocol error"},
		{"broken ack", wire.KindEnd, frame(wire.KindAck, "\x00"), "Protocol error"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			watched(t, func(t *testing.T, b *box) {
				b.until(test.at, 1, func(c *net.UnixConn) { c.Write(test.bytes) })
				r := b.rpm("-U", "other-1", "plain-1")
				b.wantProceeded(r, test.why)
				if got := b.label("/opt/plain"); test.at == wire.KindHeader && got != "" {
					t.Errorf("label %q", got)
				}
			})
		})
	}
}
