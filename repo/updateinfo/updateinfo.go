// SPDX-License-Identifier: Apache-2.0

// Package updateinfo reads the advisories of package repositories, updateinfo.xml, plain or
// compressed.
//
// Memory and time are bounded for every input, which may be hostile. It passes one advisory at a
// time to its caller and keeps none.
package updateinfo

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/repo/compress"
	"github.com/digestd/digestd/repo/xmlscan"
)

// The bounds. The largest repositories have some ten thousand advisories in a hundred
// megabytes.
const (
	maxCVEs   = 2_000 // of one advisory
	maxID     = 128
	maxStream = 256
)

// bounds are those that tests make smaller.
type bounds struct {
	total    int64 // bytes
	updates  int
	packages int // of one advisory
}

var most = bounds{total: 1 << 30, updates: 200_000, packages: 50_000}

// Advisory names the builds of packages that fix a flaw. It is valid until the next one.
type Advisory struct {
	ID       string // for example ALSA-2026:0001; "" where it has none that can be printed
	Type     string // security, bugfix, enhancement, newpackage
	Severity string // Critical, Important, Moderate, Low, or ""
	Issued   string // as it is written, for people; "" where it has none
	CVEs     []string
	Packages []Package

	Unreadable int // number of packages with invalid versions
}

// Package is a build with a fix.
type Package struct {
	nevra.NEVRA
	Stream string // of the module that it is of, "name:stream"; "" for none
}

var cve = regexp.MustCompile(`CVE-[0-9]{4}-[0-9]{4,10}`)

// Read calls fn for each advisory. It includes only packages for which want returns true, by
// name and architecture, and no source packages.
func Read(r io.Reader, want func(name, arch string) bool, fn func(*Advisory) error) error {
	return read(r, most, want, fn)
}

func read(r io.Reader, b bounds, want func(name, arch string) bool, fn func(*Advisory) error) error {
	text, err := compress.Open(r)
	if err != nil {
		return err
	}
	p := &parser{bounds: b, s: xmlscan.New(text, b.total), want: want, fn: fn}
	if err := p.document(); err != nil {
		if errors.Is(err, xmlscan.ErrNoElement) {
			err = errors.New("it has no element updates")
		}
		return fmt.Errorf("cannot read advisories, line %d: %w", p.s.Line(), err)
	}
	return nil
}

type parser struct {
	bounds
	s    *xmlscan.Scanner
	want func(name, arch string) bool
	fn   func(*Advisory) error

	path   []string // of the element that is open
	count  int      // of advisories
	now    Advisory
	text   strings.Builder // of the element, if it is one that is read
	stream string          // of the collection
}

func (p *parser) document() error {
	for {
		t, err := p.s.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t.Kind {
		case xmlscan.Start:
			err = p.start(t)
		case xmlscan.End:
			err = p.end()
		case xmlscan.Text:
			p.text.Write(t.Text[:min(len(t.Text), max(0, maxID+1-p.text.Len()))])
		}
		if err != nil {
			return err
		}
	}
}

// at reports whether the open element is that one inside of an advisory.
func (p *parser) at(path ...string) bool {
	return len(p.path) == 2+len(path) && p.path[1] == "update" && slices.Equal(p.path[2:], path)
}

// names are those of elements that are looked for: no other name is kept.
var names = []string{"updates", "update", "id", "severity", "issued", "references", "reference", "pkglist", "collection", "module", "package"}

func (p *parser) start(t *xmlscan.Token) error {
	name := ""
	if i := slices.IndexFunc(names, func(n string) bool { return n == string(t.Name) }); i >= 0 {
		name = names[i]
	}
	p.path = append(p.path, name)
	p.text.Reset()
	switch {
	case len(p.path) == 1 && name != "updates":
		return fmt.Errorf("it is about %.40q, not updates", t.Name)
	case p.at():
		if p.count++; p.count > p.updates {
			return fmt.Errorf("it has more than %d advisories", p.updates)
		}
		p.now = Advisory{Type: strings.ToLower(clip(t.Attr("type"))), CVEs: p.now.CVEs[:0], Packages: p.now.Packages[:0]}
	case p.at("id"), p.at("severity"):
		p.s.KeepText(true)
	case p.at("issued"):
		p.now.Issued = proper(t.Attr("date"))
	case p.at("references", "reference"):
		return p.reference(t.Attr("id"), t.Attr("title"))
	case p.at("pkglist", "collection"):
		p.stream = ""
	case p.at("pkglist", "collection", "module"):
		if p.stream = t.Attr("name") + ":" + t.Attr("stream"); len(p.stream) > maxStream || strings.ContainsFunc(p.stream, unprintable) {
			return errors.New("a module stream has a name that is too long or cannot be printed")
		}
	case p.at("pkglist", "collection", "package"):
		return p.pkg(t)
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
			p.now.CVEs = append(p.now.CVEs, id)
		}
	}
	return nil
}

func (p *parser) pkg(t *xmlscan.Token) error {
	n, err := NEVRA(t)
	if n.Arch == "src" || n.Arch == "nosrc" || !p.want(n.Name, n.Arch) {
		return nil
	}
	if err != nil {
		p.now.Unreadable++
		return nil
	}
	if len(p.now.Packages) == p.packages {
		return fmt.Errorf("advisory %d has more than %d packages that are looked for", p.count, p.packages)
	}
	p.now.Packages = append(p.now.Packages, Package{n, p.stream})
	return nil
}

// NEVRA returns the package that the attributes of an element name. After an error it still has
// name and architecture.
func NEVRA(t *xmlscan.Token) (n nevra.NEVRA, err error) {
	epoch := ""
	for _, a := range t.Attrs {
		switch string(a.Name) {
		case "name":
			n.Name = string(a.Value)
		case "arch":
			n.Arch = string(a.Value)
		case "epoch":
			epoch = string(a.Value)
		case "version", "ver":
			n.Version = string(a.Value)
		case "release", "rel":
			n.Release = string(a.Value)
		}
	}
	if n.Epoch, err = Epoch(epoch); err != nil {
		return n, err
	}
	return n, n.Valid()
}

// Epoch parses an epoch in the form of repositories: "" is 0.
func Epoch(text string) (uint32, error) {
	if text == "" || text == "0" {
		return 0, nil
	}
	e, err := strconv.ParseUint(text, 10, 32)
	return uint32(e), err
}

func (p *parser) end() error {
	text := strings.TrimSpace(p.text.String())
	switch {
	case p.at("id"):
		p.now.ID = proper(text)
	case p.at("severity"):
		p.now.Severity = proper(text)
	}
	p.s.KeepText(false)
	p.text.Reset()
	update := p.at()
	p.path = p.path[:len(p.path)-1]
	if !update {
		return nil
	}
	return p.fn(&p.now)
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// proper returns a text that can be displayed, or "" if it is too long or has unprintable
// characters: one bad advisory does not affect the others.
func proper(text string) string {
	if len(text) > maxID || strings.ContainsFunc(text, unprintable) {
		return ""
	}
	return text
}

func clip(s string) string { return s[:min(len(s), maxID)] }

// Time returns the time of issue, zero if it cannot be parsed.
func (a *Advisory) Time() time.Time {
	for _, layout := range []string{time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, a.Issued); err == nil {
			return t
		}
	}
	if sec, err := strconv.ParseInt(a.Issued, 10, 64); err == nil && sec > 0 && sec < 1<<36 {
		return time.Unix(sec, 0).UTC()
	}
	return time.Time{}
}
