// SPDX-License-Identifier: Apache-2.0

package retained_test

import (
	"testing"

	"github.com/digestd/digestd/daemon/sim/retained"
	"github.com/digestd/digestd/daemon/sim/story"
)

// What only the booted system has is a part of it: at the first comparison, and later as long as
// it has no list.
func TestPart(t *testing.T) {
	both, one := story.Packages()[0], story.Packages()[1]
	var b retained.Booted
	if b.Part(one) {
		t.Error("a machine with one system has parts of another")
	}
	if b.Boot(story.Installed{both}); b.Part(both) || !b.Part(one) {
		t.Error("after a boot, a part is what the other system did not have")
	}
	due := b
	if b.Compared(map[string]bool{one.String(): true}); !b.Part(one) || b.Part(both) {
		t.Error("what has no list yet waits for one")
	}
	if waits := b; waits.Same(due) || !waits.Same(b) {
		t.Error("a comparison changes what is known")
	}
	if b.Compared(nil); b.Part(one) || !b.Same(retained.Booted{}) {
		t.Error("what has a list waits for one")
	}
}
