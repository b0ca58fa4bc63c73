// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"io"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// Cell is a field of a table.
type Cell struct {
	Text  string
	Style Style
}

// Column is a title and how what stands under it is set.
type Column struct {
	Title  string
	Number bool // set to the right
}

// leastLast is how narrow the last column may become before its lines are left
// to the terminal to break.
const leastLast = 20

// Table prints rows under titles, each column as wide as it must be; the last
// one is wrapped at the terminal's edge.
func (t *UI) Table(columns []Column, rows [][]Cell) {
	if t.Quiet {
		return
	}
	last := len(columns) - 1
	width := make([]int, len(columns))
	for i, c := range columns {
		width[i] = Width(c.Title)
	}
	for _, row := range rows {
		for i := range row {
			row[i].Text = Safe(row[i].Text)
			width[i] = max(width[i], Width(row[i].Text))
		}
	}
	indent := 0
	for _, w := range width[:last] {
		indent += w + 2
	}
	var b strings.Builder
	line := func(row []Cell) {
		// Nothing trails behind a line's last word.
		n := len(row)
		for n > 1 && row[n-1].Text == "" {
			n--
		}
		for i, c := range row[:n] {
			pad := strings.Repeat(" ", width[i]-Width(c.Text))
			switch {
			case i == last:
				for j, part := range Wrap(c.Text, t.width-indent) {
					if j > 0 {
						b.WriteString("\n" + strings.Repeat(" ", indent))
					}
					b.WriteString(t.Paint(c.Style, part))
				}
				continue
			case columns[i].Number:
				b.WriteString(pad + t.Paint(c.Style, c.Text))
			case i == n-1:
				b.WriteString(t.Paint(c.Style, c.Text))
			default:
				b.WriteString(t.Paint(c.Style, c.Text) + pad)
			}
			if i < n-1 {
				b.WriteString(t.gap(c.Text))
			}
		}
		b.WriteByte('\n')
	}
	titles := make([]Cell, len(columns))
	for i, c := range columns {
		titles[i] = Cell{c.Title, strong}
	}
	line(titles)
	for _, row := range rows {
		line(row)
	}
	io.WriteString(t.Out, b.String())
}

// gap separates a cell from the next one. A terminal that sets text from right to left in
// that direction would draw a number that follows such a text on its left; the mark
// between them, which is not seen, keeps the columns in order. It is no part of the text: who
// copies that gets what it is.
func (t *UI) gap(text string) string {
	rightToLeft := func(r rune) bool {
		return unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Adlam)
	}
	if t.width > 0 && strings.ContainsFunc(text, rightToLeft) {
		return " \u200e "
	}
	return "  "
}

// Width returns how many columns of a terminal a text takes: characters of East Asia and
// emoji take two, combining marks none.
func Width(text string) int { return uniseg.StringWidth(text) }

// Wrap breaks text between words into lines of at most width columns; what
// has no space in it, a digest or a path, stays whole. Too little width is none.
func Wrap(text string, width int) []string {
	if width < leastLast || Width(text) <= width {
		return []string{text}
	}
	var lines []string
	line, length := "", 0
	for word := range strings.SplitSeq(text, " ") {
		n := Width(word)
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
