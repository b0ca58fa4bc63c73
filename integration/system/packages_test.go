// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/google/rpmpack"
)

// signer is an OpenPGP key and its certificate.
type signer struct {
	entity *openpgp.Entity
	armor  []byte
	secret []byte
	now    func() time.Time // when it signs; nil: now
}

var (
	signersMutex sync.Mutex
	signers      = map[string]*signer{} // shared by tests: keys take time to make
)

func signerOf(name string) (*signer, error) {
	signersMutex.Lock()
	defer signersMutex.Unlock()
	if s := signers[name]; s != nil {
		return s, nil
	}
	config := &packet.Config{DefaultHash: crypto.SHA256, Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048}
	if name == "brief" {
		config.KeyLifetimeSecs = 8
	}
	entity, err := openpgp.NewEntity(name, "", name+"@example.org", config)
	if err != nil {
		return nil, err
	}
	s := &signer{entity: entity}
	var secret bytes.Buffer
	if err := entity.SerializePrivate(&secret, config); err != nil {
		return nil, err
	}
	s.secret = secret.Bytes()
	if s.armor, err = armored(entity); err != nil {
		return nil, err
	}
	signers[name] = s
	return s, nil
}

func armored(entity *openpgp.Entity) ([]byte, error) {
	var buf bytes.Buffer
	w, err := armor.Encode(&buf, openpgp.PublicKeyType, nil)
	if err == nil {
		err = entity.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	return buf.Bytes(), err
}

func (s *signer) fingerprint() string { return hex.EncodeToString(s.entity.PrimaryKey.Fingerprint) }

// revoked returns the certificate with its owner's revocation.
func (s *signer) revoked() ([]byte, error) {
	copied, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(s.secret)))
	if err == nil {
		err = copied.Revoke(packet.KeyCompromised, "test", nil)
	}
	if err != nil {
		return nil, err
	}
	return armored(copied)
}

func (s *signer) sign(data []byte) ([]byte, error) {
	var sig bytes.Buffer
	err := openpgp.DetachSign(&sig, []*openpgp.Entity{s.entity}, bytes.NewReader(data), &packet.Config{DefaultHash: crypto.SHA256, Time: s.now})
	return sig.Bytes(), err
}

// importKey makes rpm trust the key of that name.
func (m *machine) importKey(name string) {
	m.Helper()
	s, err := signerOf(name)
	if err != nil {
		m.Fatal(err)
	}
	file := m.path(name + ".asc")
	if err := os.WriteFile(file, s.armor, 0o644); err != nil {
		m.Fatal(err)
	}
	m.mustRPM("--import", file)
}

// pkg is a package to be made. Its file is name-version-release.arch.rpm.
type pkg struct {
	name, evr, arch string
	key             string            // "" for an unsigned one
	provides        []string          //
	obsoletes       []string          //
	files           map[string]string // content by path; a path that ends with a slash is a directory
	post            string            // a scriptlet
}

