// SPDX-License-Identifier: Apache-2.0

package notes_test

import (
	"log/slog"
	"testing"

	"github.com/digestd/digestd/daemon/ledger/notes"
)

// Notes are taken once, in their order, with the levels of slog.
func TestNotes(t *testing.T) {
	var n notes.Notes
	n.Info("a")
	n.Warn("b", "key", 1)
	n.Error("c")
	got := n.Take()
	want := []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	if len(got) != 3 || len(n.Take()) != 0 {
		t.Fatalf("%+v", got)
	}
	for i, g := range got {
		if slog.Level(g.Level) != want[i] || g.Text != string(rune('a'+i)) {
			t.Errorf("%+v", g)
		}
	}
	if len(got[1].Args) != 2 {
		t.Errorf("%+v", got[1])
	}
}
