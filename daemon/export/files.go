// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/neighbours"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
)

// vouchedFiles yields the files that active lists vouch for and that are there,
// by the directory they really lie in.
//
// Others know files by their SHA-256. If a list has another digest, the SHA-256 of the content
// is used, provided that the content matches the list; otherwise the file has no SHA256. Files
// that cannot be read are added to left.
func (x *Exporter) vouchedFiles(wide *wideFiles, left *failures) neighbours.Files {
	return func(yield func(neighbours.File, error) bool) {
		dirs := dirCache{root: x.Root}
		defer dirs.close()
		var path []byte
		for _, e := range x.Snapshot().Entries {
			if !e.Active() || e.Broken {
				continue
			}
			stopped := false
			err := x.EachFile(e, func(algo digestlist.Algo, digest, name []byte) error {
				if len(e.Moved) > 0 {
					name = []byte(e.Moved.Path(string(name)))
				}
				if len(name) == 0 || name[0] != '/' {
					return nil
				}
				slash := bytes.LastIndexByte(name, '/')
				dir := dirs.get(string(name[:slash+1]))
				if dir == nil {
					return nil
				}
				var err error
				size, ok := dir.Size(string(name[slash+1:]))
				if !ok {
					return nil
				}
				path = append(append(path[:0], dir.Path...), name[slash:]...)
				if algo != digestlist.SHA256 {
					digest, err = wide.sha256(string(path), identity.Vouched{Algo: algo, Digest: string(digest)})
					left.add(err)
				}
				if !yield(neighbours.File{Path: path, Size: size, SHA256: digest}, nil) {
					stopped = true
					return io.EOF
				}
				return nil
			})
			if stopped {
				return
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) && !yield(neighbours.File{}, err) {
				return
			}
		}
	}
}

// dirCache keeps the directory asked for last: lists name the files of one
// directory in a row.
type dirCache struct {
	root *kernel.Root
	path string
	dir  *kernel.Directory
}

func (c *dirCache) get(path string) *kernel.Directory {
	if path != c.path {
		c.close()
		c.path = path
		c.dir, _ = c.root.Directory(path)
	}
	return c.dir
}

func (c *dirCache) close() {
	if c.dir != nil {
		c.dir.Close()
		c.dir = nil
	}
}

// maxHashed bounds the file that is read for an export, in bytes.
const maxHashed = 4 << 30

// contentDigests reads a file once, and returns its SHA-256 and its digests by the
// algorithms of want.
func contentDigests(f *kernel.File, want []identity.Vouched) (map[digestlist.Algo][]byte, error) {
	algos := []digestlist.Algo{digestlist.SHA256}
	for _, v := range want {
		algos = append(algos, v.Algo)
	}
	return f.Digests(maxHashed, algos...)
}
