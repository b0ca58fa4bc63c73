// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"os"

	"github.com/digestd/digestd/daemon/api"
	"golang.org/x/sys/unix"
)

// mapping is a file's content in memory that the collector does not know of.
type mapping []byte

// MapFile maps a file that nobody else writes, of one byte up to twice the largest own list.
func MapFile(f *os.File) (mapping, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, errors.New("it is empty")
	}
	if info.Size() > 2*api.MaxOwnList {
		return nil, fmt.Errorf("it has %d bytes", info.Size())
	}
	return unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
}

// Unmap ends the mapping, after which nobody may read from it.
func (m mapping) Unmap() {
	if m != nil {
		unix.Munmap(m)
	}
}
