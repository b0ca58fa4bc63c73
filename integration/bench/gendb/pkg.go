// SPDX-License-Identifier: Apache-2.0

package gendb

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/pkgtest"
)

// Tags that digestd does not read, and rpm does.
const (
	tagI18NTable        = 100
	tagSigSize          = 257
	tagSigMD5           = 261
	tagBuildTime        = 1006
	tagBuildHost        = 1007
	tagSize             = 1009
	tagLicense          = 1014
	tagGroup            = 1016
	tagURL              = 1020
	tagFileSizes        = 1028
	tagFileRdevs        = 1033
	tagFileMtimes       = 1034
	tagFileLinktos      = 1036
	tagFileUserName     = 1039
	tagFileGroupName    = 1040
	tagFileVerifyFlags  = 1045
	tagArchiveSize      = 1046
	tagRequireFlags     = 1048
	tagRequireName      = 1049
	tagRequireVersion   = 1050
	tagRPMVersion       = 1064
	tagChangelogTime    = 1080
	tagChangelogName    = 1081
	tagChangelogText    = 1082
	tagFileDevices      = 1095
	tagFileInodes       = 1096
	tagFileLangs        = 1097
	tagProvideFlags     = 1112
	tagProvideVersion   = 1113
	tagPayloadFormat    = 1124
	tagPayloadCompr     = 1125
	tagPayloadFlags     = 1126
	tagInstallColor     = 1127
	tagInstallTID       = 1128
	tagPlatform         = 1132
	tagFileColors       = 1140
	tagFileClass        = 1141
	tagClassDict        = 1142
	tagFileDependsX     = 1143
	tagFileDependsN     = 1144
	tagEncoding         = 5062
	tagPayloadDigest    = 5092
	tagPayloadDigestAlg = 5093
)

// Hash algorithms by OpenPGP's numbers.
const (
	sha256InPGP = 8
	sha512InPGP = 10
)

// Flags of dependencies (rpm, include/rpm/rpmds.h).
const (
	senseEqual        = 1 << 3
	senseGreaterEqual = 1<<2 | 1<<3
)

var vocabulary = strings.Fields(`alpha anchor archive audio backend base binary bridge buffer build cache canvas
	channel client cluster codec compat config console core cursor daemon data debug default device digest
	display driver editor engine event export filter font format frame gateway graph handler header helper
	image import index input kernel layer library link loader locale logger mail manager matrix media memory
	message model module monitor mount network node object output packet parser patch pipeline plugin policy
	pool portal prefix printer process profile protocol proxy query queue reader record region registry
	release remote render report request resolver resource router runtime sample scanner schema script
	search sensor server service session shader shell signal socket source stream string style switch symbol
	system table target template terminal theme thread token tool trace transport tree update user utility
	vector version video viewer volume widget window worker writer`)

// generated is one package: its header as rpm stores it and what is in it.
type generated struct {
	blob  []byte
	files []file
}

// identify names package number n; it takes the first numbers of r.
func identify(r *rand.Rand, n int) (name, version, release string) {
	word := func() string { return vocabulary[r.IntN(len(vocabulary))] }
	name = fmt.Sprintf("%s-%s%d", word(), word(), n)
	version = fmt.Sprintf("%d.%d.%d", r.IntN(9), r.IntN(30), r.IntN(12))
	return name, version, fmt.Sprintf("%d.fc43", 1+r.IntN(9))
}

