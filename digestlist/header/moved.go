// SPDX-License-Identifier: Apache-2.0

package header

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Relocation means that rpm installed the package's path From, and everything below it, at To
// (rpm --relocate, --prefix). Neither ends with a slash; "" is the root. They are bytes, because
// paths need not be text.
type Relocation struct {
	From []byte `json:"from"`
	To   []byte `json:"to"`
}

// Equal reports whether both are the same.
func (m Relocation) Equal(o Relocation) bool {
	return bytes.Equal(m.From, o.From) && bytes.Equal(m.To, o.To)
}

// Relocations are the relocations of one installed package, the longest From first.
type Relocations []Relocation

// maxRelocations bounds what is read from one header; rpm's own are a few.
const maxRelocations = 1000

// Path returns the installed path of the package's file path.
func (r Relocations) Path(path string) string {
	for _, m := range r {
		if rest, ok := strings.CutPrefix(path, string(m.From)); ok && (rest == "" || rest[0] == '/') {
			return string(m.To) + rest
		}
	}
	return path
}

// Relocations returns the relocations in the header of an installed package, nil if there are
// none. They come from rpm's database, which nobody signed.
func (h *Header) Relocations() (Relocations, error) {
	if !h.unsigned.Has(TagDirNames) || !h.Has(TagBaseNames) {
		return nil, nil
	}
	var all Relocations
	err := h.eachPlace(func(signed, placed string) error {
		if all.Path(signed) == placed {
			return nil
		}
		from, to := withoutCommonEnd(signed, placed)
		known := slices.ContainsFunc(all, func(m Relocation) bool { return string(m.From) == from })
		if known {
			from, to = signed, placed // an exception
		}
		if len(all) == maxRelocations {
			return fmt.Errorf("more than %d relocations", maxRelocations)
		}
		all = append(all, Relocation{[]byte(from), []byte(to)})
		all.sort()
		return nil
	})
	if err == nil {
		// A rule that was found later may be wrong for a file that was met before.
		err = h.eachPlace(func(signed, placed string) error {
			if all.Path(signed) == placed {
				return nil
			}
			if len(all) == maxRelocations {
				return fmt.Errorf("more than %d relocations", maxRelocations)
			}
			all = append(all, Relocation{[]byte(signed), []byte(placed)})
			all.sort()
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read where the files were installed: %w", err)
	}
	return all, nil
}

func (r Relocations) sort() {
	slices.SortFunc(r, func(a, b Relocation) int {
		return cmp.Or(cmp.Compare(len(b.From), len(a.From)), bytes.Compare(a.From, b.From))
	})
}

// eachPlace calls fn for each file with its path in the package and where rpm put it.
func (h *Header) eachPlace(fn func(signed, placed string) error) error {
	signed, err := h.fileArrays()
	if err != nil {
		return err
	}
	placed := *signed
	if placed.bases, err = h.unsigned.strings(TagBaseNames); err != nil {
		return err
	}
	if placed.dirIdx, err = h.unsigned.numbers(TagDirIndexes, typeInt32); err != nil {
		return err
	}
	if int(placed.bases.left) != placed.n || len(placed.dirIdx) != 4*placed.n {
		return errors.New("other numbers of files than the package has")
	}
	if err := placed.indexDirs(&h.unsigned); err != nil {
		return err
	}
	var digest [maxDigest]byte
	total := 0
	for i := range signed.n {
		a, err := signed.next(i, digest[:])
		if err != nil {
			return err
		}
		b, err := placed.next(i, digest[:])
		if err != nil {
			return err
		}
		if total += len(b.Dir) + len(b.Base); total > maxPaths {
			return fmt.Errorf("paths of more than %d bytes in all", maxPaths)
		}
		if err := fn(a.Path(), b.Path()); err != nil {
			return err
		}
	}
	return nil
}

// withoutCommonEnd cuts the components off with which both paths end.
func withoutCommonEnd(a, b string) (string, string) {
	for {
		i, j := strings.LastIndexByte(a, '/'), strings.LastIndexByte(b, '/')
		if i < 0 || j < 0 || a[i:] != b[j:] {
			return a, b
		}
		a, b = a[:i], b[:j]
	}
}
