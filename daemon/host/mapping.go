// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"os"

	"github.com/digestd/digestd/daemon/api"
	"golang.org/x/sys/unix"
)

// mapping is the content of a file in memory that the garbage collector does not manage.
type mapping []byte

// MapFile maps a file that no other program writes. Its size must be between one byte and twice
// the largest own list.
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

// Unmap ends the mapping. Nobody may read from it afterwards.
func (m mapping) Unmap() {
	if m != nil {
		unix.Munmap(m)
	}
}
