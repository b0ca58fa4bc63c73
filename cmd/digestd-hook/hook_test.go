// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/google/go-cmp/cmp"
)

func TestOptions(t *testing.T) {
	const plugin = "/usr/lib64/rpm-plugins/digestd.so"
	usual := options{socket: wire.DefaultSocket, budget: 30 * time.Second}
	with := func(change func(*options)) options { o := usual; change(&o); return o }
	for _, tc := range []struct {
		macros string
		want   options
		loaded bool
	}{
		{"\n\n", options{}, false},
		{"\nrefuse\n", options{}, false},
		{plugin + "\n\n", usual, true},
		{plugin + "\nproceed\n", usual, true},
		{plugin + "\nrefuse\n", with(func(o *options) { o.refuse = true }), true},
		{plugin + "\nrefues\n", with(func(o *options) { o.refuse = true }), true},
		{plugin + " on-unreachable=proceed\nrefuse\n", usual, true},
		{plugin + " on-unreachable=refuse\nproceed\n", with(func(o *options) { o.refuse = true }), true},
		{plugin + "  socket=/x/y \t timeout=3 colour=blue\n\n", with(func(o *options) { o.socket, o.budget = "/x/y", 3*time.Second }), true},
		{plugin + " timeout=soon\n\n", usual, true},
		{plugin + " timeout=3600\n\n", with(func(o *options) { o.budget = time.Hour }), true},
	} {
		got, loaded := parseOptions(tc.macros)
		if got != tc.want || loaded != tc.loaded {
			t.Errorf("%q: %+v, %v; want %+v, %v", tc.macros, got, loaded, tc.want, tc.loaded)
		}
	}
}

// peer is what libdnf5's actions plugin does: it answers a request.
type peer struct {
	reply string
	bytes.Buffer
}

func (p *peer) Close() error { return nil }

