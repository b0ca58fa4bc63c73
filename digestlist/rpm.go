// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"bytes"
	"fmt"

	"github.com/digestd/digestd/digestlist/header"
)

// AppendRPM appends a list in the rpm format: the magic of an rpm header and
// region, its immutable region, as the header signature covers them.
func AppendRPM(dst, region []byte) []byte {
	return append(append(dst, header.Magic...), region...)
}

// WalkRPM calls fn as WalkTLV does, for each file with a digest of a list in the rpm format.
// The slices are valid until fn returns. If package header refuses the header, the error is a
// *SyntaxError at its start.
func WalkRPM(b []byte, fn func(algo Algo, digest, path []byte) error) error {
	if !bytes.HasPrefix(b, []byte(header.Magic)) {
		return syntax(0, "magic", "not that of an rpm header")
	}
	h, err := header.ParseImmutable(b[len(header.Magic):])
	if err != nil {
		return syntax(len(header.Magic), "header", "%v", err)
	}
	id, err := h.FileDigestAlgo()
	if err != nil {
		return syntax(len(header.Magic), "FILEDIGESTALGO", "%v", err)
	}
	algo, known := AlgoFromPGP(id)
	var path []byte
	var stopped error
	err = h.Files(func(f header.File) error {
		if len(f.Digest) == 0 {
			return nil
		}
		if !known {
			stopped = syntax(len(header.Magic), "FILEDIGESTALGO", "no algorithm has OpenPGP number %d", id)
			return stopped
		}
		path = f.AppendPath(path[:0])
		stopped = fn(algo, f.Digest, path)
		return stopped
	})
	if err != nil && stopped == nil {
		return syntax(len(header.Magic), "header", "%v", err)
	}
	return err
}

// Walk calls WalkTLV or WalkRPM.
func Walk(format string, body []byte, fn func(algo Algo, digest, path []byte) error) error {
	switch format {
	case FormatTLV:
		return WalkTLV(body, fn)
	case FormatRPM:
		return WalkRPM(body, fn)
	}
	return fmt.Errorf("cannot read a list of the unknown format %q", format)
}
