// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/digestlist"
)

// imageSigners are those who sign lists of images, by the names that the model has for them.
// All machines share them.
var imageSigners = sync.OnceValues(func() (map[string]*identity.Identity, error) {
	w, err := theSimWorld()
	if err != nil {
		return nil, err
	}
	signers := map[string]*identity.Identity{}
	for _, name := range []string{sim.ByBuilder, sim.ByStranger} {
		if signers[name], err = newSimIdentity(w.place); err != nil {
			return nil, err
		}
	}
	return signers, nil
})

// newSimIdentity makes a key that signs lists, and its certificate.
func newSimIdentity(place string) (*identity.Identity, error) {
	dir, err := os.MkdirTemp(place, "identity-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	found, err := identity.Files{Dir: dir}.Load(context.Background(), slog.New(slog.DiscardHandler), simStart)
	return found.Identity, err
}

// simImage is the image that a machine started from: a directory with lists, and a file with
// the certificate by which they count.
type simImage struct {
	lists, cert string
	signers     map[string]*identity.Identity
}

func newSimImage(lists, keys string) (*simImage, error) {
	signers, err := imageSigners()
	if err != nil {
		return nil, err
	}
	i := &simImage{lists: lists, cert: filepath.Join(keys, "builder.der"), signers: signers}
	return i, errors.Join(os.MkdirAll(lists, 0o755), os.MkdirAll(keys, 0o755), i.trust())
}

// builder is the certificate by which lists of the image count.
func (i *simImage) builder() *x509.Certificate { return i.signers[sim.ByBuilder].Cert }

func (i *simImage) trust() error { return os.WriteFile(i.cert, i.builder().Raw, 0o644) }

// lay writes the list of a package, which another machine has made.
func (i *simImage) lay(name string, body []byte, by string) error {
	sig, _, err := i.signers[by].Sign(body, sha256.Sum256(body))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(i.lists, name), digestlist.AppendSignature(nil, body, sig, digestlist.SigPKCS7), 0o644)
}

// body is the list of a package before it is signed, as a machine makes it that denies nothing.
func (w *simWorld) body(p sim.Package) ([]byte, error) {
	made, _ := w.bodies.LoadOrStore(p.String(), sync.OnceValues(func() ([]byte, error) {
		m, err := newSimMachine(ledger.SignNone, false, sim.History{})
		if err != nil {
			return nil, err
		}
		defer m.close()
		all := []sim.Certificate{{Key: "A"}, {Key: "B"}, {Key: "C"}}
		if err := errors.Join(m.Unsigned(true), m.Keys(all), m.Compare(sim.Installed{p})); err != nil {
			return nil, err
		}
		body, there := m.lists.All()[m.file(p)]
		if !there {
			return nil, fmt.Errorf("no list of %s", p)
		}
		return body, nil
	}))
	return made.(func() ([]byte, error))()
}

func (m *simMachine) Image(p sim.Package, by string) error {
	body, err := m.body(p)
	if err != nil {
		return err
	}
	name, err := digestlist.PackageName(digestlist.FormatTLV, m.nevras[p.String()])
	if err != nil {
		return err
	}
	return m.image.lay(name, body, by)
}

func (m *simMachine) Builder(how string) error {
	id := grounds.CertificateID(m.image.builder())
	switch how {
	case sim.BuilderRevoke:
		_, err := m.d.KeyRevoke(m.ctx(), simActor, id, "why")
		return m.after(err)
	case sim.BuilderRestore:
		_, err := m.d.KeyRestore(m.ctx(), simActor, id, "why")
		return m.after(err)
	case sim.BuilderBan:
		for _, entry := range state.TbsEntries(m.image.builder()) {
			m.banned[entry] = true
		}
	case sim.BuilderImport:
		if err := m.image.trust(); err != nil {
			return err
		}
	case sim.BuilderDrop:
		if err := os.Remove(m.image.cert); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return m.after(m.d.rooms.Reconciler.TrustChanged(m.ctx(), "simulation"))
}

// lent reports whether a list bears the signature of the image's builder.
func (m *simMachine) lent(data []byte) bool {
	return m.image != nil && m.signedBy(data, m.image.builder())
}

func (m *simMachine) Signed() map[string]string {
	if m.image == nil || m.config.Sign == ledger.SignNone {
		return nil
	}
	signed := map[string]string{}
	for file, data := range m.lists.All() {
		file = digestlist.WithoutSequence(file)
		list, known := m.shown[file]
		switch {
		case !known || strings.HasPrefix(list, sim.OwnList("")):
		case m.lent(data):
			signed[list] = sim.ByBuilder
		case m.signedBy(data, m.image.signers[sim.ByStranger].Cert):
			signed[list] = sim.ByStranger
		default:
			signed[list] = sim.ByMachine // see Astray
		}
	}
	return signed
}
