// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"encoding/binary"
	"fmt"

	"github.com/digestd/digestd/digestlist/header"
)

// AppendPackageTLV appends the tlv list of a package: the regular files of its immutable region
// that have a digest, without ghosts, in its order. It returns their number. The error is
// ErrEmpty if there is none, and ErrWeakDigest if the digests are of a broken algorithm.
func AppendPackageTLV(dst []byte, h *header.Header) ([]byte, int, error) {
	id, err := h.FileDigestAlgo()
	if err != nil {
		return dst, 0, err
	}
	algo, known := AlgoFromPGP(id)
	start, n := len(dst), 0
	dst = appendGroup(dst, algo, 0)
	count := len(dst) - 4
	err = h.Files(func(f header.File) error {
		if !f.Regular() || f.Ghost() || len(f.Digest) == 0 {
			return nil
		}
		if !known || !algo.strong() {
			return fmt.Errorf("%w: OpenPGP number %d", ErrWeakDigest, id)
		}
		n++
		dst = appendEntryHead(dst, f.Digest, len(f.Dir)+len(f.Base))
		if len(f.Dir)+len(f.Base) > 0 {
			dst = append(f.AppendPath(dst), 0)
		}
		return nil
	})
	if err == nil && n == 0 {
		err = ErrEmpty
	}
	if err == nil && len(dst)-start > maxList {
		err = fmt.Errorf("the list has more than %d bytes", maxList)
	}
	if err != nil {
		return dst[:start], 0, err
	}
	binary.BigEndian.PutUint32(dst[count:], uint32(n))
	return dst, n, nil
}
