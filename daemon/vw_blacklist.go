// SPDX-License-Identifier: Apache-2.0

package daemon

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
	// sourceKernel is the kernel's word, as a source of revocations.
	sourceKernel = "the kernel's .blacklist"
	// useDigest marks the record of a digest that nothing may have: an entry
	// "bin:" of the kernel's .blacklist that concerned something here.
	useDigest = api.UseDigest

	binPrefix, tbsPrefix = "bin:", "tbs:"
)

// banned are the digests that .blacklist names, or did, of kinds that lists have.
type banned struct {
	entries []string // sorted
	heads   []uint64 // of their digests, sorted
	bodies  map[record.Digest]string
}

func ban(entries []string) *banned {
	b := &banned{bodies: map[record.Digest]string{}}
	for _, entry := range entries {
		if _, digest, ok := listDigest(entry); ok {
			b.entries, b.heads = append(b.entries, entry), append(b.heads, policy.Head(digest))
			if len(digest) == len(record.Digest{}) {
				b.bodies[record.Digest(digest)] = entry
			}
		}
	}
	slices.Sort(b.entries)
	slices.Sort(b.heads)
	return b
}

// listDigest reads the digest of an entry that may be of a list or a file in one.
func listDigest(entry string) (algo digestlist.Algo, digest []byte, ok bool) {
	digits, isBin := strings.CutPrefix(entry, binPrefix)
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

// list returns the entry that names a list by the digest of its body, or "".
func (b *banned) list(body record.Digest) string {
	if b == nil {
		return ""
	}
	return b.bodies[body]
}

// files returns the entries that name files of a list. Like the index of files it
// compares the first 64 bits.
func (b *banned) files(r *refs) (entries []string) {
	if b == nil || !r.hitBy(b.heads) {
		return nil
	}
	for _, entry := range b.entries {
		if _, digest, _ := listDigest(entry); r.hasDigest(policy.Head(digest)) {
			entries = append(entries, entry)
		}
	}
	return entries
}

// denials have every list leave out the files that are named.
func (b *banned) denials() (list []policy.Denial) {
	for _, entry := range b.entries {
		list = append(list, bannedDenial(entry))
	}
	return list
}

func bannedDenial(entry string) policy.Denial {
	algo, digest, _ := listDigest(entry)
	d := policy.Denial{Contents: []policy.Content{{Algo: algo, Digest: string(digest)}}, By: sourceKernel, Foreign: true,
		Reason: fmt.Sprintf("it names %s; once it does no more: digestctl keys restore %s --reason WHY", entry, entry)}
	d.ID = newDenialID(sourceKernel+" "+d.Subject(), nil)
	return d
}
