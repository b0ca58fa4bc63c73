// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb"
)

// role is a property that a package gives some of its files.
type role uint8

const (
	roleConfig        role = 1 << iota // the administrator may change it
	roleDocumentation                  // it may be missing
	roleMissingOK                      // it may be absent
	roleAbsent                         // rpm did not install it
	roleShared                         // rpm did not install it, because another machine shares it
	roleRemade                         // its content is not to be compared: %verify(not filedigest)
)

// verifyDigest is set where rpm -V compares a file's content (rpm,
// include/rpm/rpmvf.h, RPMVERIFY_FILEDIGEST).
const verifyDigest = 1 << 0

// Attributes of files (rpm, include/rpm/rpmfiles.h, rpmfileAttrs).
const (
	attrConfig    = 1 << 0
	attrDoc       = 1 << 1
	attrMissingOK = 1 << 3
	attrLicense   = 1 << 7
	attrReadme    = 1 << 8
)

// States of files (rpmfileState): why rpm did not install one.
const (
	stateNotInstalled = 2 // documentation, or excluded
	stateNetShared    = 3
	stateWrongColor   = 4 // another architecture's file is there instead
)

func roleOf(attrs, compared uint32, state byte) (r role) {
	if attrs&attrConfig != 0 {
		r |= roleConfig
	}
	if attrs&(attrDoc|attrLicense|attrReadme) != 0 {
		r |= roleDocumentation
	}
	if attrs&attrMissingOK != 0 {
		r |= roleMissingOK
	}
	if absentState(state) {
		r |= roleAbsent
	}
	if state == stateNetShared {
		r |= roleShared
	}
	if compared&verifyDigest == 0 {
		r |= roleRemade
	}
	return r
}

// absentState reports whether rpm did not install a file.
func absentState(state byte) bool {
	return state == stateNotInstalled || state == stateNetShared || state == stateWrongColor
}

// String returns the role's name in a finding.
func (r role) String() string {
	switch {
	case r&roleConfig != 0:
		return "config"
	case r&roleDocumentation != 0:
		return "documentation"
	}
	return ""
}

// marked is a file with a role.
type marked struct {
	hash uint64 // of its path in the package
	role role
}

// roles has the roles of the files of all wanted packages, by the entry's place.
type roles struct {
	x       *index
	byEntry [][]marked
	regular []int // numbers of wanted files of withheld packages
	wanted  func(path string) bool
}

// of returns the role of a file by its path in the package.
func (r *roles) of(place int, path string) role {
	files := r.byEntry[place]
	h := r.x.hash(path)
	i, ok := slices.BinarySearchFunc(files, h, func(m marked, h uint64) int { return cmp.Compare(m.hash, h) })
	if !ok {
		return 0
	}
	return files[i].role
}

// readRoles reads rpm's database.
func readRoles(ctx context.Context, dir string, x *index, wanted func(path string) bool) (*roles, error) {
	r := &roles{x: x, wanted: wanted, byEntry: make([][]marked, len(x.entries)), regular: make([]int, len(x.entries))}
	return r, eachInstalled(ctx, dir, x, r.enter)
}

// coverBroken enters the paths of packages whose lists cannot be read.
func (r *roles) coverBroken(ctx context.Context, dir string) error {
	if len(r.x.broken) == 0 {
		return nil
	}
	return eachInstalled(ctx, dir, r.x, func(h *header.Header, place int) {
		if r.x.broken[place] {
			r.cover(h, place)
		}
	})
}

// eachInstalled calls enter for each header in rpm's database that belongs to an entry. It skips
// malformed headers.
func eachInstalled(ctx context.Context, dir string, x *index, enter func(h *header.Header, place int)) error {
	if dir == "" {
		return nil
	}
	db, err := rpmdb.Open(dir)
	if errors.Is(err, rpmdb.ErrNoDatabase) {
		return nil
	}
	if err != nil {
		return err
	}
	byHeader := make(map[string]int, len(x.entries))
	for place, e := range x.entries {
		if len(e.Header) > 0 {
			byHeader[string(e.Header)] = place
		}
	}
	err = db.Headers(ctx, func(_ uint32, blob []byte) error {
		h, err := header.Parse(blob)
		if err != nil {
			return nil
		}
		digest, err := h.Digest()
		if err != nil {
			return nil
		}
		if place, ours := byHeader[string(digest[:])]; ours {
			enter(h, place)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot read rpm's database: %w", err)
	}
	return nil
}

// states returns the state of each file in rpm's database.
func states(h *header.Header) []byte {
	states, _ := h.Unsigned().Bytes(header.TagFileStates)
	return states
}

// cover notes the files of one package that has no list.
func (r *roles) cover(h *header.Header, place int) {
	states := states(h)
	h.Files(func(f header.File) error {
		if !f.Regular() || f.Ghost() || f.Index < len(states) && absentState(states[f.Index]) {
			return nil
		}
		path := r.x.entries[place].moved.Path(f.Path())
		r.x.cover(path, place)
		if r.wanted(path) {
			r.regular[place]++
		}
		return nil
	})
}

// enter notes the paths of one package's files, and the files with roles.
func (r *roles) enter(h *header.Header, place int) {
	states := states(h)
	compared, _ := h.Uint32s(header.TagVerifyFlags)
	moved, _ := h.Relocations()
	r.x.entries[place].moved = moved
	if r.x.entries[place].State != active {
		r.cover(h, place)
	}
	var files []marked
	var path []byte
	h.Files(func(f header.File) error {
		var state byte
		if f.Index < len(states) {
			state = states[f.Index]
		}
		what := ^uint32(0)
		if f.Index < len(compared) {
			what = compared[f.Index]
		}
		mark := roleOf(f.Flags, what, state)
		if mark == 0 && !f.Ghost() {
			return nil
		}
		path = f.AppendPath(path[:0])
		text := moved.Path(string(path))
		if f.Ghost() {
			r.x.ghost(text, place)
		}
		if mark != 0 {
			files = append(files, marked{r.x.hash(text), mark})
		}
		return nil
	})
	slices.SortFunc(files, func(a, b marked) int { return cmp.Compare(a.hash, b.hash) })
	r.byEntry[place] = files
}
