// SPDX-License-Identifier: Apache-2.0

package gendb

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/integration/pkgtest"
)

// Small is a package of a few files, by path and content.
type Small struct {
	NEVRA nevra.NEVRA
	Build string // tells two builds of one version apart
	Multi bool   // it says of itself that versions are installed side by side
	Wide  bool   // its digests are by SHA-512, not SHA-256
	Files map[string]string
	Key   *pkgtest.Key // nil for none
}

// Made is a package header in the forms in which it travels.
type Made struct {
	Blob      []byte // as rpm's database has it
	Region    []byte // the immutable region, without its magic
	Signature []byte // over both, nil for none
	Head      []byte // the header of signatures, as a package file has it, without its magic
	Digest    [sha256.Size]byte
}

// Make makes the header of a small package.
func Make(p Small) (Made, error) {
	files := make([]file, 0, len(p.Files))
	for _, name := range sortedKeys(p.Files) {
		sum := sha256.New()
		if p.Wide {
			sum = sha512.New()
		}
		sum.Write([]byte(p.Files[name]))
		dir, base := path.Split(name)
		files = append(files, file{dir: dir, base: base, mode: modeExecutable, size: uint32(len(p.Files[name])), digest: hex.EncodeToString(sum.Sum(nil))})
	}
	provides := []string{p.NEVRA.Name}
	if p.Multi {
		provides = append(provides, "multiversion("+p.NEVRA.Name+")")
	}
	entries := []entry{
		texts(tagI18NTable, []string{"C"}), text(header.TagName, p.NEVRA.Name), text(header.TagVersion, p.NEVRA.Version),
		text(header.TagRelease, p.NEVRA.Release), text(header.TagOS, "linux"), text(header.TagArch, p.NEVRA.Arch),
		i18n(header.TagSummary, p.Build), text(tagBuildHost, "builder.example.org"), texts(header.TagProvideName, provides),
		text(header.TagSourceRPM, p.NEVRA.Name+".src.rpm"),
	}
	if p.NEVRA.Epoch > 0 {
		entries = append(entries, words(header.TagEpoch, p.NEVRA.Epoch))
	}
	if len(files) > 0 { // rpm leaves out what is empty
		entries = append(entries, fileEntries(files)...)
	}
	section := region(entries)
	m := Made{Region: section.bytes()}
	content := append([]byte(header.Magic), m.Region...)
	m.Digest = sha256.Sum256(content)
	more := []entry{text(header.TagSHA256Header, hex.EncodeToString(m.Digest[:]))}
	var signatures []entry
	if p.Key != nil {
		var err error
		if m.Signature, err = p.Key.Sign(content); err != nil {
			return m, err
		}
		signatures = append(signatures, binaryData(header.TagRSAHeader, m.Signature))
	}
	m.Head = regionOf(header.TagHeaderSignatures, append(signatures, more...)).bytes()
	more = append(more, signatures...)
	section.add(more)
	installed := uint32(pkgtest.Epoch.Unix())
	installation := []entry{words(header.TagInstallTime, installed)}
	if len(files) > 0 {
		installation = append(installation, entry{header.TagFileStates, typeChar, len(files), make([]byte, len(files))})
	}
	section.add(installation)
	m.Blob = section.bytes()
	return m, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// PublicKey returns the header as which rpm keeps a key that was imported.
func PublicKey(k *pkgtest.Key) ([]byte, error) {
	block, err := armor.Decode(bytes.NewReader(k.Armor))
	if err != nil {
		return nil, err
	}
	packets, err := io.ReadAll(block.Body)
	if err != nil {
		return nil, err
	}
	id := k.Fingerprint()
	section := region([]entry{
		texts(tagI18NTable, []string{"C"}), text(header.TagName, "gpg-pubkey"), text(header.TagVersion, id[len(id)-8:]),
		text(header.TagRelease, "65000000"), i18n(header.TagSummary, k.Owner),
		texts(header.TagPubKeys, []string{base64.StdEncoding.EncodeToString(packets)}),
	})
	section.add([]entry{words(header.TagInstallTime, uint32(pkgtest.Epoch.Unix()))})
	return section.bytes(), nil
}
