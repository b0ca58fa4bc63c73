// SPDX-License-Identifier: Apache-2.0

package main

// Everything said to a person goes through this file. Its rules: answers go to
// standard output, errors and progress to standard error. A line says one thing,
// begins with what it is about and ends without a full stop. Text that came from
// elsewhere is printed with its control characters spelled out, for a package's
// name must not move the cursor. Colors repeat what the words say already.

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// tui writes to a person, or JSON to a program.
type tui struct {
	out, err io.Writer
	quiet    bool
	color    bool
	live     bool // standard error is a terminal: progress may be redrawn
}

func newTUI(out, err io.Writer) *tui { return &tui{out: out, err: err} }

func (t *tui) setUp(quiet, plain bool) {
	t.quiet = quiet
	t.color = !plain && terminal(t.out)
	t.live = terminal(t.err)
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("TERM") != "dumb"
}

// style is an ANSI color.
type style string

const (
	plain  style = ""
	good   style = "32"
	warn   style = "33"
	bad    style = "31"
	strong style = "1"
	faint  style = "2"
)

func (t *tui) paint(s style, text string) string {
	if !t.color || s == plain {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// say prints a line of its own.
func (t *tui) say(s style, format string, args ...any) {
	if !t.quiet {
		fmt.Fprintln(t.out, t.paint(s, safe(fmt.Sprintf(format, args...))))
	}
}

// fact prints a named fact under a line; an empty one is left out.
func (t *tui) fact(name, format string, args ...any) {
	text := safe(fmt.Sprintf(format, args...))
	if !t.quiet && text != "" {
		fmt.Fprintf(t.out, "  %s %s\n", t.paint(faint, fmt.Sprintf("%-11s", name)), text)
	}
}

// trouble reports an error: what failed, then what to do next.
func (t *tui) trouble(e trouble) {
	fmt.Fprintln(t.err, "digestctl: "+safe(e.Error.Message))
	if e.Error.Advice != "" {
		fmt.Fprintln(t.err, "  "+safe(e.Error.Advice))
	}
}

// json prints a document.
func (t *tui) json(v any) error {
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// cell is a field of a table.
type cell struct {
	text  string
	style style
}

// table prints rows under titles, each column as wide as it must be.
func (t *tui) table(titles []string, rows [][]cell) {
	if t.quiet {
		return
	}
	width := make([]int, len(titles))
	for i, title := range titles {
		width[i] = len(title)
	}
	for _, row := range rows {
		for i := range row {
			row[i].text = safe(row[i].text)
			width[i] = max(width[i], utf8.RuneCountInString(row[i].text))
		}
	}
	var b strings.Builder
	line := func(n int, at func(i int) cell) {
		for i := range n {
			c := at(i)
			b.WriteString(t.paint(c.style, c.text))
			if i < n-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		b.WriteByte('\n')
	}
	line(len(titles), func(i int) cell { return cell{titles[i], strong} })
	for _, row := range rows {
		// Nothing trails behind a line's last word.
		n := len(row)
		for n > 1 && row[n-1].text == "" {
			n--
		}
		line(n, func(i int) cell { return row[i] })
	}
	io.WriteString(t.out, b.String())
}

// safe spells out what could do more than be read: control characters, and
// those that reorder text.
func safe(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// moment prints a time as the reader's clock shows it, "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// count prints a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
