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
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/digestd/digestd/cmd/digestctl/terminal"
)

// tui writes to a person, or JSON to a program.
type tui struct {
	out, err io.Writer
	quiet    bool
	color    bool
	live     bool // standard error is a terminal: progress may be redrawn
	width    int  // columns of the terminal, 0 where lines may be as long as they are
}

func newTUI(out, err io.Writer) *tui { return &tui{out: out, err: err} }

func (t *tui) setUp(quiet, plain bool) {
	t.quiet = quiet
	t.color = !plain && terminal.Is(t.out)
	t.live = terminal.Is(t.err)
	t.width = terminal.Columns(t.out)
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

// factIndent is where the text of a fact begins.
const factIndent = 14

// fact prints a named fact under a line; an empty one is left out.
func (t *tui) fact(name, format string, args ...any) { t.colored(plain, name, format, args...) }

// colored prints a fact that is to be seen.
func (t *tui) colored(s style, name, format string, args ...any) {
	text := safe(fmt.Sprintf(format, args...))
	if !t.quiet && text != "" {
		lines := wrap(text, t.width-factIndent)
		for i := range lines {
			lines[i] = t.paint(s, lines[i])
		}
		text = strings.Join(lines, "\n"+strings.Repeat(" ", factIndent))
		fmt.Fprintf(t.out, "  %s %s\n", t.paint(faint, fmt.Sprintf("%-11s", name)), text)
	}
}

// labelled prints a text after what is said of it, first a mark of so many
// characters, then a name; an empty one is left out. A command is not wrapped,
// for it is there to be pasted.
func (t *tui) labelled(mark string, width int, name, text string) {
	const markWidth, nameWidth = 8, 12
	if t.quiet || text == "" {
		return
	}
	lines := []string{safe(text)}
	if name != "fix" {
		lines = wrap(lines[0], t.width-markWidth-nameWidth)
	}
	fmt.Fprintf(t.out, "%s%s%s\n", mark+strings.Repeat(" ", max(markWidth-width, 1)), t.paint(faint, fmt.Sprintf("%-*s", nameWidth, name)),
		strings.Join(lines, "\n"+strings.Repeat(" ", markWidth+nameWidth)))
}

// trouble reports an error: what failed, then what to do next.
func (t *tui) trouble(message, advice string) {
	fmt.Fprintln(t.err, "digestctl: "+safe(message))
	if advice != "" {
		fmt.Fprintln(t.err, "  "+safe(advice))
	}
}

// json prints a document.
func (t *tui) json(v any) error {
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// safe spells out what could do more than be read: control characters, those
// that reorder text, and bytes that are no text.
func safe(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String()
}
