// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// The kernel's keyrings that affect whether a list is trusted.
const (
	RingIMA       = ".ima"                    // IMA verifies by its certificates
	RingIMAOpen   = "_ima"                    // the same on kernels without trusted keyrings: it belongs to the user who opens a file
	RingMachine   = ".machine"                // of the machine's owner (MOK)
	RingPlatform  = ".platform"               // of the firmware
	RingBuiltin   = ".builtin_trusted_keys"   // built into the kernel
	RingSecondary = ".secondary_trusted_keys" // added to these later
	RingBlacklist = ".blacklist"              // what must not be trusted
)

// rings has the names in the order of display.
var rings = [...]string{RingIMA, RingIMAOpen, RingMachine, RingPlatform, RingBuiltin, RingSecondary, RingBlacklist}

// Rings returns the names of all keyrings that [Keyrings] finds.
func Rings() []string { return rings[:] }

// maxRing bounds how many keys of one keyring are read.
const maxRing = 16384

var (
	// ErrNoKeyring means that the kernel has no keyring of that name, or does not
	// show it to this process.
	ErrNoKeyring = errors.New("no such keyring")
	// ErrNoKeys means that this process may not use kernel keys at all, as in most containers.
	ErrNoKeys = errors.New("the kernel's keys are out of reach")
)

// Key is a key, as the kernel describes it.
type Key struct {
	ID          int
	Type        string // keyring, asymmetric, blacklist
	UID         uint32
	Perm        uint32
	Description string
}

// usrWrite is the permission of a key's owner to change the key (include/linux/key.h).
const usrWrite = 0x00040000

// Certificate parses the description of an asymmetric key: the subject, which the kernel
// shortens, and the key identifier in hexadecimal digits.
func (k Key) Certificate() (subject, keyID string, ok bool) {
	i := strings.LastIndex(k.Description, ": ")
	if k.Type != "asymmetric" || i < 0 {
		return "", "", false
	}
	subject, keyID = k.Description[:i], k.Description[i+2:]
	_, err := hex.DecodeString(keyID)
	return subject, keyID, err == nil && keyID != ""
}

// Keyring is one of the kernel's keyrings, in the state in which it was found.
type Keyring struct{ Key }

// Name returns the name by which it was found.
func (r Keyring) Name() string { return r.Description }

// Writable reports whether root may add keys. The kernel may still refuse a key.
func (r Keyring) Writable() bool {
	return r.UID == 0 && r.Perm&usrWrite != 0 || r.open()
}

// open reports whether it is an open keyring, which belongs to the user who made it and can be
// changed by processes in its session.
func (r Keyring) open() bool { return r.Name() == RingIMAOpen }

// elsewhere reports whether it is an open keyring of another session, or one that is about to
// go. Any user may give a keyring that name; only root's counts.
func (r Keyring) elsewhere() bool {
	if !r.open() {
		return false
	}
	_, err := r.IDs()
	return errors.Is(err, unix.EACCES) || errors.Is(err, ErrNoKeyring)
}

// Keyrings finds the kernel's keyrings. Several goroutines may use it at the same time.
type Keyrings struct {
	proc  string
	mutex sync.Mutex
	ids   map[string]int // numbers of the keyrings that last until the next boot
}

// NewKeyrings returns the keyrings of the running kernel.
func NewKeyrings() *Keyrings { return &Keyrings{proc: "/proc/keys", ids: map[string]int{}} }

// Find returns the keyring of that name, one of [Rings].
func (ks *Keyrings) Find(name string) (Keyring, error) {
	found, err := ks.FindAll(name)
	if err != nil {
		return Keyring{}, err
	}
	if len(found) == 0 {
		return Keyring{}, fmt.Errorf("%s: %w", name, ErrNoKeyring)
	}
	return found[0], nil
}

