// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strings"
	"testing"
)

// A signal of a newer digestd's is shown as it is.
func TestWatchSaysWhatItDoesNotKnow(t *testing.T) {
	_, kind, text := wordsFor("MoonRose", map[string]any{"phase": "full", "at": uint32(3)})
	if got := kind + ": " + text; got != "MoonRose: at 3, phase full" {
		t.Errorf("got %q", got)
	}
	_, kind, text = wordsFor("JobFinished", map[string]any{"job": uint64(3), "ok": false, "result": map[string]any{"message": "no room"}})
	if got := kind + ": " + text; !strings.HasSuffix(got, "3 failed: no room") {
		t.Errorf("got %q", got)
	}
}
