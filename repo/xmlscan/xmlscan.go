// SPDX-License-Identifier: Apache-2.0

// Package xmlscan reads the XML of package repositories, one tag at a time.
//
// Memory and time are bounded for every input: tags, texts and the depth of elements are
// limited. It knows only the entities of XML itself and of characters, and refuses a document
// type. It reads only UTF-8, and ignores the prefix of a name before a colon. The caller
// interprets the elements.
package xmlscan

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

const (
	maxDepth = 32
	maxAttrs = 64 // of one element
	// MaxToken bounds a tag with its attributes, a comment and a text that is kept, in bytes.
	MaxToken = 1 << 20
)

// Kind is the kind of a token.
type Kind uint8

// The kinds.
const (
	Start Kind = iota
	End
	Text // only where the caller asked for it
)

// Attr is an attribute of an element. It is valid until the next token.
type Attr struct{ Name, Value []byte }

// Token is one tag or text. Its contents are valid until the next one.
type Token struct {
	Kind  Kind
	Name  []byte // of the element
	Attrs []Attr
	Text  []byte
}

// Attr returns the value of an attribute, "" if there is none.
func (t *Token) Attr(name string) string {
	for _, a := range t.Attrs {
		if string(a.Name) == name {
			return string(a.Value)
		}
	}
	return ""
}

// Scanner reads one document.
type Scanner struct {
	r     *bufio.Reader
	left  int64 // bytes that may come yet
	line  int
	token Token
	buf   []byte // of the token
	attrs []Attr
	open  []string // elements
	any   bool     // there was an element
	ends  bool     // the element that is open had no content
	keep  bool     // texts are returned
	begun bool     // the "<" of a tag was taken
}

// New returns a scanner of at most size bytes.
func New(r io.Reader, size int64) *Scanner {
	return &Scanner{r: bufio.NewReaderSize(r, 64<<10), left: size, line: 1}
}

// Line returns the number of the current line, from 1.
func (s *Scanner) Line() int { return s.line }

// Depth returns the number of open elements, including one that has just started.
func (s *Scanner) Depth() int { return len(s.open) }

// KeepText says whether texts are returned from now on, or skipped.
func (s *Scanner) KeepText(keep bool) { s.keep = keep }

// Next returns the next token, or io.EOF at the end of a complete document. Errors do not name
// the line; see [Scanner.Line].
func (s *Scanner) Next() (*Token, error) {
	if s.ends {
		s.ends = false
		return s.close(s.open[len(s.open)-1])
	}
	for {
		if !s.begun {
			if err := s.text(); err != nil {
				if errors.Is(err, io.EOF) {
					return nil, s.finish()
				}
				return nil, err
			}
			s.begun = true
			if s.keep && len(s.buf) > 0 {
				s.token = Token{Kind: Text, Text: s.buf}
				return &s.token, nil
			}
		}
		s.begun = false
		t, err := s.tag()
		if err != nil || t != nil {
			return t, err
		}
	}
}

func (s *Scanner) finish() error {
	switch {
	case len(s.open) > 0:
		return fmt.Errorf("it ends inside of the element %q", s.open[len(s.open)-1])
	case !s.any:
		return ErrNoElement
	}
	return io.EOF
}

// ErrNoElement means that a document has no element.
var ErrNoElement = errors.New("it has no element")

var (
	errTooLarge = errors.New("it is too large")
	errToken    = fmt.Errorf("one tag or text has more than %d bytes", MaxToken)
	errEnds     = errors.New("it ends inside of a tag")
)

