// SPDX-License-Identifier: Apache-2.0

package terminal

import "fmt"

// Progress shows how far a job is: a bar that is redrawn on a terminal, a line
// a stage elsewhere.
type Progress struct {
	UI    *UI
	Off   bool // nothing is shown
	stage string
	drawn bool
}

const barWidth = 30

// Show tells how far a stage is; a total of 0 is not known.
func (p *Progress) Show(stage string, done, total uint64) {
	switch {
	case p.Off:
	case p.UI.live:
		p.drawn = true
		fmt.Fprintf(p.UI.Err, "\r\x1b[K%s", progressLine(Safe(stage), done, total))
	case stage != p.stage:
		fmt.Fprintln(p.UI.Err, Safe(stage))
	}
	p.stage = stage
}

// End leaves the terminal as it was.
func (p *Progress) End() {
	if p.drawn {
		fmt.Fprint(p.UI.Err, "\r\x1b[K")
		p.drawn = false
	}
}

func progressLine(stage string, done, total uint64) string {
	switch {
	case total == 0 && done == 0:
		return stage
	case total == 0:
		return fmt.Sprintf("%s %d", stage, done)
	}
	filled := int(min(done, total) * barWidth / total)
	bar := make([]byte, barWidth)
	for i := range bar {
		bar[i] = '.'
		if i < filled {
			bar[i] = '#'
		}
	}
	return fmt.Sprintf("%-12s [%s] %d/%d", stage, bar, done, total)
}
