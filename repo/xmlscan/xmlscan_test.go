// SPDX-License-Identifier: Apache-2.0

package xmlscan

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// said is a document as its tokens.
func said(text string, size int64) (string, error) {
	s := New(strings.NewReader(text), size)
	s.KeepText(true)
	var b strings.Builder
	for {
		t, err := s.Next()
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return b.String(), err
		}
		switch t.Kind {
		case Start:
			fmt.Fprintf(&b, "<%s", t.Name)
			for _, a := range t.Attrs {
				fmt.Fprintf(&b, " %s=%q", a.Name, a.Value)
			}
			b.WriteString(">")
		case End:
			fmt.Fprintf(&b, "</%s>", t.Name)
		case Text:
			fmt.Fprintf(&b, "%q", t.Text)
		}
	}
}

func TestDocuments(t *testing.T) {
	for text, want := range map[string]string{
		`<a/>`: `<a></a>`,
		`<?xml version="1.0"?><!-- a > b --><a x='1' r:y = "2&gt;&#65;"><b>text &amp; more</b><c/></a>`: `<a x="1" y="2>A"><b>"text & more"</b><c></c></a>`,
		`<a v="1>2"><![CDATA[<raw> ]] ]]></a>`:                                                          `<a v="1>2">"<raw> ]] "</a>`,
		"<rpm:a>\n</rpm:a >":                                                                            `<a>"\n"</a>`,
	} {
		if got, err := said(text, 1<<20); err != nil || got != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":         "no element",
		"<a>":      "ends inside of the element",
		"<a":       "ends inside of a tag",
		"<a></b>":  "not open",
		"</a>":     "not open",
		"<a/><b/>": "second element",
		"< />":     "no name",
		"<a x>":    "no value",
		"<a x=1>":  "not quoted",
		`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`: "document type",
		"<a>&b;</a>":                      "entity",
		"<a>&b</a>":                       "does not end",
		"<a>&#0;</a>":                     "entity",
		"<a>&#x110000;</a>":               "entity",
		"<a>\xff</a>":                     "UTF-8",
		"<a><!-- ":                        "ends inside of a tag",
		strings.Repeat("<a>", maxDepth+1): "deep",
		"<a " + strings.Repeat(`x="" `, maxAttrs+1) + "/>": "attributes",
		"<a>" + strings.Repeat("x", MaxToken+1) + "</a>":   "more than",
		`<a x="` + strings.Repeat("x", MaxToken) + `"/>`:   "more than",
	} {
		if _, err := said(text, 1<<30); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", text, err, want)
		}
	}
	if _, err := said("<a>"+strings.Repeat("<b/>", 1000)+"</a>", 100); !errors.Is(err, errTooLarge) {
		t.Error(err)
	}
}

func TestWhere(t *testing.T) {
	s := New(strings.NewReader("<a>\n<b/>\n"), 1<<20)
	for _, depth := range []int{1, 2, 1} {
		if _, err := s.Next(); err != nil || s.Depth() != depth {
			t.Errorf("depth %d, %v; want %d", s.Depth(), err, depth)
		}
	}
	if _, err := s.Next(); err == nil || s.Line() != 3 {
		t.Errorf("line %d, %v", s.Line(), err)
	}
}

// Go's own reader of XML accepts everything that the scanner accepts, and sees the same in it.
func FuzzAgainstAnother(f *testing.F) {
	for _, text := range []string{`<a x="1"><b>t &amp; &#65;</b><![CDATA[x]]></a>`, `<?xml version="1.0"?><!-- c --><a/>`, "<a>\r\n</a>"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := New(strings.NewReader(text), 1<<20)
		var ours []string
		for {
			token, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			ours = append(ours, fmt.Sprint(token.Kind, string(token.Name)))
		}
		d := xml.NewDecoder(strings.NewReader(text))
		var theirs []string
		for {
			token, err := d.RawToken()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					return // it is stricter about names and characters
				}
				break
			}
			switch token := token.(type) {
			case xml.StartElement:
				theirs = append(theirs, fmt.Sprint(Start, local([]byte(token.Name.Local))))
			case xml.EndElement:
				theirs = append(theirs, fmt.Sprint(End, local([]byte(token.Name.Local))))
			}
		}
		if len(ours) != len(theirs) {
			t.Errorf("%q: %v, and by another reader %v", text, ours, theirs)
		}
	})
}