// build makes package number n, with so many files. Nothing but its arguments
// counts, so that packages can be made in any order.
func build(s Shape, n, files int, key *pkgtest.Key) (generated, error) {
	r := rand.New(rand.NewPCG(s.Seed, uint64(n)))
	word := func() string { return vocabulary[r.IntN(len(vocabulary))] }
	prose := func(letters int) string {
		var b strings.Builder
		for b.Len() < letters {
			b.WriteString(word())
			b.WriteByte(" \n"[r.IntN(12)/11])
		}
		return b.String()
	}
	name, version, release := identify(r, n)
	built := uint32(pkgtest.Epoch.Unix()) - uint32(r.IntN(1<<24))
	p := generated{files: makeFiles(s, name, files, r)}

	size := uint32(0)
	for _, f := range p.files {
		size += f.size
	}
	entries := []entry{
		texts(tagI18NTable, []string{"C"}), text(header.TagName, name), text(header.TagVersion, version), text(header.TagRelease, release),
		i18n(header.TagSummary, prose(60)), i18n(header.TagDescription, prose(700)), words(tagBuildTime, built),
		text(tagBuildHost, "builder.example.org"), words(tagSize, size), text(header.TagVendor, "Example Project"),
		text(tagLicense, "GPL-2.0-or-later AND MIT"), i18n(tagGroup, "Unspecified"), text(tagURL, "https://example.org/"+name),
		text(header.TagOS, "linux"), text(header.TagArch, "x86_64"), text(header.TagSourceRPM, name+"-"+version+"-"+release+".src.rpm"),
		text(tagRPMVersion, "4.20.1"), text(tagPayloadFormat, "cpio"), text(tagPayloadCompr, "zstd"), text(tagPayloadFlags, "19"),
		text(tagPlatform, "x86_64-redhat-linux-gnu"), text(tagEncoding, "utf-8"),
		texts(tagPayloadDigest, []string{hex.EncodeToString(random(r, sha256.Size))}), words(tagPayloadDigestAlg, sha256InPGP),
	}
	entries = append(entries, dependencies(r, name, version+"-"+release, word)...)
	entries = append(entries, changelog(r, built, prose)...)
	entries = append(entries, fileEntries(p.files)...)

	signed := region(entries)
	content := append([]byte(header.Magic), signed.bytes()...)
	sig, err := key.Sign(content)
	if err != nil {
		return p, err
	}
	sha1sum, sha256sum := sha1.Sum(content), sha256.Sum256(content)
	signed.add([]entry{
		words(tagSigSize, uint32(len(content))+size/3), binaryData(tagSigMD5, random(r, 16)), binaryData(header.TagRSAHeader, sig),
		text(header.TagSHA1Header, hex.EncodeToString(sha1sum[:])), text(header.TagSHA256Header, hex.EncodeToString(sha256sum[:])),
	})
	installed := uint32(pkgtest.Epoch.Unix()) + uint32(n/100)
	signed.add([]entry{
		words(header.TagInstallTime, installed), {header.TagFileStates, typeChar, len(p.files), make([]byte, len(p.files))},
		words(tagArchiveSize, size), words(tagInstallColor, 3), words(tagInstallTID, installed),
	})
	p.blob = signed.bytes()
	return p, nil
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// lognormal has that median; with sigma 1.8 the mean is five times as much.
func lognormal(r *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*r.NormFloat64())
}

func dependencies(r *rand.Rand, name, evr string, word func() string) []entry {
	provides, versions, flags := []string{name, name + "(x86-64)"}, []string{evr, evr}, []uint32{senseEqual, senseEqual}
	for range int(min(lognormal(r, 3, 1.2), 400)) {
		provides = append(provides, fmt.Sprintf("lib%s%s.so.%d()(64bit)", name, word(), r.IntN(9)))
		versions, flags = append(versions, ""), append(flags, 0)
	}
	requires, minimum, sense := []string{"rpmlib(PayloadIsZstd)"}, []string{"5.4.18-1"}, []uint32{senseGreaterEqual | 1<<24}
	for range int(min(lognormal(r, 18, 0.9), 400)) {
		requires = append(requires, fmt.Sprintf("lib%s.so.%d(%s_2.%d)(64bit)", word(), r.IntN(9), strings.ToUpper(word()), r.IntN(40)))
		minimum, sense = append(minimum, ""), append(sense, 0)
	}
	return []entry{
		texts(header.TagProvideName, provides), texts(tagProvideVersion, versions), words(tagProvideFlags, flags...),
		texts(tagRequireName, requires), texts(tagRequireVersion, minimum), words(tagRequireFlags, sense...),
	}
}

func changelog(r *rand.Rand, built uint32, prose func(int) string) []entry {
	var when []uint32
	var who, what []string
	for i := range int(min(lognormal(r, 50, 0.6), 250)) {
		when = append(when, built-uint32(i)*2_000_000)
		who = append(who, fmt.Sprintf("A Packager <packager@example.org> - %d.%d-1", 9-i/10, r.IntN(30)))
		what = append(what, "- "+prose(60+r.IntN(300)))
	}
	return []entry{words(tagChangelogTime, when...), texts(tagChangelogName, who), texts(tagChangelogText, what)}
}
