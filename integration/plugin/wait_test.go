// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/hooks/wire"
)

// mostWaiting is how many files the plugin keeps open until it can label them.
const mostWaiting = 64

// unpacked counts the files in a directory of the root, by whether rpm has given
// them their names.
func (b *box) unpacked(dir string) (written, named int) {
	entries, _ := os.ReadDir(b.path(dir))
	for _, e := range entries {
		if strings.Contains(e.Name(), ";") {
			written++
		} else {
			named++
		}
	}
	return written, named
}

// settled waits until rpm unpacks no more into dir, as it waits for an answer.
func (b *box) settled(dir string) (written, named int) {
	written, named = -1, -1
	for {
		time.Sleep(200 * time.Millisecond)
		w, n := b.unpacked(dir)
		if w == written && n == named {
			return w, n
		}
		written, named = w, n
	}
}

// question makes the server answer a transaction with decision, and call asked
// before it answers the header of a package.
func (b *box) question(decision wire.Decision, asked func(*wire.Header) *wire.List) {
	b.reply = func(m wire.Message) wire.Message {
		switch m := m.(type) {
		case *wire.Begin:
			return &wire.Verdict{Decision: decision}
		case *wire.Header:
			return asked(m)
		}
		return nil
	}
}

// wantLabels wants files to name the list of the only package.
func (b *box) wantLabels(paths ...string) {
	b.t.Helper()
	for _, p := range paths {
		if got := b.label(p); got != listName(0) {
			b.t.Errorf("%s: label %q, want %q", p, got, listName(0))
		}
	}
}

// A package that could still be refused must have left nothing behind by then;
// any other is unpacked while its list is made, but no file of it gets its name
// before there is a label for it.
func TestUnpackingWaits(t *testing.T) {
	for _, test := range []struct {
		decision wire.Decision
		options  string
		written  int
	}{
		{wire.Proceed, "", 0},
		{wire.Assured, "", mostWaiting + 1},
		{wire.Assured, "on-unreachable=refuse", 0},
	} {
		t.Run(fmt.Sprint(test.decision, test.options), func(t *testing.T) {
			watched(t, func(t *testing.T, b *box) {
				b.options = test.options
				b.question(test.decision, func(h *wire.Header) *wire.List {
					// The file that the plugin waits with is written, too.
					written, named := b.settled("/opt/few")
					if named != 0 || written > test.written+1 || written < test.written {
						t.Errorf("%d files are written and %d have their names; want %d and none", written, named, test.written)
					}
					return usual(h).(*wire.List)
				})
				b.ok("-U", "few-1")
				for i := range fewFiles {
					b.wantLabels(fmt.Sprintf("/opt/few/%04d", i))
				}
			})
		})
	}
}

// Of a package of a few files even the last has to wait for its label.
func TestLastFileWaits(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.question(wire.Assured, func(h *wire.Header) *wire.List {
			if _, named := b.settled("/opt/multi"); named != 0 {
				t.Errorf("%d files have their names already", named)
			}
			return usual(h).(*wire.List)
		})
		b.ok("-i", "multi-1")
		b.wantLabels("/opt/multi/one", "/opt/multi/both")
	})
}

// The plugin cannot foresee which files rpm skips. The labels come all the same, however long
// the answer takes.
func TestSkippedFilesAndALateAnswer(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.question(wire.Assured, func(h *wire.Header) *wire.List {
			b.settled("/opt/kinds")
			return usual(h).(*wire.List)
		})
		b.ok("-U", "--excludedocs", "--define", "_netsharedpath /opt/net", "kinds-1")
		b.wantLabels("/opt/kinds/regular", "/opt/kinds/empty", "/opt/kinds/conf")
	})
}

// A late answer can be that there is no list: files that were written by then
// bear no label.
func TestLateAnswerWithoutList(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.question(wire.Assured, func(h *wire.Header) *wire.List {
			b.settled("/opt/few")
			return &wire.List{Element: h.Element, Decision: wire.NoList}
		})
		b.ok("-U", "few-1")
		if got := b.label("/opt/few/0000"); got != "" {
			t.Errorf("label %q", got)
		}
	})
}

// A scriptlet may run what the package brings.
func TestScriptletsWait(t *testing.T) {
	watched(t, func(t *testing.T, b *box) {
		b.question(wire.Assured, func(h *wire.Header) *wire.List {
			if written, named := b.settled("/opt"); written+named > 0 {
				t.Errorf("%d files are there before %%pre has run", written+named)
			}
			return usual(h).(*wire.List)
		})
		b.ok("-U", "scripts-1")
		b.wantLabels("/opt/scripts")
	})
}

// A daemon that breaks its word stops what rpm can still take back.
func TestLateRefusal(t *testing.T) {
	watched(t, func(t *testing.T, b *box) {
		b.question(wire.Assured, func(h *wire.Header) *wire.List {
			b.settled("/opt/few")
			return &wire.List{Element: h.Element, Decision: wire.RefuseList, Notes: []wire.Note{{Level: wire.LevelError, Text: reason}}}
		})
		r := b.rpm("-U", "few-1")
		if r.code == 0 || !strings.Contains(strings.Join(r.lines, "\n"), reason) {
			t.Errorf("code %d, said %q", r.code, r.lines)
		}
		if written, named := b.unpacked("/opt/few"); written+named > 0 || b.installed() != "" {
			t.Errorf("%d files are there, installed %q", written+named, b.installed())
		}
	})
}

// A daemon that dies while files wait for their labels costs them those, nothing
// else.
func TestDaemonDiesWhileFilesWait(t *testing.T) {
	watched(t, func(t *testing.T, b *box) {
		b.until(wire.KindHeader, 1, func(*net.UnixConn) { b.settled("/opt/few") })
		r := b.rpm("-U", "few-1")
		if r.code != 0 || len(r.lines) != 1 || !strings.Contains(r.lines[0], "going on, digest lists follow") {
			t.Errorf("code %d, said %q; want success and one warning", r.code, r.lines)
		}
		if written, named := b.unpacked("/opt/few"); written != 0 || named != fewFiles || b.label("/opt/few/0000") != "" {
			t.Errorf("%d files without their names, %d with, label %q", written, named, b.label("/opt/few/0000"))
		}
	})
}
