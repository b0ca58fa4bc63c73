// SPDX-License-Identifier: Apache-2.0

package anchor

import (
	"bytes"
	"context"
	"errors"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/kernel/tpm"
)

// chip is a TPM.
type chip struct {
	*tpm.Device
	endorsement string // file with the password of its endorsement hierarchy, "" for none
}

// doEndorsed is Do for what needs the endorsement hierarchy.
func (t chip) doEndorsed(ctx context.Context, fn func(*tpm.Conn) error) error {
	password, err := readPassword(t.endorsement)
	if err != nil {
		return err
	}
	return t.Do(ctx, func(conn *tpm.Conn) error {
		conn.Endorsement = password
		return fn(conn)
	})
}

func (t chip) Read(ctx context.Context, c tpm.Counter) (name []byte, value uint64, err error) {
	err = t.Do(ctx, func(conn *tpm.Conn) error {
		if name, _, err = conn.NameAt(c.Index, nil); err != nil || !bytes.Equal(name, c.Name) {
			return err
		}
		value, err = conn.ReadCounter(c)
		return err
	})
	return name, value, err
}

func (t chip) Increment(ctx context.Context, c tpm.Counter) error {
	return t.Do(ctx, func(conn *tpm.Conn) error { return conn.IncrementCounter(c) })
}

func (t chip) Certify(ctx context.Context, c tpm.Counter, data []byte) (cert tpm.Certificate, err error) {
	err = t.doEndorsed(ctx, func(conn *tpm.Conn) error {
		cert, err = conn.Certify(c, data)
		return err
	})
	return cert, err
}

func (t chip) Identity(ctx context.Context) (id tpm.Identity, err error) {
	err = t.doEndorsed(ctx, func(conn *tpm.Conn) error {
		id, err = conn.Identity()
		return err
	})
	return id, err
}

func (t chip) Activate(ctx context.Context, c tpm.Credential) (secret []byte, err error) {
	err = t.doEndorsed(ctx, func(conn *tpm.Conn) error {
		secret, err = conn.Activate(c)
		return err
	})
	return secret, err
}

func (t chip) Define(ctx context.Context, owner []byte, c tpm.Counter, mark []byte) error {
	return t.Do(ctx, func(conn *tpm.Conn) error { return conn.Define(owner, c.Index, c.Auth, mark) })
}

func (t chip) Begin(ctx context.Context, c tpm.Counter, mark []byte) (value uint64, err error) {
	err = t.Do(ctx, func(conn *tpm.Conn) error {
		name, _, err := conn.NameAt(c.Index, mark)
		if err == nil {
			// Its name changes with the first value.
			err = conn.IncrementCounter(tpm.Counter{Index: c.Index, Name: name, Auth: c.Auth})
		}
		if err == nil {
			failpoint.Hit("bind", "after-increment")
			value, err = conn.ReadCounter(c)
		}
		return err
	})
	return value, err
}

func (t chip) Remove(ctx context.Context, owner []byte, c tpm.Counter, mark []byte) error {
	return t.Do(ctx, func(conn *tpm.Conn) error {
		name, marked, err := conn.NameAt(c.Index, mark)
		switch {
		case errors.Is(err, tpm.ErrNoCounter):
			return nil
		case err != nil:
			return err
		case !marked && !bytes.Equal(name, c.Name):
			return tpm.ErrTaken
		}
		return conn.Undefine(owner, c.Index)
	})
}