func (p *peer) Read(b []byte) (int, error) {
	if !strings.Contains(p.String(), `"op":"get"`) {
		return 0, io.ErrNoProgress
	}
	n := copy(b, p.reply)
	p.reply = p.reply[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

const reply = `{"op":"reply","requested_op":"get","domain":"trans_packages","status":"OK","return":{"trans_packages":[
{"action":"D","name":"a","epoch":"3","version":"1","release":"2","arch":"noarch"},
{"action":"O","name":"a","epoch":"0","version":"2","release":"1","arch":"noarch"},
{"action":"?","name":"b","epoch":"0","version":"1","release":"1","arch":"noarch"}]}}`

func TestActionsPlugin(t *testing.T) {
	p := &peer{reply: reply + strings.Repeat(" ", 1<<16)}
	a := actions{in: struct{ io.Reader }{p}, out: p}
	packages, err := a.packages()
	if err != nil {
		t.Fatal(err)
	}
	if a.finish(); p.reply != "" {
		t.Errorf("%d bytes of the reply are not taken", len(p.reply))
	}
	got, _, err := elements(packages)
	want := []wire.Element{
		{Type: wire.Added, NEVRA: nevra.NEVRA{Name: "a", EVR: nevra.EVR{Epoch: 3, Version: "1", Release: "2"}, Arch: "noarch"}},
		{Type: wire.RemovedElement, NEVRA: nevra.NEVRA{Name: "a", EVR: nevra.EVR{Version: "2", Release: "1"}, Arch: "noarch"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, bad := range []string{"", "{", `{"status":"ERROR","message":"no"}`, `[]`} {
		p := &peer{reply: bad}
		if _, err := (actions{in: p, out: p}).packages(); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, bad := range []pkg{{Action: "X", Name: "a"}, {Name: "a"}, {Action: "I", Name: "a", Epoch: "-1"}, {Action: "I", Name: "a", Epoch: "4294967296"}} {
		if e, err := bad.element(); err == nil {
			t.Errorf("%+v makes %+v", bad, e)
		}
	}
}

var one = []pkg{{Action: "I", Name: "a", Version: "1", Release: "1", Arch: "noarch"}}

// serve answers one connection.
func serve(t *testing.T, answer func(c net.Conn, begin *wire.Begin)) options {
	t.Helper()
	o := options{socket: filepath.Join(t.TempDir(), "sock"), budget: wire.ExchangeTimeout}
	l, err := net.Listen("unix", o.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		m, err := wire.NewConn(c).Read(context.Background(), time.Minute, time.Minute)
		begin, ok := m.(*wire.Begin)
		if !ok {
			t.Errorf("got %+v, %v", m, err)
			return
		}
		answer(c, begin)
	}()
	return o
}

// Only the daemon's word and the administrator's refuse, and nobody makes the
// hook wait beyond its budget.
func TestAsk(t *testing.T) {
	say := func(v *wire.Verdict) func(net.Conn, *wire.Begin) {
		return func(c net.Conn, b *wire.Begin) {
			if !b.Check() || !b.Test() || len(b.Elements) != 1 || b.RootIno == 0 || b.DBIno != 0 {
				t.Errorf("asked %+v", b)
			}
			wire.NewConn(c).Write(v, time.Minute)
		}
	}
	raw := func(text string) func(net.Conn, *wire.Begin) {
		return func(c net.Conn, _ *wire.Begin) { io.WriteString(c, text) }
	}
	hang := func(c net.Conn, _ *wire.Begin) { io.Copy(io.Discard, c) }
	refusal := &wire.Verdict{Decision: wire.Refuse, Notes: []wire.Note{{Level: wire.LevelWarning, Text: "hm"}, {Level: wire.LevelError, Text: "no\x1b[2J"}}}
	for _, tc := range []struct {
		name   string
		answer func(net.Conn, *wire.Begin)
		want   string // of the refusal
		away   string // with on-unreachable=refuse
	}{
		{"proceed", say(&wire.Verdict{}), "", ""},
		{"not managed", say(&wire.Verdict{Decision: wire.NotManaged}), "", ""},
		{"refuse", say(refusal), "no?[2J", "no?[2J"},
		{"refuse without a reason", say(&wire.Verdict{Decision: wire.Refuse}), "without a reason", "without a reason"},
		{"closes", func(net.Conn, *wire.Begin) {}, "", "EOF"},
		{"garbage", raw("HTTP/1.1 400 Bad Request\r\n"), "", "protocol violation"},
		{"error", raw("\x01\xff\x00\x00\x00\x00\x00\x08\x00\x00\x00\x04busy"), "", "busy"},
		{"hangs", hang, "", "timed out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, refuse := range []bool{false, true} {
				o := serve(t, tc.answer)
				o.refuse = refuse
				if tc.name == "hangs" {
					o.budget = 100 * time.Millisecond
				}
				r, err := openRoot("/")
				if err != nil {
					t.Fatal(err)
				}
				want := tc.want
				if refuse {
					want = tc.away
				}
				got, away := o.ask(context.Background(), "test", r, one)
				if away != (tc.want == "" && tc.away != "") {
					t.Errorf("away %v", away)
				}
				if said := strings.Join(got, "\n"); len(got) > 1 || (want == "") != (said == "") || !strings.Contains(said, want) {
					t.Errorf("refuse %v: says %q, want %q", refuse, said, want)
				}
			}
		})
	}
}

func TestDaemonAway(t *testing.T) {
	o := options{socket: filepath.Join(t.TempDir(), "sock"), budget: wire.ExchangeTimeout}
	if got, away := o.ask(context.Background(), "test", root{path: "/"}, one); got != nil || !away {
		t.Errorf("says %q, away %v", got, away)
	}
	if err := o.hint(context.Background(), root{path: "/"}); err != nil {
		t.Error(err)
	}
	o.refuse = true
	want := "digestd: no answer at " + o.socket + ": no such file or directory; refusing to install until it is running (systemctl start digestd), or with _digestd_on_unreachable set to proceed"
	if got, _ := o.ask(context.Background(), "test", root{path: "/"}, one); len(got) != 1 || got[0] != want {
		t.Errorf("says %q, want %q", got, want)
	}
	if got, away := o.ask(context.Background(), "test", root{path: "/"}, nil); got != nil || away {
		t.Errorf("nothing to do, and says %q", got)
	}
}
