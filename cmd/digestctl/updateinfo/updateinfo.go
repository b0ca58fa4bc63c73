// SPDX-License-Identifier: Apache-2.0

// Package updateinfo reads the advisories of dnf repositories, updateinfo.xml,
// plain or compressed.
//
// It promises bounded memory and time, whatever the file: it may come from
// anywhere. It reads one advisory at a time and keeps none. What follows from
// them is for its caller to decide.
package updateinfo

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/digestd/digestd/digestlist/nevra"
)

// The bounds. The largest repositories have some ten thousand advisories in a
// hundred megabytes.
const (
	maxDepth = 16
	maxCVEs  = 2_000 // of one advisory
	maxID    = 128
)

// bounds are those that tests make smaller.
type bounds struct {
	total    int64 // bytes
	token    int   // bytes of one tag or text
	updates  int
	packages int // of one advisory
}

var most = bounds{total: 1 << 29, token: 4 << 20, updates: 200_000, packages: 50_000}

// Advisory says which builds of packages mend something.
type Advisory struct {
	ID       string // for example ALSA-2026:0001; "" where it has none that can be printed
	Type     string // security, bugfix, enhancement, newpackage
	Severity string // Critical, Important, Moderate, Low, or ""
	CVEs     []string
	Packages []nevra.NEVRA

	Modular    int // packages of module streams, which are left out: versions of two streams do not compare
	Unreadable int // packages whose version makes no sense
}

var cve = regexp.MustCompile(`CVE-[0-9]{4}-[0-9]{4,10}`)

// Read calls fn for each advisory. Of packages it reads only those that want
// chooses, by name and architecture, and whose sources are not packages
// themselves.
func Read(r io.Reader, want func(name, arch string) bool, fn func(Advisory) error) error {
	return read(r, most, want, fn)
}

func read(r io.Reader, b bounds, want func(name, arch string) bool, fn func(Advisory) error) error {
	text, err := plain(r)
	if err != nil {
		return err
	}
	src := &source{r: bufio.NewReader(text), left: b.total, most: b.token}
	p := &parser{bounds: b, src: src, dec: xml.NewDecoder(src), want: want, fn: fn}
	if err := p.document(); err != nil {
		if src.err != nil {
			err = src.err
		}
		return fmt.Errorf("cannot read advisories, line %d: %w", p.line(), err)
	}
	return nil
}

type parser struct {
	bounds
	src  *source
	dec  *xml.Decoder
	want func(name, arch string) bool
	fn   func(Advisory) error

	opened  bool     // there was an element
	path    []string // of the element that is open
	count   int      // of advisories
	now     Advisory
	text    strings.Builder // of the element, if it is one we read
	modular bool            // the collection is of a module stream
}

func (p *parser) line() int {
	line, _ := p.dec.InputPos()
	return line
}

func (p *parser) document() error {
	for {
		p.src.token = 0
		token, err := p.dec.Token()
		if errors.Is(err, io.EOF) && p.src.err == nil {
			if !p.opened {
				return errors.New("it has no element updates")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("it has a document type, which advisories have not: entities are not read")
		case xml.StartElement:
			err = p.start(t)
		case xml.EndElement:
			err = p.end()
		case xml.CharData:
			if p.wanted() {
				p.text.Write(t[:min(len(t), maxID+1-p.text.Len())])
			}
		}
		if err != nil {
			return err
		}
	}
}

func (p *parser) at(path ...string) bool { return slices.Equal(p.path, path) }

// wanted reports whether the text of the open element is read.
func (p *parser) wanted() bool {
	return p.at("updates", "update", "id") || p.at("updates", "update", "severity")
}

func (p *parser) start(t xml.StartElement) error {
	if len(p.path) == maxDepth {
		return fmt.Errorf("elements lie within each other more than %d deep", maxDepth)
	}
	p.opened = true
	p.path = append(p.path, strings.Clone(t.Name.Local))
	p.text.Reset()
	attr := func(name string) string {
		for _, a := range t.Attr {
			if a.Name.Local == name {
				return a.Value
			}
		}
		return ""
	}
	switch {
	case len(p.path) == 1 && t.Name.Local != "updates":
		return fmt.Errorf("it is about %.40q, not updates", t.Name.Local)
	case p.at("updates", "update"):
		if p.count++; p.count > p.updates {
			return fmt.Errorf("it has more than %d advisories", p.updates)
		}
		p.now = Advisory{Type: strings.ToLower(clip(attr("type")))}
	case p.at("updates", "update", "references", "reference"):
		return p.reference(attr("id"), attr("title"))
	case p.at("updates", "update", "pkglist", "collection"):
		p.modular = false
	case p.at("updates", "update", "pkglist", "collection", "module"):
		p.modular = true
	case p.at("updates", "update", "pkglist", "collection", "package"):
		return p.pkg(attr("name"), attr("arch"), attr("epoch"), attr("version"), attr("release"))
	}
	return nil
}

func (p *parser) reference(texts ...string) error {
	for _, text := range texts {
		for _, id := range cve.FindAllString(text, maxCVEs) {
			if slices.Contains(p.now.CVEs, id) {
				continue
			}
			if len(p.now.CVEs) == maxCVEs {
				return fmt.Errorf("advisory %d is about more than %d CVEs", p.count, maxCVEs)
			}
			p.now.CVEs = append(p.now.CVEs, strings.Clone(id))
		}
	}
	return nil
}

func (p *parser) pkg(name, arch, epoch, version, release string) error {
	if arch == "src" || arch == "nosrc" || !p.want(name, arch) {
		return nil
	}
	if p.modular || strings.Contains(release, ".module") {
		p.now.Modular++
		return nil
	}
	n := nevra.NEVRA{Name: name, Arch: arch, EVR: nevra.EVR{Version: version, Release: release}}
	if epoch != "" {
		e, err := strconv.ParseUint(epoch, 10, 32)
		if err != nil {
			p.now.Unreadable++
			return nil
		}
		n.Epoch = uint32(e)
	}
	if n.Valid() != nil {
		p.now.Unreadable++
		return nil
	}
	if len(p.now.Packages) == p.packages {
		return fmt.Errorf("advisory %d has more than %d packages that are installed", p.count, p.packages)
	}
	p.now.Packages = append(p.now.Packages, n)
	return nil
}

func (p *parser) end() error {
	text := strings.TrimSpace(p.text.String())
	switch {
	case p.at("updates", "update", "id"):
		p.now.ID = proper(text)
	case p.at("updates", "update", "severity"):
		p.now.Severity = proper(text)
	}
	p.text.Reset()
	update := p.at("updates", "update")
	p.path = p.path[:len(p.path)-1]
	if !update {
		return nil
	}
	now := p.now
	p.now = Advisory{}
	return p.fn(now)
}

// proper returns a text that can be shown, and "" for one that is too long or has
// characters that do not print: one bad advisory does not refuse those beside it.
func proper(text string) string {
	if len(text) > maxID || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return text
}

func clip(s string) string { return s[:min(len(s), maxID)] }
