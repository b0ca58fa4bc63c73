// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"slices"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
)

// MakeRefs reads the files of a list's body.
func MakeRefs(format string, body []byte, hint int) (*view.Refs, error) {
	r := &view.Refs{Digests: make([]uint64, 0, hint), Paths: make([]uint64, 0, hint)}
	err := digestlist.Walk(format, body, func(algo digestlist.Algo, digest, path []byte) error {
		r.Wide = r.Wide || algo != digestlist.SHA256
		r.Digests = append(r.Digests, view.DigestRef(digest))
		r.Paths = append(r.Paths, view.PathRef(path))
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(r.Digests)
	slices.Sort(r.Paths)
	return r, nil
}
