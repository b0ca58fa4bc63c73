// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/digestd/digestd/store/durable"
	"golang.org/x/sys/unix"
)

// MachineFile records on which machine digestd first saw a key: the identifier of the key, and an
// HMAC of it with the ID of the machine, which does not reveal that ID.
const MachineFile = "signing.machine"

// onNone stands for the machine of a key that was made where there was no machine: in an image.
const onNone = "none"

// Elsewhere says that the key that signs is that of another machine.
type Elsewhere struct{ Path string } // of the MachineFile

func (e *Elsewhere) Error() string {
	return "the key that signs lists is from another machine, or from an image: other machines may have the same key"
}

// here returns an *Elsewhere if the key that signs was first seen on another machine. It records
// the machine of a key that it sees for the first time.
func (f Files) here(id *Identity) error {
	machine, err := f.machine(id)
	if err != nil || machine == "" {
		return err
	}
	path := filepath.Join(f.Dir, MachineFile)
	data, err := readFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot tell whether the signing key is from this machine: %w", err)
	}
	switch key, where, _ := strings.Cut(strings.TrimSpace(string(data)), " "); {
	case key == id.SKI() && where == machine:
		return nil
	case key == id.SKI():
		return &Elsewhere{path}
	}
	if err := durable.WriteFile(path, []byte(id.SKI()+" "+machine+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot record on which machine the signing key is: %w", err)
	}
	return nil
}

// machine returns what the MachineFile records for this machine, "" if its ID does not last.
func (f Files) machine(id *Identity) (string, error) {
	if f.MachineID == "" {
		return "", nil
	}
	data, err := readFile(f.MachineID)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the ID of this machine: %w", err)
	}
	// If systemd cannot store an ID, it mounts one over the file, another one at each start.
	var file, dir unix.Stat_t
	if err := errors.Join(unix.Stat(f.MachineID, &file), unix.Stat(filepath.Dir(f.MachineID), &dir)); err != nil || file.Dev != dir.Dev {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" || text == "uninitialized" {
		return onNone, nil
	}
	mac := hmac.New(sha256.New, []byte(text))
	mac.Write([]byte("digestd signing key " + id.SKI()))
	return hex.EncodeToString(mac.Sum(nil)), nil
}