// parsePkg reads "name-[epoch:]version-release.arch" and options: key=NAME
// (default vendor), key= for none, provides=NAME, obsoletes=NAME, post=SCRIPT, /path=content.
func parsePkg(args []string) (pkg, error) {
	p := pkg{key: "vendor", files: map[string]string{}}
	rest, arch, _ := cutLast(args[0], ".")
	rest, release, ok1 := cutLast(rest, "-")
	name, version, ok2 := cutLast(rest, "-")
	if !ok1 || !ok2 {
		return p, fmt.Errorf("%q is no package", args[0])
	}
	p.name, p.evr, p.arch = name, version+"-"+release, arch
	for _, a := range args[1:] {
		option, value, _ := strings.Cut(a, "=")
		switch {
		case option == "key":
			p.key = value
		case option == "provides":
			p.provides = append(p.provides, value)
		case option == "obsoletes":
			p.obsoletes = append(p.obsoletes, value)
		case option == "post":
			p.post = value
		case strings.HasPrefix(option, "/"):
			p.files[option] = value
		default:
			return p, fmt.Errorf("unknown option %q", a)
		}
	}
	if len(p.files) == 0 {
		p.files["/usr/bin/"+name] = "#!/bin/sh\necho " + args[0] + "\n"
	}
	return p, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// build makes a package and returns the name of its file.
func (m *machine) build(p pkg) (string, error) {
	epoch, evr, hasEpoch := strings.Cut(p.evr, ":")
	if !hasEpoch {
		epoch, evr = "0", p.evr
	}
	e, err := strconv.ParseUint(epoch, 10, 32)
	if err != nil {
		return "", err
	}
	version, release, _ := strings.Cut(evr, "-")
	meta := rpmpack.RPMMetaData{Name: p.name, Epoch: uint32(e), Version: version, Release: release, Arch: p.arch,
		Summary: "a package for tests", Licence: "Apache-2.0", Compressor: "gzip:1"}
	for _, name := range p.provides {
		r, err := rpmpack.NewRelation(name)
		if err != nil {
			return "", err
		}
		meta.Provides = append(meta.Provides, r)
	}
	for _, name := range p.obsoletes {
		r, err := rpmpack.NewRelation(name)
		if err != nil {
			return "", err
		}
		meta.Obsoletes = append(meta.Obsoletes, r)
	}
	r, err := rpmpack.NewRPM(meta)
	if err != nil {
		return "", err
	}
	for name, content := range p.files {
		f := rpmpack.RPMFile{Name: name, Body: []byte(content), Mode: 0o100755, Owner: "root", Group: "root"}
		if strings.HasSuffix(name, "/") {
			f = rpmpack.RPMFile{Name: path.Clean(name), Mode: 0o040755, Owner: "root", Group: "root"}
		}
		r.AddFile(f)
	}
	if p.post != "" {
		r.AddPostin(p.post)
	}
	if p.key != "" {
		s, err := signerOf(p.key)
		if err != nil {
			return "", err
		}
		r.SetPGPSigner(s.sign)
	}
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		return "", err
	}
	file := fmt.Sprintf("%s-%s-%s.%s.rpm", p.name, version, release, p.arch)
	return file, os.WriteFile(m.path("packages", file), buf.Bytes(), 0o644)
}

// mustBuild makes a package by the words of a script.
func (m *machine) mustBuild(args ...string) string {
	m.Helper()
	p, err := parsePkg(args)
	if err != nil {
		m.Fatal(err)
	}
	file, err := m.build(p)
	if err != nil {
		m.Fatal(err)
	}
	return file
}

// headerOf returns the immutable region and the signatures of a package file
// (rpm documentation, "RPM V4 package format").
func (m *machine) headerOf(file string) (region []byte, sigs []header.Signature) {
	m.Helper()
	data, err := os.ReadFile(m.path("packages", file))
	if err != nil {
		m.Fatal(err)
	}
	const lead, magic = 96, 8
	next := func(at int) (*header.Header, int) {
		at += magic
		size := 8 + 16*int(binary.BigEndian.Uint32(data[at:])) + int(binary.BigEndian.Uint32(data[at+4:]))
		h, err := header.Parse(data[at : at+size])
		if err != nil {
			m.Fatal(err)
		}
		return h, at + size
	}
	signature, end := next(lead)
	h, _ := next((end + 7) &^ 7)
	if region, err = h.Immutable(); err != nil {
		m.Fatal(err)
	}
	return region, signature.Signatures()
}

// certificate is the one that the machine's lists are signed by.
func (m *machine) certificate() []*x509.Certificate {
	m.Helper()
	data, err := os.ReadFile(filepath.Join(m.state, "signing.crt"))
	if err != nil {
		m.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		m.Fatal("state/signing.crt is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		m.Fatal(err)
	}
	return []*x509.Certificate{cert}
}
