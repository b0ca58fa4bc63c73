// SPDX-License-Identifier: Apache-2.0

package tpm_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/tokentest"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/kernel/tpm/tpmtest"
)

const index = 0x0181d1e5

// newCounter returns a counter that no TPM has yet, and its mark.
func newCounter(t *testing.T) (c tpm.Counter, mark []byte) {
	t.Helper()
	c.Index, c.Auth, mark = index, tpm.NewSecret(), tpm.NewSecret()
	var err error
	if c.Name, err = tpm.CounterName(index, mark); err != nil {
		t.Fatal(err)
	}
	return c, mark
}

// TestCounter: a counter rises by one, keeps its value over a reset, and a new one in the same TPM
// begins above it.
func TestCounter(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	c, mark := newCounter(t)
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) error {
		if _, _, err := conn.NameAt(index, mark); !errors.Is(err, tpm.ErrNoCounter) {
			t.Errorf("nothing is there: %v", err)
		}
		if err := conn.Define(nil, index, c.Auth, mark); err != nil {
			return err
		}
		if _, err := conn.ReadCounter(c); err == nil {
			t.Error("a counter without a value was read")
		}
		if err := conn.Define(nil, index, c.Auth, mark); !errors.Is(err, tpm.ErrTaken) {
			t.Errorf("defined twice: %v", err)
		}
		// Before the first increment its Name says that it has no value.
		name, marked, err := conn.NameAt(index, mark)
		if err != nil || !marked || bytes.Equal(name, c.Name) {
			t.Errorf("%x, marked %v, %v", name, marked, err)
		}
		return conn.IncrementCounter(tpm.Counter{Index: index, Name: name, Auth: c.Auth})
	})
	var first uint64
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) (err error) {
		name, marked, err := conn.NameAt(index, mark)
		if err != nil || !marked || !bytes.Equal(name, c.Name) {
			t.Errorf("%x, marked %v, %v; want the Name %x", name, marked, err, c.Name)
		}
		if first, err = conn.ReadCounter(c); err != nil {
			return err
		}
		return conn.IncrementCounter(c)
	})
	chip.Stop()
	chip.Start()
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) error {
		if now, err := conn.ReadCounter(c); err != nil || now != first+1 {
			t.Errorf("%d after %d, %v", now, first, err)
		}
		wrong := c
		wrong.Auth = tpm.NewSecret()
		for range 40 { // more than a lockout takes
			if _, err := conn.ReadCounter(wrong); !errors.Is(err, tpm.ErrAuth) {
				t.Fatalf("another secret: %v", err)
			}
		}
		if err := conn.IncrementCounter(wrong); !errors.Is(err, tpm.ErrAuth) {
			t.Fatalf("another secret: %v", err)
		}
		wrong.Auth = nil
		if err := conn.IncrementCounter(wrong); !errors.Is(err, tpm.ErrAuth) {
			t.Fatalf("no secret: %v", err)
		}
		if now, err := conn.ReadCounter(c); err != nil || now != first+1 {
			t.Errorf("%d after wrong secrets, %v", now, err)
		}
		return conn.Undefine(nil, index)
	})
	again, mark := newCounter(t)
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) error {
		if err := conn.Undefine(nil, index); !errors.Is(err, tpm.ErrNoCounter) {
			t.Errorf("removed twice: %v", err)
		}
		if err := conn.Define(nil, index, again.Auth, mark); err != nil {
			return err
		}
		name, _, _ := conn.NameAt(index, mark)
		if err := conn.IncrementCounter(tpm.Counter{Index: index, Name: name, Auth: again.Auth}); err != nil {
			return err
		}
		if now, err := conn.ReadCounter(again); err != nil || now <= first+1 {
			t.Errorf("a new counter begins at %d, the one before had %d, %v", now, first+1, err)
		}
		return nil
	})
}

// TestOwner: to make and remove a counter takes the owner's password, to use it does not.
func TestOwner(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	c, mark := newCounter(t)
	owner := []byte("secret of the owner")
	tpmtest.Do(t, chip.Socket, tpmtest.SetOwner(string(owner)))
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) error {
		for _, wrong := range []string{"", "wrong"} {
			if err := conn.Define([]byte(wrong), index, c.Auth, mark); !errors.Is(err, tpm.ErrOwner) {
				t.Errorf("password %q: %v", wrong, err)
			}
		}
		if err := conn.Define(owner, index, c.Auth, mark); err != nil {
			return err
		}
		name, _, _ := conn.NameAt(index, mark)
		if err := conn.IncrementCounter(tpm.Counter{Index: index, Name: name, Auth: c.Auth}); err != nil {
			return err
		}
		if err := conn.Undefine(nil, index); !errors.Is(err, tpm.ErrOwner) {
			t.Errorf("removed without the password: %v", err)
		}
		return conn.Undefine(owner, index)
	})
}

