// SPDX-License-Identifier: Apache-2.0

package gendb

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// file is one file of a package.
type file struct {
	dir, base string // dir with a slash at its end
	mode      uint16
	flags     uint32
	size      uint32
	link      string
	digest    string // hex; "" for what has no content
	seed      uint64 // of the content
}

func (f *file) path() string { return f.dir + f.base }

const (
	modeRegular    = unix.S_IFREG | 0o644
	modeExecutable = unix.S_IFREG | 0o755
	modeDirectory  = unix.S_IFDIR | 0o755
	modeLink       = unix.S_IFLNK | 0o777

	flagConfig  = 1 << 0
	flagDoc     = 1 << 1
	flagGhost   = 1 << 6
	flagLicense = 1 << 7
)

// Shares of what real packages have in common. Empty files and licences lie in
// many packages, so that their digest does not lead to one list alone.
const (
	licences       = 12   // texts, one of them in each package
	emptyShare     = 0.05 // of the files of those packages that have empty ones
	emptyPackages  = 0.15
	directoryShare = 0.08
	linkShare      = 0.06
	ghostShare     = 0.01
)

var places = []string{"/usr/share/", "/usr/lib64/", "/usr/share/doc/", "/usr/libexec/", "/usr/lib/", "/etc/", "/usr/include/"}

// makeFiles invents the files of a package. The first is its licence.
func makeFiles(s Shape, name string, n int, r *rand.Rand) []file {
	dirs := []string{"/usr/share/licenses/" + name + "/"}
	for len(dirs) < 1+int(math.Ceil(math.Pow(float64(n), 0.6))) {
		dirs = append(dirs, fmt.Sprintf("%s%s/%s%d/", places[r.IntN(len(places))], name, vocabulary[r.IntN(len(vocabulary))], len(dirs)))
	}
	hasEmpty := r.Float64() < emptyPackages
	files := make([]file, 0, n)
	for i := range n {
		f := file{dir: dirs[1+r.IntN(len(dirs)-1)], mode: modeRegular, seed: r.Uint64(), size: uint32(min(lognormal(r, 1800, 1.6), 256<<10))}
		f.base = fmt.Sprintf("%s-%s.%d", vocabulary[r.IntN(len(vocabulary))], vocabulary[r.IntN(len(vocabulary))], i)
		kind := r.Float64()
		switch {
		case i == 0:
			f.dir, f.base, f.flags = dirs[0], "COPYING", flagLicense
			f.seed = uint64(r.IntN(licences))
			f.size = 11_000 + uint32(f.seed)*1000
		case kind < directoryShare:
			f.mode, f.size = modeDirectory, 4096
		case kind < directoryShare+linkShare:
			f.mode, f.link = modeLink, fmt.Sprintf("%s.%d", vocabulary[r.IntN(len(vocabulary))], i-1)
			f.size = uint32(len(f.link))
		case kind < directoryShare+linkShare+ghostShare:
			f.flags = flagGhost
		default:
			if kind > 0.9 {
				f.mode = modeExecutable
			}
			if r.Float64() < 0.1 {
				f.flags = flagDoc
			} else if f.dir[1] == 'e' {
				f.flags = flagConfig
			}
			if hasEmpty && r.Float64() < emptyShare {
				f.size = 0
			}
		}
		switch {
		case f.mode&unix.S_IFMT != unix.S_IFREG || f.flags&flagGhost != 0:
		case s.Tree:
			sum := sha256.Sum256(f.content())
			f.digest = hex.EncodeToString(sum[:])
		default:
			f.digest = hex.EncodeToString(random(r, sha256.Size))
		}
		files = append(files, f)
	}
	return files
}

// content is what the file holds: different from that of any other seed.
func (f *file) content() []byte {
	line := fmt.Appendf(nil, "content %016x of a file that is here to be measured\n", f.seed)
	return bytes.Repeat(line, int(f.size)/len(line)+1)[:f.size]
}

// write puts the file below root.
func (f *file) write(root string) error {
	path := filepath.Join(root, f.path())
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	switch {
	case f.mode == modeDirectory:
		return os.MkdirAll(path, 0o755)
	case f.mode == modeLink:
		return os.Symlink(f.link, path)
	case f.digest == "":
		return nil
	}
	return os.WriteFile(path, f.content(), os.FileMode(f.mode&0o777))
}

func fileEntries(files []file) []entry {
	n := len(files)
	var (
		sizes, mtimes, flags, verify, devices, inodes, colors, class, first, count, dirIndex []uint32
		modes, rdevs                                                                         []uint16
		digests, links, users, langs, bases, dirs                                            []string
	)
	place := map[string]int{}
	algo := uint32(sha256InPGP)
	for i, f := range files {
		if len(f.digest) == 2*sha512.Size {
			algo = sha512InPGP
		}
		at, known := place[f.dir]
		if !known {
			at = len(dirs)
			place[f.dir], dirs = at, append(dirs, f.dir)
		}
		dirIndex, bases = append(dirIndex, uint32(at)), append(bases, f.base)
		sizes, flags, modes = append(sizes, f.size), append(flags, f.flags), append(modes, f.mode)
		digests, links = append(digests, f.digest), append(links, f.link)
		mtimes = append(mtimes, uint32(pkgtest.Epoch.Unix())-uint32(i))
		inodes, class = append(inodes, uint32(i+1)), append(class, uint32(i%len(classes)))
		verify, devices, users = append(verify, math.MaxUint32), append(devices, 1), append(users, "root")
	}
	colors, first, count, rdevs, langs = make([]uint32, n), make([]uint32, n), make([]uint32, n), make([]uint16, n), make([]string, n)
	return []entry{
		words(tagFileSizes, sizes...), halves(header.TagFileModes, modes), halves(tagFileRdevs, rdevs), words(tagFileMtimes, mtimes...),
		texts(header.TagFileDigests, digests), texts(tagFileLinktos, links), words(header.TagFileFlags, flags...),
		texts(tagFileUserName, users), texts(tagFileGroupName, users), words(tagFileVerifyFlags, verify...),
		words(tagFileDevices, devices...), words(tagFileInodes, inodes...), texts(tagFileLangs, langs),
		words(header.TagDirIndexes, dirIndex...), texts(header.TagBaseNames, bases), texts(header.TagDirNames, dirs),
		words(tagFileColors, colors...), words(tagFileClass, class...), texts(tagClassDict, classes),
		words(tagFileDependsX, first...), words(tagFileDependsN, count...), words(header.TagFileDigestAlg, algo),
	}
}

var classes = []string{"", "ASCII text", "directory", "ELF 64-bit LSB shared object, x86-64, version 1 (SYSV), dynamically linked", "Python script, ASCII text executable"}
