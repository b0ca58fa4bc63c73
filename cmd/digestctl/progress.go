// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// progress shows how far a job is: a bar that is redrawn on a terminal, a line
// a stage elsewhere.
type progress struct {
	tui   *tui
	off   bool
	stage string
	drawn bool
}

const barWidth = 30

func (p *progress) show(stage string, done, total uint64) {
	switch {
	case p.off:
	case p.tui.live:
		p.drawn = true
		fmt.Fprintf(p.tui.err, "\r\x1b[K%s", progressLine(safe(stage), done, total))
	case stage != p.stage:
		fmt.Fprintln(p.tui.err, safe(stage))
	}
	p.stage = stage
}

// end leaves the terminal as it was.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.tui.err, "\r\x1b[K")
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
