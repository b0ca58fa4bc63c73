// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// key is the first half of a digest. Finding other content with the same half is infeasible.
type key struct{ hi, lo uint64 }

func keyOf(digest []byte) key {
	if len(digest) < 16 {
		return key{}
	}
	return key{binary.BigEndian.Uint64(digest), binary.BigEndian.Uint64(digest[8:])}
}

func compareKeys(a, b key) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) }

// entry is a list that the daemon knows, with what rpm's database says about its package.
type entry struct {
	verify.Entry
	moved header.Relocations
}

// index has the contents of all active lists.
type index struct {
	lists   string
	entries []entry
	root    *kernel.Root
	real    map[string]string // real paths of directories, by their names in lists

	broken map[int]bool // entries whose lists cannot be read

	digests []key
	hashes
	wide  []digestlist.Algo // algorithms of digests other than SHA-256
	files int               // files in wanted lists
}

// hashes has the hashes of paths in lists and packages.
type hashes struct {
	seed maphash.Seed
	// Hashes of real paths; the lower bits are the entry's place. Two paths have the same hash
	// once in many millions, and other ones in the next run.
	paths     []uint64
	covered   []uint64 // the same, of packages without a list
	ghosts    []uint64 // the same, of ghosts
	placeBits int
}

func newIndex(spec *verify.Spec, root *kernel.Root) *index {
	entries := make([]entry, len(spec.Entries))
	for i, e := range spec.Entries {
		entries[i].Entry = e
	}
	return &index{lists: spec.Lists, entries: entries, root: root, real: map[string]string{}, broken: map[int]bool{},
		hashes: hashes{seed: maphash.MakeSeed(), placeBits: bits.Len(uint(len(entries)))}}
}

// load reads the active lists. A list that cannot be read vouches for nothing; its verification
// reports it.
func (x *index) load(wanted func(path string) bool) {
	var buf []byte
	for place, e := range x.entries {
		if e.State != active {
			continue
		}
		data, _, err := x.read(e, buf)
		if err != nil {
			x.broken[place] = true
			continue
		}
		buf = data
		walkList(&e, data, func(algo digestlist.Algo, digest, path []byte) error {
			x.digests = append(x.digests, keyOf(digest))
			if algo != digestlist.SHA256 && !slices.Contains(x.wide, algo) {
				x.wide = append(x.wide, algo)
			}
			if len(path) > 0 && !e.Old {
				x.paths = append(x.paths, x.ref(string(path), place))
			}
			if e.Wanted && wanted(string(path)) {
				x.files++
			}
			return nil
		})
	}
	slices.SortFunc(x.digests, compareKeys)
	slices.Sort(x.paths)
}

// cover enters a path of a package that has no list.
func (x *index) cover(path string, place int) { x.covered = append(x.covered, x.ref(path, place)) }

// ghost enters a path that a package owns without content.
func (x *index) ghost(path string, place int) { x.ghosts = append(x.ghosts, x.ref(path, place)) }

// sealed sorts the index after all paths are entered.
func (x *index) sealed() {
	slices.Sort(x.covered)
	slices.Sort(x.ghosts)
}

func (x *index) ref(path string, place int) uint64 {
	return x.hash(x.realPath(path)) | uint64(place)
}

func (x *index) hash(path string) uint64 {
	return maphash.String(x.seed, path) &^ (1<<x.placeBits - 1)
}

// realPath resolves the links in a file's directory. A missing directory keeps its name. Only
// one goroutine may use it, because it remembers directories.
func (x *index) realPath(path string) string {
	cut := strings.LastIndexByte(path, '/') + 1
	dir, base := path[:cut], path[cut:]
	if real := x.realDir(dir); real != dir {
		return real + base
	}
	return path
}

// realDir resolves the links in a directory. The argument and the result end in a slash.
func (x *index) realDir(dir string) string {
	real, known := x.real[dir]
	if known {
		return real
	}
	dir = strings.Clone(dir)
	// Nearly all directories are real ones in real ones.
	if name := strings.TrimSuffix(dir, "/"); name != "" {
		parent := name[:strings.LastIndexByte(name, '/')+1]
		if base := name[len(parent):]; parent != "" && base != "" && base != "." && base != ".." &&
			x.realDir(parent) == parent && x.root.HasDir(name) {
			x.real[dir] = dir
			return dir
		}
	}
	real, err := x.root.RealDir(dir)
	if err != nil {
		real = filepath.Clean("/" + dir)
	}
	real = strings.TrimSuffix(real, "/") + "/"
	if real == dir {
		real = dir // one string for both
	}
	x.real[dir] = real
	return real
}

