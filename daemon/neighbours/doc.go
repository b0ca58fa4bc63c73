// SPDX-License-Identifier: Apache-2.0

// Package neighbours writes what is vouched for in the formats of others that
// decide about files: fapolicyd's file of trusted files and Keylime's runtime
// policy.
//
// It promises bytes that these programs read as they are meant, whatever is in a path, and
// counts what their formats cannot say. Its user supplies the files and takes the result; it
// opens nothing.
package neighbours

import "iter"

// File is one file that an active list vouches for. Its slices are valid until
// the next file is asked for.
type File struct {
	Path   []byte // absolute, links in its directory resolved
	Size   int64  // on disk, in bytes
	SHA256 []byte // 32 bytes; nil where nobody knows it: the file is left out
}

// Files yields files until something fails.
type Files = iter.Seq2[File, error]
