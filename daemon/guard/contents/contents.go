// SPDX-License-Identifier: Apache-2.0

// Package contents finds out what the guard knows contents by, their SHA-256, where a list
// knows them by another digest: it reads the file, once, and takes the SHA-256 of what it
// read if that has the digest of the list.
package contents

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store/record"
)

// Sums are the SHA-256 of what one list knows by other digests, in the order of the list,
// 32 bytes each; zeros where it is not known.
type Sums []byte

const sumSize = len(guard.Digest{})

// at returns the i-th, and whether it is known.
func (s Sums) at(i int) (d guard.Digest, known bool) {
	if (i+1)*sumSize > len(s) {
		return d, false
	}
	d = guard.Digest(s[i*sumSize:])
	return d, d != guard.Digest{}
}

// set notes the i-th.
func (s Sums) set(i int, d guard.Digest) Sums {
	if n := (i+1)*sumSize - len(s); n > 0 {
		s = append(s, make([]byte, n)...)
	}
	copy(s[i*sumSize:], d[:])
	return s
}

// Known is what the guard is to know of a list.
type Known struct {
	Digests []guard.Digest // of its contents, in order and each once
	Keepers []guard.Digest // of the programs among them that touch a guard that is sealed
	Missing int            // contents of which no SHA-256 is known
}

// Of returns what the guard is to know of a list. sums has those of the list with that body.
func Of(name string, list []byte, sums map[record.Digest]Sums) (k Known, err error) {
	body := bodyOf(list)
	var known Sums
	others := 0
	err = walk(name, body, func(algo digestlist.Algo, digest, path []byte) error {
		var d guard.Digest
		if algo == digestlist.SHA256 {
			d = guard.Digest(digest)
		} else {
			if others == 0 {
				known = sums[sha256.Sum256(body)]
			}
			var is bool
			d, is = known.at(others)
			others++
			if !is {
				k.Missing++
				return nil
			}
		}
		k.Digests = append(k.Digests, d)
		if slices.Contains(guard.Keepers, string(path)) {
			k.Keepers = append(k.Keepers, d)
		}
		return nil
	})
	if err != nil {
		return Known{}, err
	}
	slices.SortFunc(k.Digests, Compare)
	k.Digests = slices.Compact(k.Digests)
	return k, nil
}

// Compare orders digests.
func Compare(a, b guard.Digest) int { return bytes.Compare(a[:], b[:]) }

// Prefix is what keys of the index begin with under which sums are kept; the body of the
// list follows, in hexadecimal digits.
const Prefix = "sha256/"

// Key is where sums are kept for the list with a body.
func Key(body record.Digest) string { return Prefix + hex.EncodeToString(body[:]) }

// Load finds sums in what the index keeps. It ignores entries that are no sums: it is found
// again.
func Load(meta map[string][]byte) map[record.Digest]Sums {
	sums := map[record.Digest]Sums{}
	for key, value := range meta {
		text, is := strings.CutPrefix(key, Prefix)
		if !is || len(value)%sumSize != 0 {
			continue
		}
		if body, err := hex.DecodeString(text); err == nil && len(body) == len(record.Digest{}) {
			sums[record.Digest(body)] = Sums(value)
		}
	}
	return sums
}

// BodyOf returns the digest of a list without its signature, which names it here.
func BodyOf(list []byte) record.Digest { return sha256.Sum256(bodyOf(list)) }

// bodyOf returns a list without the signature that is appended to it.
func bodyOf(list []byte) []byte {
	if body, _, _, err := digestlist.SplitSignature(list); err == nil {
		return body
	}
	return list
}

func walk(name string, body []byte, fn func(algo digestlist.Algo, digest, path []byte) error) error {
	format, _, err := ledger.FormatOf(name)
	if err != nil {
		return err
	}
	return digestlist.Walk(format, body, fn)
}
