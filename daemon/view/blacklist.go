// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

const (
	// SourceKernel is the kernel's word, as a source of revocations.
	SourceKernel = "the kernel's .blacklist"
	// UseDigest marks the record of a digest that nothing may have: an entry
	// "bin:" of the kernel's .blacklist that concerned something here.
	UseDigest = api.UseDigest

	BinPrefix, TbsPrefix = "bin:", "tbs:"
)

// Banned are the digests that .blacklist names, or did, of kinds that lists have.
type Banned struct {
	Entries []string // sorted
	heads   []uint64 // of their digests, sorted
	Bodies  map[record.Digest]string
}

func Ban(entries []string) *Banned {
	b := &Banned{Bodies: map[record.Digest]string{}}
	for _, entry := range entries {
		if _, digest, ok := listDigest(entry); ok {
			b.Entries, b.heads = append(b.Entries, entry), append(b.heads, policy.Head(digest))
			if len(digest) == len(record.Digest{}) {
				b.Bodies[record.Digest(digest)] = entry
			}
		}
	}
	slices.Sort(b.Entries)
	slices.Sort(b.heads)
	return b
}

// listDigest reads the digest of an entry that may be of a list or a file in one.
func listDigest(entry string) (algo digestlist.Algo, digest []byte, ok bool) {
	digits, isBin := strings.CutPrefix(entry, BinPrefix)
	digest, err := hex.DecodeString(digits)
	if !isBin || err != nil {
		return 0, nil, false
	}
	switch len(digest) {
	case 32:
		return digestlist.SHA256, digest, true
	case 48:
		return digestlist.SHA384, digest, true
	case 64:
		return digestlist.SHA512, digest, true
	}
	return 0, nil, false
}

// List returns the entry that names a list by the digest of its body, or "".
func (b *Banned) List(body record.Digest) string {
	if b == nil {
		return ""
	}
	return b.Bodies[body]
}

// Files returns the entries that name files of a list. Like the index of files it
// compares the first 64 bits.
func (b *Banned) Files(r *Refs) (entries []string) {
	if b == nil || !r.HitBy(b.heads) {
		return nil
	}
	for _, entry := range b.Entries {
		if _, digest, _ := listDigest(entry); r.HasDigest(policy.Head(digest)) {
			entries = append(entries, entry)
		}
	}
	return entries
}

// Denials have every list leave out the files that are named.
func (b *Banned) Denials() (list []policy.Denial) {
	for _, entry := range b.Entries {
		list = append(list, bannedDenial(entry))
	}
	return list
}

func bannedDenial(entry string) policy.Denial {
	algo, digest, _ := listDigest(entry)
	d := policy.Denial{Contents: []policy.Content{{Algo: algo, Digest: string(digest)}}, By: SourceKernel, Foreign: true,
		Reason: fmt.Sprintf("it contains %s; when it no longer does: digestctl keys restore %s --reason WHY", entry, entry)}
	d.ID = NewDenialID(SourceKernel+" "+d.Subject(), nil)
	return d
}
