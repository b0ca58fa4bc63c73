// SPDX-License-Identifier: Apache-2.0

package rpmfile

import (
	"bytes"
	"crypto/md5"  // by which packages from before rpm 4.6 name contents; compared, never trusted
	"crypto/sha1" // the same
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/kernel/confine"
	"github.com/sassoftware/go-rpmutils"
	"golang.org/x/sys/unix"
)

const (
	leadMagic = "\xed\xab\xee\xdb"
	leadSize  = 96
	introSize = 8
	entrySize = 16
	modeType  = 0o170000
	regular   = 0o100000
	symbolic  = 0o120000
	ghost     = 1 << 6 // flag of a file that is not in the payload
)

// limitsFor are the limits of the process that reads a package of so many bytes: memory for
// the largest dictionary of a compressor; time for each MiB, so that a small file that
// unpacks to a huge one does not take the time of a huge one.
func limitsFor(size int64) map[int]uint64 {
	const base, most = 60, 600 // seconds of a processor
	return map[int]uint64{
		unix.RLIMIT_AS:  4 << 30, // bytes of address space, of which Go reserves much and uses little
		unix.RLIMIT_CPU: min(base+uint64(max(size, 0))>>20, most),
	}
}

// Serve reads a package and writes what it has. It confines its process first, for good.
func Serve(in *os.File, out io.Writer) error {
	size := int64(0)
	if info, err := in.Stat(); err == nil {
		size = info.Size()
	}
	if err := confine.Process(limitsFor(size)); err != nil {
		return fmt.Errorf("cannot confine the process that reads packages: %w", err)
	}
	p, err := read(in)
	a := answer{Package: p}
	if err != nil {
		a = answer{Error: "cannot read package: " + err.Error()}
	}
	return json.NewEncoder(out).Encode(a)
}

// read reads a package, and compares its files with what its header says of them.
func read(source io.Reader) (*Package, error) {
	var raw bytes.Buffer // as far as the end of the header
	in := io.TeeReader(source, &raw)
	lead := make([]byte, leadSize)
	if _, err := io.ReadFull(in, lead); err != nil || string(lead[:len(leadMagic)]) != leadMagic {
		return nil, errors.New("it is not an rpm package")
	}
	signatures, err := readHeader(in, api.MaxSignatures)
	if err != nil {
		return nil, fmt.Errorf("its signatures: %w", err)
	}
	if rest := len(signatures) % 8; rest > 0 {
		if _, err := io.CopyN(io.Discard, in, int64(8-rest)); err != nil {
			return nil, fmt.Errorf("its signatures: %w", err)
		}
	}
	head, err := readHeader(in, api.MaxHeader)
	if err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	h, err := header.Parse(head)
	if err != nil {
		return nil, err
	}
	pkg, err := h.NEVRA()
	if err != nil {
		return nil, err
	}
	p := &Package{NEVRA: pkg.String(), Source: !h.Has(header.TagSourceRPM), Header: head, Signatures: signatures, Different: []Difference{}}
	sums := sumsOf(h)
	payload := io.TeeReader(source, sums)
	// The reader of the payload reads the headers again, from their copy.
	if err := p.compare(h, io.MultiReader(&raw, payload)); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, payload); err != nil {
		return nil, err
	}
	// Where files differ, these say more.
	if len(p.Different) == 0 && !sums.match() {
		return nil, errors.New("its payload does not have the digest that its header says")
	}
	return p, nil
}

// sums are the digests of a payload as it is in the file, beside what the header says they
// are.
type sums []sum

type sum struct {
	hash.Hash
	want string // in hexadecimal digits
}

func sumsOf(h *header.Header) (all sums) {
	if want, err := h.Strings(header.TagPayloadSHA256); err == nil && len(want) > 0 {
		all = append(all, sum{sha256.New(), want[0]})
	}
	for tag, make := range map[uint32]func() hash.Hash{header.TagPayloadSHA512: sha512.New, header.TagPayloadSHA3: func() hash.Hash { return sha3.New256() }} {
		if want, err := h.String(tag); err == nil {
			all = append(all, sum{make(), want})
		}
	}
	return all
}

