// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strings"
	"unicode/utf8"
)

// cell is a field of a table.
type cell struct {
	text  string
	style style
}

// column is a title and how what stands under it is set.
type column struct {
	title  string
	number bool // set to the right
}

// leastLast is how narrow the last column may become before its lines are left
// to the terminal to break.
const leastLast = 20

// table prints rows under titles, each column as wide as it must be; the last
// one is wrapped at the terminal's edge.
func (t *tui) table(columns []column, rows [][]cell) {
	if t.quiet {
		return
	}
	last := len(columns) - 1
	width := make([]int, len(columns))
	for i, c := range columns {
		width[i] = len(c.title)
	}
	for _, row := range rows {
		for i := range row {
			row[i].text = safe(row[i].text)
			width[i] = max(width[i], utf8.RuneCountInString(row[i].text))
		}
	}
	indent := 0
	for _, w := range width[:last] {
		indent += w + 2
	}
	var b strings.Builder
	line := func(row []cell) {
		// Nothing trails behind a line's last word.
		n := len(row)
		for n > 1 && row[n-1].text == "" {
			n--
		}
		for i, c := range row[:n] {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text))
			switch {
			case i == last:
				for j, part := range wrap(c.text, t.width-indent) {
					if j > 0 {
						b.WriteString("\n" + strings.Repeat(" ", indent))
					}
					b.WriteString(t.paint(c.style, part))
				}
				continue
			case columns[i].number:
				b.WriteString(pad + t.paint(c.style, c.text))
			case i == n-1:
				b.WriteString(t.paint(c.style, c.text))
			default:
				b.WriteString(t.paint(c.style, c.text) + pad)
			}
			if i < n-1 {
				b.WriteString("  ")
			}
		}
		b.WriteByte('\n')
	}
	titles := make([]cell, len(columns))
	for i, c := range columns {
		titles[i] = cell{c.title, strong}
	}
	line(titles)
	for _, row := range rows {
		line(row)
	}
	io.WriteString(t.out, b.String())
}

// wrap breaks text between words into lines of at most width characters; what
// has no space in it, a digest or a path, stays whole. Too little width is none.
func wrap(text string, width int) []string {
	if width < leastLast || utf8.RuneCountInString(text) <= width {
		return []string{text}
	}
	var lines []string
	line, length := "", 0
	for word := range strings.SplitSeq(text, " ") {
		n := utf8.RuneCountInString(word)
		if length > 0 && length+1+n > width {
			lines, line, length = append(lines, line), "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+n
	}
	return append(lines, line)
}