// realPathOnce is realPath without the memory, for other goroutines.
func (x *index) realPathOnce(path string) string {
	cut := strings.LastIndexByte(path, '/') + 1
	real, err := x.root.RealDir(path[:cut])
	if err != nil {
		return filepath.Clean("/" + path)
	}
	return strings.TrimSuffix(real, "/") + "/" + path[cut:]
}

// places returns the entries that have a real path.
func (x *index) places(sorted []uint64, real string) (places []int) {
	h := x.hash(real)
	i, _ := slices.BinarySearch(sorted, h)
	for ; i < len(sorted) && sorted[i]&^(1<<x.placeBits-1) == h; i++ {
		places = append(places, int(sorted[i]&(1<<x.placeBits-1)))
	}
	return places
}

// has reports whether an entry has a real path.
func (x *index) has(sorted []uint64, real string) bool {
	h := x.hash(real)
	i, _ := slices.BinarySearch(sorted, h)
	return i < len(sorted) && sorted[i]&^(1<<x.placeBits-1) == h
}

// vouched reports whether an active list has one of these digests.
func (x *index) vouched(sums map[digestlist.Algo][]byte) bool {
	for _, sum := range sums {
		if _, ok := slices.BinarySearchFunc(x.digests, keyOf(sum), compareKeys); ok {
			return true
		}
	}
	return false
}

// active finds an active list by its name.
func (x *index) active(name string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(x.entries, name, func(e entry, name string) int { return strings.Compare(e.Name, name) })
	if !ok || x.entries[i].State != active {
		return entry{}, false
	}
	return x.entries[i], true
}

// includes reports whether an active list has one of these digests, under that real path or, if
// real is "", under any path.
func (x *index) includes(e entry, sums map[digestlist.Algo][]byte, real string) bool {
	data, _, err := x.read(e, nil)
	if err != nil {
		return false
	}
	found := false
	walkList(&e, data, func(algo digestlist.Algo, digest, path []byte) error {
		if bytes.Equal(sums[algo], digest) && (real == "" || x.realPathOnce(string(path)) == real) {
			found = true
			return errFound
		}
		return nil
	})
	return found
}

var errFound = errors.New("found")

// stamp identifies one state of a list's file.
type stamp struct {
	dev, ino uint64
	size     int64
	ctime    unix.Timespec
}

// read returns the content of a list as the daemon published it, or an error that describes the
// damage.
func (x *index) read(e entry, buf []byte) ([]byte, stamp, error) {
	path := filepath.Join(x.lists, e.Name)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return buf, stamp{}, errors.New("is missing from the list directory")
	}
	if err != nil {
		return buf, stamp{}, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return buf, stamp{}, fmt.Errorf("cannot be read: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxListSize {
		return buf, stamp{}, errors.New("is not what was published")
	}
	if int64(cap(buf)) < st.Size {
		buf = make([]byte, st.Size)
	}
	buf = buf[:st.Size]
	n, err := f.ReadAt(buf, 0)
	if sum := sha256.Sum256(buf[:n]); err != nil && n < len(buf) || !bytes.Equal(sum[:], e.File) {
		return buf, stamp{}, errors.New("is not what was published")
	}
	return buf, stamp{st.Dev, st.Ino, st.Size, st.Ctim}, nil
}

// maxListSize equals the limit of package listdir.
const maxListSize = 512 << 20

// unchanged reports whether a list's file is still the one that was read.
func (x *index) unchanged(e entry, s stamp) bool {
	var st unix.Stat_t
	err := unix.Lstat(filepath.Join(x.lists, e.Name), &st)
	return err == nil && stamp{st.Dev, st.Ino, st.Size, st.Ctim} == s
}

// walkList calls fn for each file of a list, with the path where rpm installed it.
func walkList(e *entry, data []byte, fn func(algo digestlist.Algo, digest, path []byte) error) error {
	_, _, format, _, err := digestlist.ParseName(e.Name)
	if err != nil {
		return err
	}
	if body, _, _, err := digestlist.SplitSignature(data); err == nil {
		data = body
	}
	if len(e.moved) == 0 {
		return digestlist.Walk(format, data, fn)
	}
	return digestlist.Walk(format, data, func(algo digestlist.Algo, digest, path []byte) error {
		return fn(algo, digest, []byte(e.moved.Path(string(path))))
	})
}
