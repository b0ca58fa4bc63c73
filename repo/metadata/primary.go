// SPDX-License-Identifier: Apache-2.0

package metadata

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/repo/compress"
	"github.com/digestd/digestd/repo/updateinfo"
	"github.com/digestd/digestd/repo/xmlscan"
)

const (
	maxPrimary  = 4 << 30 // bytes of text
	maxPackages = 1 << 20
	maxModules  = 256 << 20
	maxStreams  = 20_000
)

// ReadPrimary calls fn for each package in primary.xml. It skips packages with invalid versions.
func ReadPrimary(r io.Reader, fn func(nevra.NEVRA)) error {
	text, err := compress.Open(r)
	if err != nil {
		return err
	}
	s := xmlscan.New(text, maxPrimary)
	if err := readPrimary(s, fn); err != nil {
		return fmt.Errorf("cannot read the list of packages, line %d: %w", s.Line(), err)
	}
	return nil
}

func readPrimary(s *xmlscan.Scanner, fn func(nevra.NEVRA)) error {
	var n nevra.NEVRA
	var text []byte
	count, bad := 0, false
	for {
		t, err := s.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		depth := s.Depth()
		switch {
		case t.Kind == xmlscan.Text:
			text = append(text, t.Text[:min(len(t.Text), max(0, maxName+1-len(text)))]...)
		case depth == 1 && t.Kind == xmlscan.Start && string(t.Name) != "metadata":
			return fmt.Errorf("it is about %.40q, not metadata", t.Name)
		case depth == 2 && t.Kind == xmlscan.Start:
			if count++; count > maxPackages {
				return fmt.Errorf("it has more than %d packages", maxPackages)
			}
			n, bad = nevra.NEVRA{}, false
		case depth == 3 && t.Kind == xmlscan.Start:
			text = text[:0]
			switch string(t.Name) {
			case "name", "arch":
				s.KeepText(true)
			case "version":
				v, _ := updateinfo.NEVRA(t)
				n.EVR = v.EVR
				_, err := updateinfo.Epoch(t.Attr("epoch"))
				bad = bad || err != nil
			}
		case depth == 2 && t.Kind == xmlscan.End:
			switch string(t.Name) {
			case "name":
				n.Name = string(bytes.TrimSpace(text))
			case "arch":
				n.Arch = string(bytes.TrimSpace(text))
			}
			s.KeepText(false)
		case depth == 1 && t.Kind == xmlscan.End:
			if !bad && n.Arch != "src" && n.Arch != "nosrc" && n.Valid() == nil {
				fn(n)
			}
		}
	}
}

// ReadModules calls fn for each build of a module stream, "name:stream", in modules.yaml. It
// reads the file in the form that libmodulemd writes: a document for each module, with the name,
// the stream and the builds on separate lines.
func ReadModules(r io.Reader, fn func(stream string, pkg nevra.NEVRA)) error {
	text, err := compress.Open(r)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(io.LimitReader(text, maxModules))
	lines.Buffer(nil, 1<<20)
	var m moduleReader
	for lines.Scan() {
		if err := m.line(lines.Text(), fn); err != nil {
			return fmt.Errorf("cannot read the module streams: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read the module streams: %w", err)
	}
	return nil
}

// moduleReader is the state of the reader of module streams.
type moduleReader struct {
	documents    int
	builds       bool // the next lines name builds
	indent       int  // of the key that they belong to
	name, stream string
	artifacts    bool
}

func (m *moduleReader) line(line string, fn func(stream string, pkg nevra.NEVRA)) error {
	trimmed := strings.TrimLeft(line, " ")
	indent := len(line) - len(trimmed)
	if strings.HasPrefix(line, "---") {
		if m.documents++; m.documents > maxStreams {
			return fmt.Errorf("there are more than %d", maxStreams)
		}
		*m = moduleReader{documents: m.documents}
		return nil
	}
	if item, is := strings.CutPrefix(trimmed, "- "); is {
		if m.builds && indent >= m.indent && m.name != "" && m.stream != "" {
			if n, err := nevra.Parse(scalar(item)); err == nil && n.Arch != "src" && n.Arch != "nosrc" {
				fn(m.name+":"+m.stream, n)
			}
		}
		return nil
	}
	key, value, is := strings.Cut(trimmed, ":")
	if !is {
		return nil
	}
	m.builds = false
	switch {
	case indent == 2 && key == "name":
		m.name = scalar(value)
	case indent == 2 && key == "stream":
		m.stream = scalar(value)
	case indent == 2:
		m.artifacts = key == "artifacts"
	case m.artifacts && key == "rpms":
		m.builds, m.indent = true, indent
	}
	return nil
}

// scalar is a plain or quoted value of one line.
func scalar(text string) string {
	text = strings.TrimSpace(text)
	if len(text) >= 2 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0] {
		text = text[1 : len(text)-1]
	}
	return text[:min(len(text), maxName)]
}