func (all sums) Write(data []byte) (int, error) {
	for _, s := range all {
		s.Hash.Write(data)
	}
	return len(data), nil
}

func (all sums) match() bool {
	return !slices.ContainsFunc(all, func(s sum) bool { return !strings.EqualFold(hex.EncodeToString(s.Sum(nil)), s.want) })
}

// readHeader reads one header with its magic, and returns it without.
func readHeader(in io.Reader, most int) ([]byte, error) {
	intro := make([]byte, len(header.Magic)+introSize)
	if _, err := io.ReadFull(in, intro); err != nil {
		return nil, err
	}
	if string(intro[:len(header.Magic)]) != header.Magic {
		return nil, errors.New("it does not begin as one")
	}
	sizes := intro[len(header.Magic):]
	entries, data := binary.BigEndian.Uint32(sizes), binary.BigEndian.Uint32(sizes[4:])
	size := introSize + entrySize*int64(entries) + int64(data)
	if entries > header.MaxEntries || size > int64(most) {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", size, most)
	}
	all := make([]byte, size)
	copy(all, sizes)
	_, err := io.ReadFull(in, all[introSize:])
	return all, err
}

// compare reads a whole package and compares the files of its payload with the digests
// that its header has.
func (p *Package) compare(h *header.Header, in io.Reader) error {
	rpm, err := rpmutils.ReadRpm(in)
	if err != nil {
		return err
	}
	files, err := rpm.Header.GetFiles()
	if err != nil {
		return fmt.Errorf("its files: %w", err)
	}
	content, err := decompress(h, in)
	if err != nil {
		return fmt.Errorf("its payload: %w", err)
	}
	if c, is := content.(io.Closer); is {
		defer c.Close() // of zstd: nothing reads its source after that
	}
	payload := newArchive(content, files)
	seen := make(map[string]bool, len(files))
	for {
		i, err := payload.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("its payload: %w", err)
		}
		f := files[i]
		if seen[f.Name()] {
			return fmt.Errorf("its payload has %q more than once", f.Name())
		}
		seen[f.Name()] = true
		shares := payload.empty[i] && payload.left == 0
		sum, err := contentOf(f, payload)
		if err != nil {
			return fmt.Errorf("its payload, at %q: %w", f.Name(), err)
		}
		if f.Mode()&modeType != regular || shares {
			continue
		}
		switch {
		case sum == "":
			p.differ(Difference{Path: f.Name(), Kind: Extra})
		case sum != f.Digest():
			p.differ(Difference{Path: f.Name(), Kind: Changed, Expected: f.Digest(), Found: sum})
		}
		p.Compared++
	}
	for _, f := range files {
		if f.Mode()&modeType == regular && f.Flags()&ghost == 0 && !seen[f.Name()] {
			p.differ(Difference{Path: f.Name(), Kind: Missing, Expected: f.Digest()})
		}
	}
	return nil
}

func (p *Package) differ(d Difference) {
	if len(p.Different) == maxDifferences {
		p.More++
		return
	}
	d.Path = api.Clean(d.Path)
	p.Different = append(p.Different, d)
}

// contentOf reads the content of a file in a payload, and returns its digest as
// [digestLike] does. One that is longer than the header says is not read.
func contentOf(f rpmutils.FileInfo, payload *archive) (string, error) {
	if size := sizeOf(f); payload.left > size {
		return "", fmt.Errorf("it has %d bytes, the header says %d", payload.left, size)
	}
	return digestLike(f.Digest(), payload)
}

// digestLike reads r and returns its digest by the algorithm of another in hexadecimal
// digits, "" if that is none.
func digestLike(other string, r io.Reader) (string, error) {
	hashes := map[int]func() hash.Hash{md5.Size: md5.New, sha1.Size: sha1.New, sha256.Size224: sha256.New224, sha256.Size: sha256.New,
		sha512.Size384: sha512.New384, sha512.Size: sha512.New}
	var h hash.Hash
	to := io.Discard
	if make := hashes[hex.DecodedLen(len(other))]; make != nil {
		h = make()
		to = h
	}
	if _, err := io.Copy(to, r); err != nil || h == nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
