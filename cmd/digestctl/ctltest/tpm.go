// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/kernel/tpm"
)

// memoryAnchor is what the machine has of an anchor.
type memoryAnchor struct {
	on      bool
	socket  string // of the TPM of the variant "tpm"
	counter tpm.Counter
	epoch   uint64
}

// UseTPM gives the machine's variant "tpm" a TPM, by its socket, and a counter in that, which
// has a value.
func (m *Daemon) UseTPM(socket string, counter tpm.Counter, value uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.anchor.socket, m.anchor.counter, m.anchor.epoch = socket, counter, value
}

// chip has the TPM do something.
func (m *Daemon) chip(fn func(*tpm.Conn) error) error {
	ctx, cancel := context.WithTimeout(m.ctx, 20*time.Second)
	defer cancel()
	return tpm.NewDevice(m.anchor.socket).Do(ctx, fn)
}

func (m *Daemon) AnchorIdentity(context.Context) (string, error) {
	if !m.is("tpm") {
		return "", &api.Error{Code: api.Failed, Message: "the configuration asks for no anchor"}
	}
	var id tpm.Identity
	err := m.chip(func(c *tpm.Conn) (err error) {
		id, err = c.Identity()
		return err
	})
	if err != nil {
		return "", err
	}
	document, err := json.Marshal(attest.NewIdentity(id))
	return string(document), err
}

func (m *Daemon) AnchorProve(_ context.Context, challenge []byte) (string, error) {
	c, err := attest.ReadChallenge(challenge)
	var secret []byte
	if err == nil {
		err = m.chip(func(conn *tpm.Conn) (err error) {
			secret, err = conn.Activate(c)
			return err
		})
	}
	if err != nil {
		return "", api.Errorf(api.InvalidArgument, "%v", err)
	}
	document, err := json.Marshal(attest.NewProof(secret))
	return string(document), err
}
