// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/google/rpmpack"
)

const tagOpenPGP = 278 // RPMTAG_OPENPGP

// recipe describes a package without scriptlets.
type recipe struct {
	name, version string
	epoch         uint32
	files         []rpmpack.RPMFile
	signed        bool
	obsoletes     string
}

func file(name, body string) rpmpack.RPMFile {
	return rpmpack.RPMFile{Name: name, Body: []byte(body), Mode: 0o100644, Owner: "root", Group: "root"}
}

func typed(f rpmpack.RPMFile, t rpmpack.FileType) rpmpack.RPMFile {
	f.Type = t
	return f
}

// The header of the package with many files is larger than what a socket takes.
const fewFiles, manyFiles = 100, 2000

func files(dir string, n int) (fs []rpmpack.RPMFile) {
	for i := range n {
		fs = append(fs, file(fmt.Sprintf("%s/%04d", dir, i), fmt.Sprint(i)))
	}
	return fs
}

var recipes = []recipe{
	{name: "plain", version: "1", epoch: 3, files: []rpmpack.RPMFile{file("/opt/plain", "one")}},
	{name: "plain", version: "2", epoch: 3, files: []rpmpack.RPMFile{file("/opt/plain", "two")}},
	{name: "other", version: "1", files: []rpmpack.RPMFile{file("/opt/other", "other")}},
	{name: "third", version: "1", files: []rpmpack.RPMFile{file("/opt/third", "third")}},
	{name: "signed", version: "1", files: []rpmpack.RPMFile{file("/opt/signed", "signed")}, signed: true},
	{name: "kinds", version: "1", files: []rpmpack.RPMFile{
		{Name: "/opt/kinds", Mode: 0o040755, Owner: "root", Group: "root"},
		file("/opt/kinds/regular", "regular"),
		file("/opt/kinds/empty", ""),
		{Name: "/opt/kinds/link", Body: []byte("regular"), Mode: 0o120777, Owner: "root", Group: "root"},
		typed(file("/opt/kinds/ghost", ""), rpmpack.GhostFile),
		typed(file("/opt/kinds/doc", "doc"), rpmpack.DocFile),
		typed(file("/opt/kinds/conf", "new"), rpmpack.ConfigFile|rpmpack.NoReplaceFile),
		file("/opt/net/file", "net"),
	}},
	{name: "deep", version: "1", files: []rpmpack.RPMFile{file("/opt/never/owned/by/any/file", "deep")}},
	{name: "heir", version: "1", files: []rpmpack.RPMFile{file("/opt/plain", "inherited")}, obsoletes: "plain"},
	{name: "multi", version: "1", files: []rpmpack.RPMFile{file("/opt/multi/one", "one"), file("/opt/multi/both", "same")}},
	{name: "multi", version: "2", files: []rpmpack.RPMFile{file("/opt/multi/two", "two"), file("/opt/multi/both", "same")}},
	{name: "few", version: "1", files: files("/opt/few", fewFiles)},
	{name: "many", version: "1", files: files("/opt/many", manyFiles)},
}

func makePackages(dir string) error {
	sign, err := newSigner()
	if err != nil {
		return err
	}
	for _, r := range recipes {
		if err := r.write(dir, sign); err != nil {
			return fmt.Errorf("cannot make package %s-%s: %w", r.name, r.version, err)
		}
	}
	if err := buildScripted(dir); err != nil {
		return err
	}
	if out, err := exec.Command("createrepo_c", "--quiet", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make a repository: %w\n%s", err, out)
	}
	return nil
}

func packageFile(name string) string { return name + "-1.noarch.rpm" }

func (r *recipe) write(dir string, sign func([]byte) ([]byte, error)) error {
	p, err := rpmpack.NewRPM(rpmpack.RPMMetaData{
		Name: r.name, Version: r.version, Release: "1", Epoch: r.epoch, Summary: "test", Licence: "none",
	})
	if err != nil {
		return err
	}
	if r.obsoletes != "" {
		if err := p.Obsoletes.Set(r.obsoletes); err != nil {
			return err
		}
	}
	for _, f := range r.files {
		p.AddFile(f)
	}
	if r.signed {
		covered := 0
		p.SetPGPSigner(func(data []byte) ([]byte, error) {
			sig, err := sign(data)
			if covered++; covered == 1 { // the header alone; then comes header and payload
				p.AddCustomSig(tagOpenPGP, rpmpack.EntryStringSlice([]string{base64.StdEncoding.EncodeToString(sig)}))
			}
			return sig, err
		})
	}
	f, err := os.Create(filepath.Join(dir, packageFile(r.name+"-"+r.version)))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := p.Write(f); err != nil {
		return err
	}
	return f.Close()
}

func newSigner() (func([]byte) ([]byte, error), error) {
	config := &packet.Config{DefaultHash: crypto.SHA256}
	key, err := openpgp.NewEntity("test", "", "test@example.org", config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a signing key: %w", err)
	}
	return func(data []byte) ([]byte, error) {
		var sig strings.Builder
		err := openpgp.DetachSign(&sig, []*openpgp.Entity{key}, strings.NewReader(string(data)), config)
		return []byte(sig.String()), err
	}, nil
}