// FindAll returns those of the named keyrings that exist, in the given order. It relies on what
// the kernel says about a key by its number, never on a line of /proc/keys: only the kernel
// makes keyrings whose names begin with a dot.
func (ks *Keyrings) FindAll(names ...string) ([]Keyring, error) {
	ks.mutex.Lock()
	defer ks.mutex.Unlock()
	found := map[string]Keyring{}
	consider := func(id int, name string) {
		k, err := describe(id)
		if err == nil && k.Type == "keyring" && k.Description == name && k.UID == 0 && !(Keyring{k}).elsewhere() {
			found[name] = Keyring{k}
			if strings.HasPrefix(name, ".") {
				ks.ids[name] = id
			}
		}
	}
	missing := map[string]bool{}
	for _, name := range names {
		if id, known := ks.ids[name]; known {
			consider(id, name)
		}
		if _, ok := found[name]; !ok {
			missing[name] = true
		}
	}
	if len(missing) > 0 {
		if err := ks.look(missing, consider); err != nil {
			return nil, err
		}
	}
	list := make([]Keyring, 0, len(found))
	for _, name := range names {
		if r, ok := found[name]; ok {
			list = append(list, r)
		}
	}
	return list, nil
}

// look queries the keys that /proc/keys names. A line may be forged, but cannot hide another
// one, so look follows each line with a wanted name.
func (ks *Keyrings) look(names map[string]bool, consider func(id int, name string)) error {
	if _, err := describe(unix.KEY_SPEC_USER_KEYRING); errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: %w", ErrNoKeys, err)
	}
	f, err := os.Open(ks.proc)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%w: %w", ErrNoKeys, err)
		}
		return err
	}
	defer f.Close()
	return eachProcKey(f, func(k procKey) bool {
		name, _, _ := strings.Cut(k.rest, ":")
		if k.kind == "keyring" && names[name] {
			consider(k.id, name)
		}
		return false
	})
}

// describe queries one key by its number.
func describe(id int) (Key, error) {
	text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
	if err != nil {
		return Key{}, fmt.Errorf("cannot describe key %08x: %w", id, err)
	}
	return parseDescription(id, text)
}

// parseDescription parses type;user;group;permissions;description.
func parseDescription(id int, text string) (Key, error) {
	parts := strings.SplitN(text, ";", 5)
	if len(parts) != 5 {
		return Key{}, fmt.Errorf("cannot describe key %08x: the kernel says %.80q", id, text)
	}
	uid, err := strconv.ParseInt(parts[1], 10, 64)
	perm, perr := strconv.ParseUint(parts[3], 16, 32)
	if err = cmp.Or(err, perr); err != nil {
		return Key{}, fmt.Errorf("cannot describe key %08x: %w", id, err)
	}
	return Key{ID: id, Type: parts[0], UID: uint32(uid), Perm: uint32(perm), Description: parts[4]}, nil
}

// Keys returns the keys in the keyring, by number. It leaves out keys that vanish meanwhile.
func (r Keyring) Keys() (keys []Key, err error) {
	err = r.reach(func() error {
		ids, err := r.ids()
		if err != nil {
			return err
		}
		for _, id := range ids {
			if k, err := describe(id); err == nil {
				keys = append(keys, k)
			}
		}
		return nil
	})
	return keys, err
}

// IDs returns the numbers of the keys in the keyring, sorted. They suffice to notice a change.
func (r Keyring) IDs() (ids []int, err error) {
	err = r.reach(func() (err error) {
		ids, err = r.ids()
		return err
	})
	return ids, err
}

func (r Keyring) ids() ([]int, error) {
	buf := make([]byte, 4*256)
	for {
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, r.ID, buf, 0)
		switch {
		case errors.Is(err, unix.ENOKEY) || errors.Is(err, unix.EKEYREVOKED):
			return nil, fmt.Errorf("%s: %w any more", r.Name(), ErrNoKeyring) // an open keyring may vanish
		case err != nil:
			return nil, fmt.Errorf("cannot read keyring %s: %w", r.Name(), err)
		case n > 4*maxRing:
			return nil, fmt.Errorf("cannot read keyring %s: it has more than %d keys", r.Name(), maxRing)
		case n > len(buf):
			buf = make([]byte, n+4*16)
			continue
		}
		ids := make([]int, 0, n/4)
		for b := buf[:n-n%4]; len(b) > 0; b = b[4:] {
			ids = append(ids, int(int32(binary.NativeEndian.Uint32(b))))
		}
		slices.Sort(ids)
		return ids, nil
	}
}
