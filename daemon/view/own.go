// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"
	"unicode/utf8"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

const OwnPrefix = "own:"

// ParseOwn reads what ownPackage names.
func ParseOwn(text string) (pkg nevra.NEVRA, own bool, err error) {
	rest, own := strings.CutPrefix(text, OwnPrefix)
	if !own {
		return pkg, false, nil
	}
	if pkg, err = nevra.Parse(rest); err == nil {
		_, err = digestlist.OwnName(pkg.Name)
	}
	pkg.Name = OwnPrefix + pkg.Name
	return pkg, true, err
}

func (s *Snapshot) DescribeOwn(o record.Own) api.Own {
	out := api.Own{Name: o.Name, List: o.List, State: api.StateRemoved, Version: o.Version, Highest: o.Last, Listed: o.Listed, Key: o.Key,
		Created: o.Created, Changed: o.Changed.When, By: api.Actor{UID: o.Changed.UID, PID: o.Changed.PID}, Reason: o.Changed.Reason}
	if !o.Body.IsZero() {
		out.Digest = o.Body.String()
	}
	for _, path := range o.Sources {
		src := api.OwnSource{Path: string(path)}
		if !utf8.Valid(path) {
			src.RawPath = path
		}
		out.Sources = append(out.Sources, src)
	}
	if e := s.List(o.List); e != nil && e.Own == o.Name && o.Removed.IsZero() {
		out.State, out.Text, out.Files, out.Granted = string(e.State), e.Text, e.Files, e.Granted
	}
	return out
}

// OwnOf returns the own list that a text names a version of, if it is of one.
func OwnOf(text string) (name string, ok bool) {
	pkg, own, err := ParseOwn(text)
	if !own || err != nil {
		return "", false
	}
	return pkg.Name[len(OwnPrefix):], true
}
