// SPDX-License-Identifier: Apache-2.0

package story_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/sim/story"
)

func TestHistoriesAreText(t *testing.T) {
	for seed := range uint64(50) {
		h := story.Draw(seed)
		if again := story.Draw(seed); !reflect.DeepEqual(h, again) {
			t.Fatalf("seed %d gives two histories", seed)
		}
		if seed%2 == 0 {
			h = story.WithGuard(h, seed)
		}
		if seed%3 == 0 {
			h = story.WithImage(h, seed)
		}
		read, err := story.ParseHistory("# a remark\n\n" + h.String())
		if err != nil || !reflect.DeepEqual(h, read) {
			t.Fatalf("seed %d: read back as\n%s(%v), want\n%s", seed, read, err, h)
		}
	}
	for _, text := range []string{"dance app-1.0.noarch", "install a b", "install app-1.0.noarch @kill:x"} {
		if _, err := story.ParseHistory(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// TestImaged: histories of machines with an image have each act about it, by who is trusted and who
// is not.
func TestImaged(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(50) {
		h := story.WithImage(story.WithGuard(story.Draw(seed), seed), seed)
		if !h.Imaged || !h.Guarded {
			t.Fatalf("seed %d: %s", seed, h)
		}
		for _, a := range h.Acts {
			switch a.Kind {
			case story.Image:
				_, by, _ := strings.Cut(a.What, "=")
				seen[by] = true
			case story.Builder:
				seen[a.What] = true
			}
		}
	}
	for _, what := range []string{story.ByBuilder, story.ByStranger, story.BuilderRevoke, story.BuilderRestore, story.BuilderDrop, story.BuilderImport, story.BuilderBan} {
		if !seen[what] {
			t.Errorf("no history has %s", what)
		}
	}
}

func TestShrink(t *testing.T) {
	h := story.Draw(7)
	h.Acts = slices.Concat(h.Acts[:10], []story.Act{{Kind: story.Revoke, What: "A"}}, h.Acts[10:20],
		[]story.Act{{Kind: story.Restore, What: "A", Fault: story.Fault{Kind: story.KillAt, After: 2}}}, h.Acts[20:])
	fails := func(h story.History) bool {
		revoked := slices.IndexFunc(h.Acts, func(a story.Act) bool { return a.Kind == story.Revoke && a.What == "A" })
		return revoked >= 0 && slices.ContainsFunc(h.Acts[revoked:], func(a story.Act) bool { return a.Kind == story.Restore })
	}
	short := story.Shrink(h, fails)
	if len(short.Acts) != 2 || !fails(short) || strings.Contains(short.String(), "@") {
		t.Errorf("shrunk to\n%s", short)
	}
}
