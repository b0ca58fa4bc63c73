// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"hash"
	"slices"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// Candidate is a package whose list may become active: verified, and once
// built also written and signed, so that publishing it is one rename.
type Candidate struct {
	Pkg    nevra.NEVRA
	Header record.Digest
	Name   string           // of its list
	Module string           // the module stream that it says it is of, "name:stream"; "" for none
	Multi  bool             // says of itself that several versions may be installed
	None   *policy.Decision // why it has nothing to vouch for, if so
	Hashed hash.Cloner      // what header was read from, until it is verified
	Verification

	Basis   uint64 // what it was made by: see Running
	Omitted Omission
	Made
}

// Made is a list that was written and signed.
type Made struct {
	Signer string // subject key identifier of the certificate that signed it, or how it is signed else
	Files  int
	// Largest is the size in bytes of the largest file that it is of; 0: not known.
	Largest uint64
	Body    record.Digest // of the list without its signature
	Wide    string        // of the body, as the signer digests it; "" where that is Body
	Whole   record.Digest // of the body with what is denied, if it leaves something out
	File    record.Digest
	Refs    *Refs
	Staged  record.Staged
}

// Verification is what the signatures of a header are worth.
type Verification struct {
	Key       *pgp.Cert
	Sig       []byte            // that of key, as the package carries it
	Signature *record.Signature // what is kept of it
	Held      string            // why nothing new may come under key, "" if it may
	From      time.Time         // when a signature from the future begins to count
	Vouch     policy.Decision
}

// Omission is what a list leaves out because it is denied.
type Omission struct {
	Paths [][]byte         // of these files
	By    []*policy.Denial // each once
	IDs   []string         // of these
}

func (o *Omission) Add(d *policy.Denial, path []byte) {
	o.Paths = append(o.Paths, slices.Clone(path))
	if !slices.Contains(o.IDs, d.ID) {
		o.By, o.IDs = append(o.By, d), append(o.IDs, d.ID)
	}
}

// Text says it for people.
func (o *Omission) Text(pkg string) string {
	s := fmt.Sprintf("%s: its list leaves out %s: ", pkg, Plural(len(o.Paths), "file"))
	if len(o.Paths) == 1 {
		s = fmt.Sprintf("%s: its list leaves out %s: ", pkg, o.Paths[0])
	}
	return s + o.By[0].Because()
}

// HitBy reports whether one of the digests may be among those that begin with
// heads, which are sorted.
func (r *Refs) HitBy(heads []uint64) bool {
	if r == nil || len(heads) == 0 {
		return false
	}
	few, many := r.Digests, heads
	if len(few) > len(many) {
		few, many = many, few
	}
	for _, head := range few {
		if _, found := slices.BinarySearch(many, head); found {
			return true
		}
	}
	return false
}
