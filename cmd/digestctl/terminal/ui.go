// SPDX-License-Identifier: Apache-2.0

package terminal

// Everything said to a person goes through this file. Its rules: answers go to
// standard output, errors and progress to standard error. A line says one thing,
// begins with what it is about and ends without a full stop. Text that came from
// elsewhere is printed with its control characters spelled out, for a package's
// name must not move the cursor. Colors repeat what the words say already.

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// UI prints text for people, or JSON for programs.
type UI struct {
	Out, Err io.Writer
	Quiet    bool // print errors only
	color    bool
	live     bool // standard error is a terminal, so progress may be redrawn
	width    int  // columns of the terminal, 0 for no limit
	errWidth int  // the same of standard error
	progress string
}

// New returns a UI that prints answers to out and everything else to err.
func New(out, err io.Writer) *UI { return &UI{Out: out, Err: err} }

// SetUp applies the flags of the command line, and finds out what the terminal can do.
func (t *UI) SetUp(quiet, plain bool) {
	t.Quiet = quiet
	t.color = !plain && Is(t.Out)
	t.live = Is(t.Err)
	t.width, t.errWidth = Columns(t.Out), Columns(t.Err)
}

// Style is an ANSI color.
type Style string

// The styles: how what is said is meant.
const (
	Plain  Style = ""
	Good   Style = "32"
	Warn   Style = "33"
	Bad    Style = "31"
	strong Style = "1"
	Faint  Style = "2"
)

// Paint colors a text if colors are enabled.
func (t *UI) Paint(s Style, text string) string {
	if !t.color || s == Plain {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// sayIndent is where what does not fit into a line continues.
const sayIndent = 4

// Say prints a line. It wraps the line at the edge of a terminal.
func (t *UI) Say(s Style, format string, args ...any) {
	if !t.Quiet {
		t.hang(sayIndent, s, Safe(fmt.Sprintf(format, args...)))
	}
}

// Event prints a line about an event: its time, a word for it, and a text, which it wraps on a
// terminal.
func (t *UI) Event(s Style, when time.Time, word, text string) error {
	if t.Quiet {
		return nil
	}
	const wordWidth = 11
	begin := Moment(when) + "  "
	indent := len(begin) + wordWidth + 1
	pad := strings.Repeat(" ", max(wordWidth-Width(Safe(word)), 0))
	lines := Wrap(Safe(text), t.width-indent)
	_, err := fmt.Fprintf(t.Out, "%s%s %s\n", begin, t.Paint(s, Safe(word)+pad), strings.Join(lines, "\n"+strings.Repeat(" ", indent)))
	return err
}

// hang prints a text whose lines are indented, but the first.
func (t *UI) hang(indent int, s Style, text string) {
	first, rest := text, []string(nil)
	if t.width > 0 && Width(text) > t.width {
		lines := Wrap(text, t.width-indent)
		first, rest = lines[0], lines[1:]
	}
	fmt.Fprintln(t.Out, t.Paint(s, first))
	for _, line := range rest {
		fmt.Fprintln(t.Out, strings.Repeat(" ", indent)+t.Paint(s, line))
	}
}

// factIndent is where the text of a fact begins.
const factIndent = 14

// Fact prints a named fact. It omits an empty one.
func (t *UI) Fact(name, format string, args ...any) { t.Colored(Plain, name, format, args...) }

// Colored prints a fact in a color.
func (t *UI) Colored(s Style, name, format string, args ...any) {
	text := Safe(fmt.Sprintf(format, args...))
	if !t.Quiet && text != "" {
		lines := Wrap(text, t.width-factIndent)
		for i := range lines {
			lines[i] = t.Paint(s, lines[i])
		}
		text = strings.Join(lines, "\n"+strings.Repeat(" ", factIndent))
		fmt.Fprintf(t.Out, "  %s %s\n", t.Paint(Faint, fmt.Sprintf("%-11s", Safe(name))), text)
	}
}

// Labelled prints a text after a mark of fixed width and a name. It omits an empty text. It does
// not wrap a command, so that people can copy it.
func (t *UI) Labelled(mark string, width int, name, text string) {
	const markWidth, nameWidth = 8, 12
	if t.Quiet || text == "" {
		return
	}
	lines := []string{Safe(text)}
	if name != "fix" {
		lines = Wrap(lines[0], t.width-markWidth-nameWidth)
	}
	fmt.Fprintf(t.Out, "%s%s%s\n", mark+strings.Repeat(" ", max(markWidth-width, 1)), t.Paint(Faint, fmt.Sprintf("%-*s", nameWidth, name)),
		strings.Join(lines, "\n"+strings.Repeat(" ", markWidth+nameWidth)))
}

// Trouble prints an error and what to do next.
func (t *UI) Trouble(message, advice string) {
	fmt.Fprintln(t.Err, "digestctl: "+Safe(message))
	if advice != "" {
		fmt.Fprintln(t.Err, "  "+Safe(advice))
	}
}

// Safe escapes control characters, characters that reorder text, and invalid bytes.
func Safe(s string) string {
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