// TestFull: what has no room is told from other errors, and leaves nothing behind.
func TestFull(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) error {
		if err := tpmtest.Fill(conn); err != nil {
			return err
		}
		c, mark := newCounter(t)
		if err := conn.Define(nil, index, c.Auth, mark); !errors.Is(err, tpm.ErrFull) {
			t.Errorf("a TPM without room: %v", err)
		}
		if err := conn.Undefine(nil, 0x01810000); err != nil {
			return err
		}
		return conn.Define(nil, index, c.Auth, mark)
	})
}

// TestLockout: a TPM that takes no password which it guards against guessing goes on with
// the counter.
func TestLockout(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	c, mark := newCounter(t)
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) error {
		if err := tpmtest.LockOut(conn); err != nil {
			return err
		}
		if err := conn.Define(nil, index, c.Auth, mark); err != nil {
			return err
		}
		name, _, _ := conn.NameAt(index, mark)
		if err := conn.IncrementCounter(tpm.Counter{Index: index, Name: name, Auth: c.Auth}); err != nil {
			return err
		}
		if _, err := conn.ReadCounter(c); err != nil {
			return err
		}
		_, err := conn.Certify(c, []byte("nonce"))
		return err
	})
}

// TestDeadline: a TPM that does not answer holds up nobody, and is not asked by many.
func TestDeadline(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	device := tpm.NewDevice(chip.Socket)
	ask := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		return device.Do(ctx, func(conn *tpm.Conn) error { return conn.FlushAll() })
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	chip.Hang()
	if err := ask(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a TPM that hangs: %v", err)
	}
	chip.Wake()
	for range 100 {
		if ask() == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the TPM is back, and is not used")
}

// TestCertify: the attestation key is the same each time, also after a reset, and what it signs
// verifies.
func TestCertify(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	c, mark := newCounter(t)
	var first, second tpm.Certificate
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) (err error) {
		if err := conn.Define(nil, index, c.Auth, mark); err != nil {
			return err
		}
		name, _, _ := conn.NameAt(index, mark)
		if err := conn.IncrementCounter(tpm.Counter{Index: index, Name: name, Auth: c.Auth}); err != nil {
			return err
		}
		first, err = conn.Certify(c, []byte("one"))
		return err
	})
	chip.Stop()
	chip.Start()
	var value uint64
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) (err error) {
		if value, err = conn.ReadCounter(c); err == nil {
			second, err = conn.Certify(c, []byte("two"))
		}
		return err
	})
	if !bytes.Equal(first.Key, second.Key) {
		t.Error("the attestation key is another after a reset")
	}
	got, err := second.Verify([]byte("two"))
	if err != nil || got.Value != value || !bytes.Equal(got.Name, c.Name) {
		t.Errorf("%+v, %v; want %d, %x", got, err, value, c.Name)
	}
	if _, err := second.Verify([]byte("one")); err == nil {
		t.Error("a certificate for other data verifies")
	}
	for i := range second.Attest {
		forged := second
		forged.Attest = bytes.Clone(second.Attest)
		forged.Attest[i] ^= 1
		if _, err := forged.Verify([]byte("two")); err == nil {
			t.Fatalf("byte %d changed, and it verifies", i)
		}
	}
}

// TestSecrets: secrets work whatever their bytes are, and one that go-tpm would cut is refused.
func TestSecrets(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) error {
		for range 50 {
			c, mark := newCounter(t)
			if len(c.Auth) != tpm.SecretSize || bytes.IndexByte(c.Auth, 0) >= 0 {
				t.Fatalf("secret %x", c.Auth)
			}
			if err := conn.Define(nil, index, c.Auth, mark); err != nil {
				return err
			}
			name, _, _ := conn.NameAt(index, mark)
			if err := conn.IncrementCounter(tpm.Counter{Index: index, Name: name, Auth: c.Auth}); err != nil {
				t.Fatalf("secret %x: %v", c.Auth, err)
			}
			if err := conn.Undefine(nil, index); err != nil {
				return err
			}
		}
		c, mark := newCounter(t)
		c.Auth[16] = 0
		if err := conn.Define(nil, index, c.Auth, mark); err == nil {
			t.Error("a secret that go-tpm would cut was taken")
		}
		return nil
	})
}

func TestParseCounterPlace(t *testing.T) {
	for where, want := range map[string]tpm.CounterPlace{
		"tpm:":                                  {Device: "/dev/tpmrm0", Index: index},
		"tpm:device=/dev/tpm0":                  {Device: "/dev/tpm0", Index: index},
		"tpm:index=0x01800001":                  {Device: "/dev/tpmrm0", Index: 0x01800001},
		"tpm:device=/run/s;index=0x01bfffff":    {Device: "/run/s", Index: 0x01bfffff},
		"tpm":                                   {},
		"off":                                   {},
		"tpm:index=0x01c00002":                  {},
		"tpm:index=5":                           {},
		"tpm:index=0x01800001;index=0x01800002": {},
		"tpm:device=relative":                   {},
		"tpm:what=1":                            {},
		"tpm:;":                                 {},
	} {
		got, err := tpm.ParseCounterPlace(where)
		if (err == nil) != (want != tpm.CounterPlace{}) || err == nil && got != want {
			t.Errorf("%q: %+v, %v; want %+v", where, got, err, want)
		}
	}
}