// until returns what comes before the next delim, and takes both. keep says whether what
// comes is wanted; else it may be of any length. The result is valid until the next read.
func (s *Scanner) until(delim byte, keep bool, into []byte) ([]byte, error) {
	for {
		part, err := s.r.ReadSlice(delim)
		s.left -= int64(len(part))
		s.line += bytes.Count(part, []byte{'\n'})
		if s.left < 0 {
			return into, errTooLarge
		}
		if keep {
			if len(into)+len(part) > MaxToken {
				return into, errToken
			}
			into = append(into, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return into, err
		}
	}
}

// text takes what comes before the next tag, and the "<" of it.
func (s *Scanner) text() (err error) {
	wanted := s.keep && len(s.open) > 0
	if s.buf, err = s.until('<', wanted, s.buf[:0]); !wanted {
		s.buf = s.buf[:0]
		return err
	}
	if err == nil {
		s.buf = s.buf[:len(s.buf)-1]
		s.buf, err = unescape(s.buf)
	}
	return err
}

// tag reads what follows "<", and returns nil for what is no element.
func (s *Scanner) tag() (*Token, error) {
	head, err := s.r.Peek(1)
	if err != nil {
		return nil, ended(err)
	}
	switch head[0] {
	case '!':
		return s.declaration()
	case '?':
		return nil, s.skip("?>")
	}
	if s.buf, err = s.until('>', true, s.buf[:0]); err != nil {
		return nil, ended(err)
	}
	// A ">" may be in the value of an attribute.
	for quoted(s.buf) {
		if s.buf, err = s.until('>', true, s.buf); err != nil {
			return nil, ended(err)
		}
	}
	body := s.buf[:len(s.buf)-1]
	if len(body) > 0 && body[0] == '/' {
		return s.close(string(local(bytes.TrimRight(body[1:], " \t\r\n"))))
	}
	empty := len(body) > 0 && body[len(body)-1] == '/'
	if empty {
		body = body[:len(body)-1]
	}
	name, rest := word(body)
	if len(name) == 0 {
		return nil, errors.New("a tag has no name")
	}
	if err := s.attributes(rest); err != nil {
		return nil, err
	}
	if len(s.open) == maxDepth {
		return nil, fmt.Errorf("elements lie within each other more than %d deep", maxDepth)
	}
	if s.any && len(s.open) == 0 {
		return nil, errors.New("it has a second element outside of the first")
	}
	s.any, s.ends = true, empty
	name = local(name)
	s.open = append(s.open, string(name))
	s.token = Token{Kind: Start, Name: name, Attrs: s.attrs}
	return &s.token, nil
}

// close ends the element that is open, which must have that name.
func (s *Scanner) close(name string) (*Token, error) {
	if len(s.open) == 0 || s.open[len(s.open)-1] != name {
		return nil, fmt.Errorf("the element %.40q ends, which is not open", name)
	}
	s.open = s.open[:len(s.open)-1]
	s.token = Token{Kind: End, Name: []byte(name)}
	return &s.token, nil
}

// declaration skips a comment, and returns the text of a CDATA section.
func (s *Scanner) declaration() (*Token, error) {
	const cdata = "![CDATA["
	if head, _ := s.r.Peek(3); string(head) == "!--" {
		s.r.Discard(3)
		s.left -= 3
		return nil, s.skip("-->")
	}
	if head, _ := s.r.Peek(len(cdata)); string(head) != cdata {
		return nil, errors.New("it has a document type, which no file of a repository has: entities are not read")
	}
	s.r.Discard(len(cdata))
	s.left -= int64(len(cdata))
	s.buf = s.buf[:0]
	for {
		var err error
		if s.buf, err = s.until('>', true, s.buf); err != nil {
			return nil, ended(err)
		}
		if bytes.HasSuffix(s.buf, []byte("]]>")) {
			break
		}
	}
	if !s.keep {
		return nil, nil
	}
	s.token = Token{Kind: Text, Text: s.buf[:len(s.buf)-3]}
	return &s.token, nil
}

// skip passes over everything up to the end of a comment or instruction.
func (s *Scanner) skip(end string) error {
	var last []byte
	for {
		part, err := s.until('>', true, nil)
		if last = append(last, part...); err != nil {
			return ended(err)
		}
		if bytes.HasSuffix(last, []byte(end)) {
			return nil
		}
		last = last[max(0, len(last)-len(end)):]
	}
}

// attributes reads those of a tag.
func (s *Scanner) attributes(rest []byte) error {
	s.attrs = s.attrs[:0]
	for {
		if rest = bytes.TrimLeft(rest, " \t\r\n"); len(rest) == 0 {
			return nil
		}
		i := bytes.IndexByte(rest, '=')
		if i <= 0 {
			return errors.New("an attribute has no value")
		}
		name := bytes.TrimRight(rest[:i], " \t\r\n")
		rest = bytes.TrimLeft(rest[i+1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return errors.New("the value of an attribute is not quoted")
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return errors.New("the value of an attribute does not end")
		}
		value, err := unescape(rest[1 : 1+end])
		if err != nil {
			return err
		}
		if rest = rest[end+2:]; len(s.attrs) == maxAttrs {
			return fmt.Errorf("an element has more than %d attributes", maxAttrs)
		}
		s.attrs = append(s.attrs, Attr{local(name), value})
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return errEnds
	}
	return err
}

// quoted reports whether a tag ends inside of the value of an attribute.
func quoted(tag []byte) bool {
	for {
		i := bytes.IndexAny(tag, `"'`)
		if i < 0 {
			return false
		}
		j := bytes.IndexByte(tag[i+1:], tag[i])
		if j < 0 {
			return true
		}
		tag = tag[i+j+2:]
	}
}

// word cuts the name off a tag.
func word(tag []byte) (name, rest []byte) {
	if i := bytes.IndexAny(tag, " \t\r\n"); i >= 0 {
		return tag[:i], tag[i:]
	}
	return tag, nil
}

// local is a name without its prefix.
func local(name []byte) []byte {
	if i := bytes.LastIndexByte(name, ':'); i >= 0 {
		return name[i+1:]
	}
	return name
}

// unescape replaces entities, in place: what stands for them is never longer.
func unescape(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it has a text that is not UTF-8")
	}
	i := bytes.IndexByte(text, '&')
	if i < 0 {
		return text, nil
	}
	out := text[:i]
	for rest := text[i:]; len(rest) > 0; {
		if rest[0] != '&' {
			n := bytes.IndexByte(rest, '&')
			if n < 0 {
				n = len(rest)
			}
			out, rest = append(out, rest[:n]...), rest[n:]
			continue
		}
		const longest = 10
		end := bytes.IndexByte(rest[:min(len(rest), longest)], ';')
		if end < 0 {
			return nil, errors.New("an entity does not end")
		}
		r, err := entity(string(rest[1:end]))
		if err != nil {
			return nil, err
		}
		out, rest = utf8.AppendRune(out, r), rest[end+1:]
	}
	return out, nil
}

func entity(name string) (rune, error) {
	switch name {
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "amp":
		return '&', nil
	case "quot":
		return '"', nil
	case "apos":
		return '\'', nil
	}
	if len(name) > 1 && name[0] == '#' {
		digits, base := name[1:], 10
		if digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		if n, err := strconv.ParseUint(digits, base, 21); err == nil && n != 0 && utf8.ValidRune(rune(n)) {
			return rune(n), nil
		}
	}
	return 0, fmt.Errorf("it has the entity %.12q, which is not of XML itself", name)
}
