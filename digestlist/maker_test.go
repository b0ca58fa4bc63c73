// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/rpmpack"

	"github.com/digestd/digestd/digestlist/header"
)

// packHeader returns the header of a package with these files, as it is in the
// package file: behind lead and signature header, without the magic.
func packHeader(t testing.TB, files ...rpmpack.RPMFile) []byte {
	t.Helper()
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "made", Version: "1", Release: "1", Arch: "noarch"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		r.AddFile(f)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	const lead = 96
	pkg := b.Bytes()[lead:]
	size := headerSize(pkg)
	pkg = pkg[(size+7)&^7:]
	return pkg[len(header.Magic):headerSize(pkg)]
}

// headerSize is that of the header with magic at the start of b.
func headerSize(b []byte) int {
	return 16 + 16*int(binary.BigEndian.Uint32(b[8:])) + int(binary.BigEndian.Uint32(b[12:]))
}

// dribble adds to a header what is not in its region, as rpm's database does.
func dribble(b []byte, tag uint32, value string) []byte {
	entries, size := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	data := 8 + 16*entries
	out := binary.BigEndian.AppendUint32(nil, entries+1)
	out = binary.BigEndian.AppendUint32(out, size+uint32(len(value))+1)
	out = append(out, b[8:data]...)
	for _, v := range []uint32{tag, 6, size, 1} {
		out = binary.BigEndian.AppendUint32(out, v)
	}
	out = append(out, b[data:data+size]...)
	return append(append(out, value...), 0)
}

// manyFiles are those of a large package.
func manyFiles() (files []rpmpack.RPMFile) {
	for i := range 300 {
		files = append(files, rpmpack.RPMFile{Name: fmt.Sprintf("/usr/share/many/file-%d", i), Body: []byte{byte(i)}, Mode: 0o100644})
	}
	return files
}

// made is a file of a header that no tool would make.
type made struct {
	dir, base, digest string
	mode              uint16
	flags             uint32
}

// makeHeader writes an immutable region with files and their digest algorithm
// by its OpenPGP number; 0 leaves it out.
func makeHeader(algo uint32, files ...made) []byte {
	var index, data []byte
	entry := func(dst []byte, v ...uint32) []byte {
		for _, x := range v {
			dst = binary.BigEndian.AppendUint32(dst, x)
		}
		return dst
	}
	put := func(tag, typ uint32, count, align int, b []byte) {
		for len(data)%align != 0 {
			data = append(data, 0)
		}
		index = entry(index, tag, typ, uint32(len(data)), uint32(count))
		data = append(data, b...)
	}
	put(header.TagName, 6, 1, 1, []byte("made\x00"))
	if len(files) > 0 {
		var modes, flags, dirs, digests, bases, names []byte
		for i, f := range files {
			modes = binary.BigEndian.AppendUint16(modes, f.mode)
			flags, dirs = entry(flags, f.flags), entry(dirs, uint32(i))
			digests, bases, names = append(digests, f.digest+"\x00"...), append(bases, f.base+"\x00"...), append(names, f.dir+"\x00"...)
		}
		n := len(files)
		put(header.TagFileModes, 3, n, 2, modes)
		put(header.TagFileDigests, 8, n, 1, digests)
		put(header.TagFileFlags, 4, n, 4, flags)
		put(header.TagDirIndexes, 4, n, 4, dirs)
		put(header.TagBaseNames, 8, n, 1, bases)
		put(header.TagDirNames, 8, n, 1, names)
	}
	if algo != 0 {
		put(header.TagFileDigestAlg, 4, 1, 4, entry(nil, algo))
	}
	index = append(entry(nil, header.TagHeaderImmutable, 7, uint32(len(data)), 16), index...)
	data = entry(data, header.TagHeaderImmutable, 7, -uint32(len(index)), 16)
	return append(append(entry(nil, uint32(len(index)/16), uint32(len(data))), index...), data...)
}

func regular(path string, digest string) made {
	dir, base := filepath.Split(path)
	return made{dir: dir, base: base, digest: digest, mode: 0o100644}
}

func parseHeader(t testing.TB, b []byte) *header.Header {
	t.Helper()
	h, err := header.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func repeated(s string, digestSize int) string { return strings.Repeat(s, digestSize) }
