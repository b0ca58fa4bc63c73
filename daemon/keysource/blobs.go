// SPDX-License-Identifier: Apache-2.0

package keysource

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

const (
	// blobSuffix is that of the signature of the file without it.
	blobSuffix = ".p7s"

	maxBlob  = 64 << 10
	maxBlobs = 4096
)

// carryBlacklist gives the kernel the signed entries that it does not have yet.
// It forgets them with every boot, so this is done at every start.
func (ks *Source) carryBlacklist(ctx context.Context) (c grounds.Delivery) {
	names, err := blobNames(ks.Config.Blacklist)
	if err != nil {
		c.Bad = append(c.Bad, err)
	}
	if c.Files = len(names); c.Files == 0 {
		return c
	}
	ring, err := ks.Keyrings.Find(kernel.RingBlacklist)
	if err != nil {
		c.Unable = err
		return c
	}
	keys, err := ring.Keys()
	if err != nil {
		c.Unable = err
		return c
	}
	there := map[string]bool{}
	for _, k := range keys {
		there[k.Description] = true
	}
	for _, name := range names {
		entry, signature, err := readBlob(filepath.Join(ks.Config.Blacklist, name))
		switch {
		case err != nil:
			c.Bad = append(c.Bad, err)
			continue
		case there[entry]:
			continue
		}
		if err := ks.mayEnter(ctx, entry); err != nil {
			c.Bad = append(c.Bad, fmt.Errorf("%s has not been added to the kernel yet: %w", filepath.Join(ks.Config.Blacklist, name), err))
			continue
		}
		err = ring.AddBlacklisted(entry, signature)
		var refused *kernel.RefusedError
		switch {
		case err == nil:
			ks.Logger.Info("entry added to the kernel's .blacklist", "entry", entry, "file", name)
			there[entry] = true
			c.Added++
		case errors.As(err, &refused) && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)):
			c.Unable = err
		default:
			c.Bad = append(c.Bad, fmt.Errorf("%s: %w", filepath.Join(ks.Config.Blacklist, name), err))
		}
	}
	return c
}

// mayEnter returns why an entry must not come into .blacklist now: it names the
// certificate that signs the lists, of which the kernel would refuse all from then on,
// and none can follow it.
func (ks *Source) mayEnter(ctx context.Context, entry string) error {
	id := ks.Builder.Load().Identity
	if !slices.Contains(state.TbsEntries(id.Cert), entry) {
		return nil
	}
	return ks.Enroller.Revocable(ctx, id.SKI())
}

// blobNames returns the names of entries in a directory: each has its signature
// beside it. A directory that does not exist is empty.
func blobNames(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read entries for .blacklist: %w", err)
	}
	if len(entries) > 2*maxBlobs {
		return nil, fmt.Errorf("cannot read entries for .blacklist: %s has more than %d files", dir, 2*maxBlobs)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !strings.HasSuffix(e.Name(), blobSuffix) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// readBlob reads an entry and its signature.
func readBlob(path string) (entry string, signature []byte, err error) {
	text, err := readSmall(path)
	if err == nil {
		signature, err = readSmall(path + blobSuffix)
	}
	if err != nil {
		return "", nil, fmt.Errorf("cannot read entry for .blacklist: %w", err)
	}
	if entry = strings.TrimSuffix(string(text), "\n"); !isEntry(entry) {
		return "", nil, fmt.Errorf("cannot read entry for .blacklist: %s has %.80q, not bin: or tbs: and a digest", path, entry)
	}
	return entry, signature, nil
}

// isEntry reports whether the kernel takes text for an entry of .blacklist
// (certs/blacklist.c).
func isEntry(text string) bool {
	digits, bin := strings.CutPrefix(text, view.BinPrefix)
	if !bin {
		var tbs bool
		if digits, tbs = strings.CutPrefix(text, view.TbsPrefix); !tbs {
			return false
		}
	}
	_, err := hex.DecodeString(digits)
	return err == nil && digits != "" && len(digits) <= 128 && digits == strings.ToLower(digits)
}

// readSmall reads a regular file that is small.
func readSmall(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", path))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxBlob+1))
	if err == nil && len(data) > maxBlob {
		err = fmt.Errorf("%s has more than %d bytes", path, maxBlob)
	}
	return data, err
}
