// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shown is what a job shows that verifies 1000 packages and searches without an end in sight.
func shown(t *testing.T, mode string, prepare func(*UI, *Progress)) string {
	t.Helper()
	var out strings.Builder
	ui := New(nil, &out)
	if err := ui.SetProgress(mode); err != nil {
		t.Fatal(err)
	}
	p := &Progress{UI: ui}
	prepare(ui, p)
	for done := range uint64(1001) {
		p.Show("verifying", done, 1000)
	}
	p.Show("searching", 0, 0)
	p.Show("searching", 256, 0)
	p.told = time.Now().Add(-linePause)
	p.Show("searching", 512, 0)
	p.End()
	return out.String()
}

// A terminal that cannot move its cursor, and a reader who hears lines, get lines: each stage,
// and each tenth of it once.
func TestProgressByLines(t *testing.T) {
	const want = `verifying
verifying: 100 of 1000, 10 %
verifying: 200 of 1000, 20 %
verifying: 300 of 1000, 30 %
verifying: 400 of 1000, 40 %
verifying: 500 of 1000, 50 %
verifying: 600 of 1000, 60 %
verifying: 700 of 1000, 70 %
verifying: 800 of 1000, 80 %
verifying: 900 of 1000, 90 %
verifying: 1000 of 1000, 100 %
searching
searching: 512
`
	// Also where a terminal could redraw.
	got := shown(t, ProgressLines, func(ui *UI, _ *Progress) { ui.live = true })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProgressModes(t *testing.T) {
	nothing := func(*UI, *Progress) {}
	if got := shown(t, ProgressNone, func(ui *UI, _ *Progress) { ui.live = true }); got != "" {
		t.Errorf("none shows %q", got)
	}
	if got := shown(t, "", nothing); got != "verifying\nsearching\n" {
		t.Errorf("through a pipe it shows %q", got)
	}
	if got := shown(t, ProgressBar, func(_ *UI, p *Progress) { p.Off = true }); got != "" {
		t.Errorf("one that is off shows %q", got)
	}
	for _, got := range []string{shown(t, ProgressBar, nothing), shown(t, ProgressAuto, func(ui *UI, _ *Progress) { ui.live = true })} {
		if strings.Contains(got, "\n") || !strings.Contains(got, "[###############...............] 500/1000") || !strings.HasSuffix(got, "searching 512\r\x1b[K") {
			t.Errorf("a bar shows %q", got)
		}
	}
	if err := New(nil, nil).SetProgress("dots"); err == nil || err.Error() != `progress "dots" is not one of: auto, bar, lines, none` {
		t.Errorf("a way that does not exist: %v", err)
	}
}

// A bar that is longer than a line of the terminal cannot be redrawn.
func TestNarrowProgress(t *testing.T) {
	const bar = "verifying    [###############...............] 500/1000"
	for columns, want := range map[int]string{0: bar, len(bar) + 1: bar, len(bar): "verifying 500/1000", 20: "verifying 500/1000"} {
		if got := progressLine("verifying", 500, 1000, columns); got != want {
			t.Errorf("in %d columns: %q, want %q", columns, got, want)
		}
	}
}
