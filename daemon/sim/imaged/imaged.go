// SPDX-License-Identifier: Apache-2.0

// Package imaged says which lists of the image that a machine started from are taken over, and
// whose signature a list may bear.
package imaged

import (
	"slices"

	"github.com/digestd/digestd/daemon/sim/story"
	"github.com/digestd/digestd/daemon/sim/system"
)

// Builder is what is known of the certificate by which lists of an image count.
type Builder struct {
	absent  bool // its file
	revoked bool
	banned  bool // by the kernel, for ever
}

// Stands reports whether lists count by it.
func (b Builder) Stands() bool { return !b.absent && !b.revoked && !b.banned }

// Becomes enters what happens to the certificate.
func (b *Builder) Becomes(how string) {
	switch how {
	case story.BuilderRevoke, story.BuilderRestore:
		if !b.banned { // which says the same, and stays
			b.revoked = how == story.BuilderRevoke
		}
	case story.BuilderDrop, story.BuilderImport:
		b.absent = how == story.BuilderDrop
	case story.BuilderBan:
		b.banned = true
	}
}

// Image is an image, and who signed the lists of a machine that started from it. Nothing of it is
// in doubt after a crash. The zero value is that of a machine without one.
type Image struct {
	lists  map[string]laid
	Signed map[string]string // at rest, by list
}

type laid struct {
	contents []int
	by       string
}

// New is an image without lists.
func New() Image { return Image{lists: map[string]laid{}} }

// There reports whether there is an image.
func (i Image) There() bool { return i.lists != nil }

// Lay puts the list of a package into the image. What it holds is what the header says.
func (i Image) Lay(p story.Package, by string) {
	i.lists[p.List()] = laid{story.Sorted(slices.Clone(p.Contents)), by}
}

// Counts reports whether the list of the image is taken over where one has these contents.
func (i Image) Counts(b Builder, list string, contents []int) bool {
	l, there := i.lists[list]
	return there && l.by == story.ByBuilder && b.Stands() && slices.Equal(l.contents, contents)
}

// Found is a list at rest.
type Found struct {
	List     string
	Contents []int
	By       string // who signed it
	Stood    bool   // it was there with these contents before
	Certain  bool   // nothing interfered since
	Unknown  bool   // another program may have put it there
}

// Objection says what is wrong with the signature of a list, "" for nothing.
func (i Image) Objection(b Builder, f Found) string {
	counts := i.Counts(b, f.List, f.Contents)
	switch stood := f.Stood && i.Signed[f.List] == f.By; {
	case f.By == system.ByMachine && f.Certain && !f.Stood && counts:
		return "the list of %s was made anew, though the image has it"
	case f.By == system.ByMachine:
		return ""
	case f.By != story.ByBuilder:
		return "the list of %s is signed by a stranger"
	case !b.Stands():
		return "the list of %s has a signature of the image's builder, whose certificate does not count"
	case !stood && !f.Unknown && !counts:
		return "the list of %s has a signature of the image's builder, and the image has no such list"
	}
	return ""
}
