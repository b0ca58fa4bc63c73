// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"

	"github.com/digestd/digestd/digestlist"
)

// makeRefs reads the files of a list's body.
func makeRefs(format string, body []byte, hint int) (*refs, error) {
	r := &refs{digests: make([]uint64, 0, hint), paths: make([]uint64, 0, hint)}
	err := digestlist.Walk(format, body, func(algo digestlist.Algo, digest, path []byte) error {
		r.wide = r.wide || algo != digestlist.SHA256
		r.digests = append(r.digests, digestRef(digest))
		r.paths = append(r.paths, pathRef(path))
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(r.digests)
	slices.Sort(r.paths)
	return r, nil
}
