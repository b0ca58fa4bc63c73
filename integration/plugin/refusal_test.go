// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/hooks/wire"
)

const reason = "digestd: plain-3:1-1.noarch is older than 3:2-1; to allow it once: digestctl rollback grant plain-3:1-1.noarch"

func refuse(m wire.Message) wire.Message {
	if _, ok := m.(*wire.Begin); ok {
		return &wire.Verdict{Decision: wire.Refuse, Notes: []wire.Note{{Level: wire.LevelError, Text: reason}}}
	}
	return nil
}

func TestVetoStopsTheTransaction(t *testing.T) {
	for _, flags := range [][]string{nil, {"--test"}} {
		t.Run(strings.Join(flags, ""), func(t *testing.T) {
			watched(t, func(t *testing.T, b *box) {
				b.reply = refuse
				r := b.rpm(append(append([]string{"-U"}, flags...), "other-1", "plain-1")...)
				if r.code == 0 || !slices.Contains(r.lines, "error: "+reason) {
					t.Errorf("code %d, said %q", r.code, r.lines)
				}
				b.stop()
				b.wantTrace("begin [+other-1@0 +plain-1@0]")
				if got := b.installed(); got != "" || b.exists("/opt") {
					t.Errorf("installed %q", got)
				}
			})
		})
	}
}

// A veto against one package leaves the others alone, and what it would have
// replaced in place.
func TestVetoStopsOnePackage(t *testing.T) {
	watched(t, func(t *testing.T, b *box) {
		b.ok("-U", "plain-1")
		b.messages()
		b.reply = func(m wire.Message) wire.Message {
			switch h := m.(type) {
			case *wire.Begin:
				return &wire.Verdict{Decision: wire.Proceed}
			case *wire.Header:
				if strings.Contains(string(h.Region), "plain") {
					return &wire.List{Element: h.Element, Decision: wire.RefuseList, Notes: []wire.Note{{Level: wire.LevelError, Text: reason}}}
				}
			}
			return nil
		}
		r := b.rpm("-U", "other-1", "plain-2")
		if r.code == 0 || !slices.Contains(r.lines, "error: "+reason) {
			t.Errorf("code %d, said %q", r.code, r.lines)
		}
		b.wantTrace("begin [+other-1@0 +plain-2@0 -plain-1@n]", "header plain-2@0", "header other-1@0", "installed other-1@n", "end 2")
		if got := b.installed(); got != "other-1 plain-1" && got != "plain-1 other-1" {
			t.Errorf("installed %q", got)
		}
	})
}

// A note of the daemon is shown at its level, on one line, whatever it contains.
func TestNotesAreShown(t *testing.T) {
	watched(t, func(t *testing.T, b *box) {
		b.reply = func(m wire.Message) wire.Message {
			switch m := m.(type) {
			case *wire.Begin:
				return &wire.Verdict{Notes: []wire.Note{{Level: wire.LevelWarning, Text: "digestd: one\x1b[2J\ntwo %s \u009b2J"}}}
			case *wire.Header:
				return &wire.List{Element: m.Element, Decision: wire.NoList, Notes: []wire.Note{{Level: wire.LevelInfo, Text: "digestd: by the way"}}}
			case *wire.End:
				return &wire.Ack{Notes: []wire.Note{{Level: wire.LevelError, Text: "digestd: at last"}}}
			}
			return nil
		}
		r := b.rpm("-U", "plain-1")
		want := []string{"warning: digestd: one?[2J?two %s ?\x9b2J", "error: digestd: at last"}
		if r.code != 0 || !slices.Equal(r.lines, want) {
			t.Errorf("code %d, said %q, want %q", r.code, r.lines, want)
		}
		if !strings.Contains(r.stdout, "digestd: by the way") {
			t.Errorf("standard output %q", r.stdout)
		}
	})
}
