// SPDX-License-Identifier: Apache-2.0

package rpmfile

import (
	"bytes"
	"crypto/md5"  // by which packages from before rpm 4.6 name contents; compared, never trusted
	"crypto/sha1" // the same
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

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
)

// limits of the process that reads a package: memory for the largest dictionary of a
// compressor, time for the largest package.
var limits = map[int]uint64{
	unix.RLIMIT_AS:  4 << 30, // bytes of address space, of which Go reserves much and uses little
	unix.RLIMIT_CPU: 600,     // seconds
}

// Serve reads a package and writes what it has. It confines its process first, for good.
func Serve(in io.Reader, out io.Writer) error {
	if err := confine.Process(limits); err != nil {
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
	p := &Package{NEVRA: pkg.String(), Header: head, Signatures: signatures, Different: []Difference{}}
	// What reads the payload reads the headers once more, from their copy.
	if err := p.compare(io.MultiReader(&raw, source)); err != nil {
		return nil, err
	}
	return p, nil
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
func (p *Package) compare(in io.Reader) error {
	rpm, err := rpmutils.ReadRpm(in)
	if err != nil {
		return err
	}
	files, err := rpm.Header.GetFiles()
	if err != nil {
		return fmt.Errorf("its files: %w", err)
	}
	payload, err := rpm.PayloadReaderExtended()
	if err != nil {
		return fmt.Errorf("its payload: %w", err)
	}
	const ghost = 1 << 6
	seen := make(map[string]bool, len(files))
	for {
		f, err := payload.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("its payload: %w", err)
		}
		seen[f.Name()] = true
		if f.Mode()&modeType != regular || payload.IsLink() {
			continue
		}
		sum, err := digestLike(f.Digest(), payload)
		if err != nil {
			return fmt.Errorf("its payload, at %q: %w", f.Name(), err)
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
