// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// RefusedError explains why the kernel refused a change, as far as its error number tells.
type RefusedError struct {
	Ring string
	Why  string
	Err  error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the kernel's %s keyring does not take it: %s (%v)", e.Ring, e.Why, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// refusal explains the errors of add_key(2), by keyring. See certs/blacklist.c and
// crypto/asymmetric_keys/restrict.c.
func refusal(ring string, err error) error {
	why := ""
	switch {
	case errors.Is(err, unix.EACCES) && ring == RingBlacklist:
		why = "it takes nothing after boot (CONFIG_SYSTEM_BLACKLIST_AUTH_UPDATE is not set)"
	case errors.Is(err, unix.EACCES):
		why = "root may not write it"
	case errors.Is(err, unix.EPERM):
		why = "adding keys is forbidden here"
	case errors.Is(err, unix.ENOKEY) && ring == RingBlacklist:
		why = "no certificate that is built into the kernel signed it"
	case errors.Is(err, unix.ENOKEY):
		why = "no certificate that the kernel trusts signed this one"
	case errors.Is(err, unix.EKEYREJECTED):
		why = "its signature is bad, or .blacklist names its signer"
	case errors.Is(err, unix.EBADMSG), errors.Is(err, unix.ENOPKG), errors.Is(err, unix.EINVAL):
		why = "it is malformed, or of a kind the kernel does not know"
	case errors.Is(err, unix.EDQUOT):
		why = "the quota of keys is used up"
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOENT):
		why = "the kernel lacks what it takes to verify by such a key"
	default:
		return fmt.Errorf("cannot add to keyring %s: %w", ring, err)
	}
	return &RefusedError{ring, why, err}
}

// AddCertificate adds an X.509 certificate (DER). If it is there already, it is replaced by
// itself.
func (r Keyring) AddCertificate(der []byte) error {
	return r.reach(func() error {
		if _, err := unix.AddKey("asymmetric", "", der, r.ID); err != nil {
			return refusal(r.Name(), err)
		}
		return nil
	})
}

// AddBlacklisted adds an entry, "bin:" or "tbs:" and a digest, with the detached PKCS#7
// signature (DER) over exactly that text.
func (r Keyring) AddBlacklisted(entry string, signature []byte) error {
	if r.Name() != RingBlacklist {
		// The kernel logs a loud warning about such a key in another keyring.
		return fmt.Errorf("cannot add to keyring %s: it is not %s", r.Name(), RingBlacklist)
	}
	if !r.Writable() {
		return refusal(r.Name(), unix.EACCES)
	}
	return r.reach(func() error {
		if _, err := unix.AddKey("blacklist", entry, signature, r.ID); err != nil {
			return refusal(r.Name(), err)
		}
		return nil
	})
}

// Unlink removes a key from the keyring. A key that is not there is no error.
func (r Keyring) Unlink(id int) error {
	return r.reach(func() error {
		_, err := unix.KeyctlInt(unix.KEYCTL_UNLINK, id, r.ID, 0, 0)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOKEY) {
			return fmt.Errorf("cannot take key %08x out of keyring %s: %w", id, r.Name(), err)
		}
		return nil
	})
}

// reach calls fn with the rights of root. The kernel's own keyrings give root these rights. An
// open keyring gives them only to processes that possess it, so reach calls fn in a thread of
// its own, whose keyring has root's user keyring.
func (r Keyring) reach(fn func() error) error {
	if !r.open() {
		return fn()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and its keyring with it
		if _, err := unix.KeyctlInt(unix.KEYCTL_LINK, unix.KEY_SPEC_USER_KEYRING, unix.KEY_SPEC_THREAD_KEYRING, 0, 0); err != nil {
			done <- fmt.Errorf("cannot reach keyring %s: %w", r.Name(), err)
			return
		}
		done <- fn()
	}()
	return <-done
}
