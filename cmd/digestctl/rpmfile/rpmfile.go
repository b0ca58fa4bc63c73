// SPDX-License-Identifier: Apache-2.0

// Package rpmfile reads package files, which may be hostile, in a separate process with limits,
// which can open no file and make no connection. A crash of that process is an error about the
// file.
//
// The process returns the headers as bytes; the caller verifies their signatures. Everything
// else that the process returns is only a description.
package rpmfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/digestd/digestd/kernel/confine"
)

const (
	// Verb is what digestctl is called by to be that process.
	Verb = "read-package"
	// maxAnswer bounds what the process says, in bytes: two headers and differences.
	maxAnswer = 32 << 20
	// maxDifferences bounds the files that differ which one answer names.
	maxDifferences = 100
	// patience bounds how long one package may take to be read.
	patience = 10 * time.Minute
)

// Package is the content of a package file.
type Package struct {
	NEVRA      string       `json:"nevra"`
	Source     bool         `json:"source"`     // it is a source package
	Header     []byte       `json:"header"`     // without its magic
	Signatures []byte       `json:"signatures"` // the signature header, without its magic and padding
	Compared   int          `json:"compared"`   // files whose content was compared with the header's digest
	Different  []Difference `json:"different"`  // files that differ from the header
	More       int          `json:"more"`       // number of further such files
}

// Kinds of differences.
const (
	Changed = "changed" // the content has another digest
	Missing = "missing" // the payload has no such file
	Extra   = "extra"   // the header has no digest by which to judge the file
)

// Difference is a file whose content differs from the header.
type Difference struct {
	Path     string `json:"path"`
	Kind     string `json:"kind"` // changed, missing, extra
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
}

// answer is the answer of the process.
type answer struct {
	Package *Package `json:"package,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Is reports whether a file begins like a package.
func Is(f *os.File) bool {
	var magic [4]byte
	_, err := f.ReadAt(magic[:], 0)
	return err == nil && string(magic[:]) == leadMagic
}

// Read makes program, which is digestctl, read the package in f.
func Read(ctx context.Context, program string, f *os.File) (*Package, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, Verb)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Env, cmd.Dir = f, []string{}, "/"
	said := &confine.Words{Most: 64 << 10}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot read package: %w", err)
	}
	data, rerr := io.ReadAll(io.LimitReader(out, maxAnswer+1))
	if len(data) > maxAnswer {
		cancel()
		rerr = fmt.Errorf("its reader said more than %d bytes", maxAnswer)
	}
	werr := cmd.Wait()
	var a answer
	switch {
	case ctx.Err() != nil && rerr == nil:
		return nil, fmt.Errorf("cannot read package: %w", context.Cause(ctx))
	case rerr != nil:
		return nil, fmt.Errorf("cannot read package: %w", rerr)
	case json.Unmarshal(data, &a) != nil || a.Error == "" && a.Package == nil:
		return nil, fmt.Errorf("cannot read package: its reader failed: %s", said.First(werr))
	case a.Error != "":
		return nil, errors.New(a.Error)
	}
	return a.Package, nil
}
