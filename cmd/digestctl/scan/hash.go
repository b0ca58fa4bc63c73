// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"

	"github.com/digestd/digestd/digestlist"
	"golang.org/x/sys/unix"
)

// Expectation is the digest that a file must have.
type Expectation struct {
	Algo   digestlist.Algo
	Digest []byte
}

// attempts is how often a file that changes is hashed.
const attempts = 3

// hashFile reads a file until it did not change meanwhile.
func hashFile(ctx context.Context, fd int, o Options, want *Expectation, buf []byte) ([]byte, error) {
	for range attempts {
		var before, after unix.Stat_t
		if err := unix.Fstat(fd, &before); err != nil {
			return nil, err
		}
		if before.Size > o.MaxSize {
			return nil, fmt.Errorf("it has %d bytes, at most %d are hashed", before.Size, o.MaxSize)
		}
		h, err := newHash(o.Algo)
		if err != nil {
			return nil, err
		}
		hashes := []hash.Hash{h}
		if want != nil {
			other, err := newHash(want.Algo)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, other)
		}
		if err := feed(ctx, fd, o.MaxSize, buf, hashes); err != nil {
			return nil, err
		}
		if err := unix.Fstat(fd, &after); err != nil {
			return nil, err
		}
		if before.Size == after.Size && before.Mtim == after.Mtim && before.Ctim == after.Ctim {
			if want != nil && !bytes.Equal(hashes[len(hashes)-1].Sum(nil), want.Digest) {
				return nil, ErrDiffers
			}
			return h.Sum(nil), nil
		}
	}
	return nil, ErrChanging
}

// feed reads a file from its beginning. One that grows without end is too large in
// the end.
func feed(ctx context.Context, fd int, most int64, buf []byte, hashes []hash.Hash) error {
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := unix.Pread(fd, buf, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		for _, h := range hashes {
			h.Write(buf[:n])
		}
		if at += int64(n); at > most {
			return fmt.Errorf("it has more than %d bytes", most)
		}
	}
}

func newHash(a digestlist.Algo) (hash.Hash, error) {
	switch {
	case a == digestlist.SHA1:
		return sha1.New(), nil // to compare with, never to list
	case a.Hash() != 0:
		return a.Hash().New(), nil
	}
	return nil, fmt.Errorf("cannot hash by %s", a)
}
