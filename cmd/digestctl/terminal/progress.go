// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The ways to show progress.
const (
	ProgressAuto  = "auto"  // a bar on a terminal that can move its cursor, otherwise lines
	ProgressBar   = "bar"   // a bar that is redrawn
	ProgressLines = "lines" // a line for each stage and for each tenth of it; nothing is redrawn
	ProgressNone  = "none"
)

// ProgressModes returns the ways to show progress.
func ProgressModes() []string {
	return []string{ProgressAuto, ProgressBar, ProgressLines, ProgressNone}
}

// SetProgress selects a way to show progress; "" is auto.
func (t *UI) SetProgress(mode string) error {
	switch {
	case mode == "":
		mode = ProgressAuto
	case !slices.Contains(ProgressModes(), mode):
		return fmt.Errorf("progress %q is not one of: %s", mode, strings.Join(ProgressModes(), ", "))
	}
	t.progress = mode
	return nil
}

// Progress shows the progress of a job on standard error.
type Progress struct {
	UI    *UI
	Off   bool // nothing is shown
	stage string
	tenth uint64    // tenth of the stage that the latest line showed
	told  time.Time // when that line was printed
	drawn bool
}

const (
	barWidth = 30
	// A stage whose end is not known tells a line after such a time.
	linePause = 10 * time.Second
)

// Show shows the progress of a stage. If total is 0, it is unknown.
func (p *Progress) Show(stage string, done, total uint64) {
	mode := p.UI.progress
	switch {
	case p.Off, mode == ProgressNone:
	case mode == ProgressBar, mode != ProgressLines && p.UI.live:
		p.drawn = true
		fmt.Fprintf(p.UI.Err, "\r\x1b[K%s", progressLine(Safe(stage), done, total, p.UI.errWidth))
	case stage != p.stage:
		p.tenth, p.told = 0, time.Now()
		fmt.Fprintln(p.UI.Err, Safe(stage))
	case mode == ProgressLines || Columns(p.UI.Err) > 0: // a log of a pipe needs only the stages
		p.line(stage, done, total)
	}
	p.stage = stage
}

// line tells a tenth of a stage that was not told yet, or how many are done.
func (p *Progress) line(stage string, done, total uint64) {
	switch {
	case total > 0:
		if tenth := 10 * min(done, total) / total; tenth > p.tenth {
			p.tenth = tenth
			fmt.Fprintf(p.UI.Err, "%s: %d of %d, %d %%\n", Safe(stage), done, total, 10*tenth)
		}
	case done > 0 && time.Since(p.told) >= linePause:
		p.told = time.Now()
		fmt.Fprintf(p.UI.Err, "%s: %d\n", Safe(stage), done)
	}
}

// End ends the bar.
func (p *Progress) End() {
	if p.drawn {
		fmt.Fprint(p.UI.Err, "\r\x1b[K")
		p.drawn = false
	}
}

// progressLine is a bar, or only its numbers if a bar does not fit into the columns of the
// terminal: what is longer than a line cannot be redrawn. 0 columns are any number.
func progressLine(stage string, done, total uint64, columns int) string {
	switch {
	case total == 0 && done == 0:
		return stage
	case total == 0:
		return fmt.Sprintf("%s %d", stage, done)
	}
	filled := int(min(done, total) * barWidth / total)
	bar := strings.Repeat("#", filled) + strings.Repeat(".", barWidth-filled)
	line := fmt.Sprintf("%-12s [%s] %d/%d", stage, bar, done, total)
	if columns > 0 && Width(line) >= columns {
		return fmt.Sprintf("%s %d/%d", stage, done, total)
	}
	return line
}
