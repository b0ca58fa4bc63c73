// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/rpmpack"
)

const (
	tagPostProg   = 1086 // RPMTAG_POSTINPROG
	tagModularity = 5096 // RPMTAG_MODULARITYLABEL
)

// Package is a package to be made, in process: thousands take seconds. Use [BuildSpec] for
// everything that only rpmbuild can do.
type Package struct {
	Name, Version, Release, Arch string
	Epoch                        uint32
	Provides, Obsoletes          []string
	Files                        map[string]string                               // content by path; a path that ends with a slash is a directory
	Links                        map[string]string                               // symbolic: target by path
	Post                         string                                          // a scriptlet
	PostProg                     string                                          // what runs it, /bin/sh if empty
	Key                          *Key                                            // nil for an unsigned package
	Module                       string                                          // label of the module that it is of, "name:stream:version:context"
	Version3                     bool                                            // the signature is of version 3, as RHEL's are
	Sign                         func(data []byte) (signature []byte, err error) // instead of Key
}

// NVRA is the package's name as in its file's name.
func (p *Package) NVRA() string {
	return fmt.Sprintf("%s-%s-%s.%s", p.Name, p.Version, p.Release, p.Arch)
}

// Build writes the package into dir and returns the path of its file.
func (p *Package) Build(dir string) (string, error) {
	file, err := p.build(dir)
	if err != nil {
		return "", fmt.Errorf("cannot build %s: %w", p.NVRA(), err)
	}
	return file, nil
}

func (p *Package) build(dir string) (string, error) {
	meta := rpmpack.RPMMetaData{
		Name: p.Name, Version: p.Version, Release: p.Release, Arch: p.Arch, Epoch: p.Epoch,
		Summary: "A package for tests", Licence: "Apache-2.0", BuildTime: Epoch, Compressor: "gzip:1",
	}
	for _, relation := range []struct {
		names []string
		to    *rpmpack.Relations
	}{{p.Provides, &meta.Provides}, {p.Obsoletes, &meta.Obsoletes}} {
		for _, name := range relation.names {
			r, err := rpmpack.NewRelation(name)
			if err != nil {
				return "", err
			}
			*relation.to = append(*relation.to, r)
		}
	}
	r, err := rpmpack.NewRPM(meta)
	if err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		f := rpmpack.RPMFile{Name: name, Body: []byte(p.Files[name]), Mode: 0o100755, Owner: "root", Group: "root", MTime: uint32(Epoch.Unix())}
		if strings.HasSuffix(name, "/") {
			f.Name, f.Body, f.Mode = path.Clean(name), nil, 0o040755
		}
		r.AddFile(f)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Links)) {
		r.AddFile(rpmpack.RPMFile{Name: name, Body: []byte(p.Links[name]), Mode: 0o120777, Owner: "root", Group: "root", MTime: uint32(Epoch.Unix())})
	}
	if p.Module != "" {
		r.AddCustomTag(tagModularity, rpmpack.EntryString(p.Module))
	}
	if p.Post != "" {
		r.AddPostin(p.Post)
	}
	if p.PostProg != "" {
		r.AddCustomTag(tagPostProg, rpmpack.EntryString(p.PostProg))
	}
	switch {
	case p.Sign != nil:
		r.SetPGPSigner(p.Sign)
	case p.Key != nil && p.Version3:
		r.SetPGPSigner(p.Key.SignV3)
	case p.Key != nil:
		r.SetPGPSigner(p.Key.Sign)
	}
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		return "", err
	}
	file := filepath.Join(dir, p.NVRA()+".rpm")
	return file, os.WriteFile(file, buf.Bytes(), 0o644)
}
