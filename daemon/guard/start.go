// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/daemon/guard/snapshot"
	"github.com/digestd/digestd/kernel/guard"
)

// Start says where a guard finds what it lets run before digestd has told it anything,
// which is at the start of the machine.
type Start struct {
	State  string                           // the state directory, which has the snapshot
	Key    func() (crypto.PublicKey, error) // whose private half signs the snapshot
	Commit func() (uint64, error)           // the latest of the index
	Stale  guard.Mode                       // what to do with a snapshot of another commit: Audit, or Enforce it
}

// Begun is how a guard began.
type Begun struct {
	Doubt   string // why it has to wait for digestd; "" if it has not
	Anyway  bool   // it does not wait all the same, for the owner wants what a former commit had enforced
	Checked bool   // what it lets run was enforced before, or is: no check has to come first
}

// Begin fills maps from the snapshot, unless the kernel has digests already or enforces.
// A snapshot that cannot be read or that another key signed is never enforced: nothing
// at all would run. An error is one of maps.
func (s Start) Begin(maps Maps) (Begun, error) {
	is, err := maps.Settings()
	if err != nil {
		return Begun{}, err
	}
	commit, err := maps.Commit()
	if err != nil || is.Mode == guard.Enforce || commit != 0 || maps.Len() > 0 {
		return Begun{Checked: is.Mode == guard.Enforce}, err
	}
	snap, err := s.read()
	if err != nil {
		return Begun{Doubt: err.Error()}, nil
	}
	if err := maps.Replace(snap.Len(), parts(snap)); err != nil {
		return Begun{}, err
	}
	anyway := s.Stale == guard.Enforce && snap.Enforced
	commit, err = s.Commit()
	switch {
	case err != nil:
		return Begun{Doubt: fmt.Sprintf("cannot tell which commit the index is at: %v", err), Anyway: anyway, Checked: anyway}, nil
	case commit != snap.Commit:
		return Begun{Doubt: fmt.Sprintf("the guard's snapshot is from commit %d, but the index is at commit %d", snap.Commit, commit), Anyway: anyway, Checked: anyway}, nil
	}
	return Begun{Checked: snap.Enforced}, maps.SetCommit(commit)
}

// perPart is how many digests of a snapshot are handed on at a time.
const perPart = 4096

// parts hands a snapshot's digests on.
func parts(s *snapshot.Snapshot) func() ([]guard.Digest, []uint32, error) {
	next := 0
	return func() ([]guard.Digest, []uint32, error) {
		if next >= s.Len() {
			return nil, nil, io.EOF
		}
		digests, lists := s.Part(next, perPart)
		next += len(digests)
		return digests, lists, nil
	}
}

func (s Start) read() (*snapshot.Snapshot, error) {
	key, err := s.Key()
	if err != nil {
		return nil, fmt.Errorf("cannot verify the guard's snapshot: %w", err)
	}
	data, err := readRegular(filepath.Join(s.State, snapshot.Name), int64(snapshot.MaxSize))
	if err != nil {
		return nil, fmt.Errorf("cannot read the guard's snapshot: %w", err)
	}
	snap, err := snapshot.Parse(data, key)
	if err != nil {
		return nil, fmt.Errorf("cannot use the guard's snapshot: %w", err)
	}
	return snap, nil
}

// maxCertificate bounds the certificate that readKey reads, in bytes.
const maxCertificate = 64 << 10

// KeyIn returns a function that reads the public key of the certificate at path; see Start.
func KeyIn(path string) func() (crypto.PublicKey, error) {
	return func() (crypto.PublicKey, error) {
		if path == "" {
			return nil, errors.New("no certificate was given")
		}
		return readKey(path)
	}
}

// readKey reads the public key of a certificate: X.509, DER.
func readKey(path string) (crypto.PublicKey, error) {
	data, err := readRegular(path, maxCertificate)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("%s is not a certificate: %w", path, err)
	}
	return cert.PublicKey, nil
}

// readRegular reads a regular file of at most so many bytes, which root or this
// process's user owns.
func readRegular(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a regular file")}
	case !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it belongs to another user")}
	case info.Size() > most:
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it has more than %d bytes", most)}
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, err
	}
	return data, nil
}
