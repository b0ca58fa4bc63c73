// SPDX-License-Identifier: Apache-2.0

// Package manual writes reference pages, as manual pages (man macros) and as
// Markdown, from one description: what is documented from a table cannot differ
// from what the table does.
//
// It promises that no text breaks out of its page: what would mean something to
// roff or Markdown is escaped, and only `code` between backquotes is set as
// such. It leaves the words to its callers and opens no files.
package manual

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Page is a reference page under construction.
type Page struct {
	Name   string // of the program, file or interface
	Number int    // of the manual's section
	About  string // in a line
	parts  []part
}

type kind uint8

const (
	section kind = iota
	subsection
	paragraph
	literal
	item
)

type part struct {
	kind       kind
	term, text string
}

// Section begins a part of the page.
func (p *Page) Section(title string) { p.parts = append(p.parts, part{kind: section, text: title}) }

// Subsection begins a part of a section.
func (p *Page) Subsection(title string) {
	p.parts = append(p.parts, part{kind: subsection, text: title})
}

// Text adds text; an empty line in it begins another paragraph.
func (p *Page) Text(text string) {
	for paragraphText := range strings.SplitSeq(text, "\n\n") {
		p.parts = append(p.parts, part{kind: paragraph, text: strings.Join(strings.Fields(paragraphText), " ")})
	}
}

// Literal adds lines that are to stay as they are.
func (p *Page) Literal(lines string) { p.parts = append(p.parts, part{kind: literal, text: lines}) }

// Item adds a term, which is set as code, and what is said about it.
func (p *Page) Item(term, text string) {
	p.parts = append(p.parts, part{item, term, strings.Join(strings.Fields(text), " ")})
}

// Roff returns the page for man(1). The same page gives the same bytes on every
// day.
func (p *Page) Roff() []byte {
	var b strings.Builder
	b.WriteString(".\\\" SPDX-License-Identifier: Apache-2.0\n")
	fmt.Fprintf(&b, ".TH %s %d \"\" digestd \"digestd manual\"\n", strings.ToUpper(p.Name), p.Number)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(p.Name), inline(p.About, roff, bold))
	for _, part := range p.parts {
		switch part.kind {
		case section:
			fmt.Fprintf(&b, ".SH %s\n", quoted(strings.ToUpper(part.text)))
		case subsection:
			fmt.Fprintf(&b, ".SS %s\n", quoted(part.text))
		case paragraph:
			fmt.Fprintf(&b, ".PP\n%s\n", guarded(inline(part.text, roff, bold)))
		case literal:
			b.WriteString(".PP\n.RS 4\n.nf\n")
			for line := range strings.SplitSeq(part.text, "\n") {
				b.WriteString(guarded(roff(line)) + "\n")
			}
			b.WriteString(".fi\n.RE\n")
		case item:
			fmt.Fprintf(&b, ".TP\n%s\n", bold(part.term))
			if part.text != "" {
				b.WriteString(guarded(inline(part.text, roff, bold)) + "\n")
			}
		}
	}
	return []byte(b.String())
}

// Markdown returns the page for a reader of the source.
func (p *Page) Markdown() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", markdown(p.Name), inline(p.About, markdown, code))
	inList := false
	for _, part := range p.parts {
		if part.kind != item || !inList {
			b.WriteByte('\n')
		}
		inList = part.kind == item
		switch part.kind {
		case section:
			fmt.Fprintf(&b, "## %s\n", inline(part.text, markdown, code))
		case subsection:
			fmt.Fprintf(&b, "### %s\n", inline(part.text, markdown, code))
		case paragraph:
			b.WriteString(fill(inline(part.text, markdown, code), ""))
		case literal:
			fmt.Fprintf(&b, "```\n%s\n```\n", part.text)
		case item:
			text := "- " + code(part.term)
			if part.text != "" {
				text += ": " + inline(part.text, markdown, code)
			}
			b.WriteString(fill(text, "  "))
		}
	}
	return []byte(b.String())
}

// inline sets what is between backquotes as code and the rest as plain text.
func inline(text string, plain, code func(string) string) string {
	var b strings.Builder
	for i, s := range strings.Split(text, "`") {
		if i%2 == 1 {
			b.WriteString(code(s))
		} else {
			b.WriteString(plain(s))
		}
	}
	return b.String()
}

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// roff escapes text for roff, which reads ASCII only.
func roff(s string) string {
	var b strings.Builder
	for _, r := range roffEscapes.Replace(s) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	return b.String()
}

func bold(s string) string { return `\fB` + roff(s) + `\fR` }

// guarded keeps a line from being taken for a request.
func guarded(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

// quoted makes text one argument of a request.
func quoted(s string) string {
	return `"` + strings.ReplaceAll(roff(strings.ReplaceAll(s, "`", "")), `"`, `\(dq`) + `"`
}

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`)

func markdown(s string) string { return markdownEscapes.Replace(s) }

func code(s string) string { return "`" + s + "`" }

// lineWidth is where Markdown is wrapped.
const lineWidth = 80

// fill wraps text between words; lines after the first begin with indent.
func fill(text, indent string) string {
	var b strings.Builder
	length := 0
	for word := range strings.SplitSeq(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case length == 0:
		case length+1+n > lineWidth && !startsBlock(word):
			b.WriteString("\n" + indent)
			length = len(indent)
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += n
	}
	return b.String() + "\n"
}

// startsBlock reports whether a word would begin a list or heading where a line
// begins.
func startsBlock(word string) bool {
	return strings.Trim(word, "-+#>=0123456789.)") == ""
}
