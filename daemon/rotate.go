// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
)

// identityNames are in the order in which they take over: the certificate last.
var identityNames = [...]string{signingKeyFile, signingDERFile, signingCertFile}

// completeRotation brings a change of identity to its end, wherever it was cut
// short: back if the new certificate was not in place, else forward.
func completeRotation(dir string) error {
	_, err := os.Stat(filepath.Join(dir, signingCertFile+view.NextSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		// The certificate is still a prepared one: its key goes back to it.
		for _, name := range identityNames {
			path := filepath.Join(dir, name)
			if err := os.Rename(path+view.NextSuffix, path+view.PreparedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := keepOldCertificate(dir); err != nil {
		return err
	}
	for _, name := range identityNames {
		path := filepath.Join(dir, name)
		if err := os.Rename(path+view.NextSuffix, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		failpoint.Hit("rotate", "between-files")
	}
	return store.SyncDir(dir)
}

func keepOldCertificate(dir string) error {
	data, err := readState(filepath.Join(dir, signingCertFile))
	if err != nil {
		return err
	}
	cert, err := parseCertificate(data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, view.OldDir), 0o755); err != nil {
		return err
	}
	return store.WriteFileDurably(filepath.Join(dir, view.OldDir, hex.EncodeToString(cert.SubjectKeyId)+".crt"), data, 0o644)
}

func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// oldCertificates returns the certificates that signed lists before.
func oldCertificates(dir string) (certs []*x509.Certificate, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, view.OldDir, "*.crt"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		data, err := readState(path)
		if err != nil {
			return nil, err
		}
		cert, err := parseCertificate(data)
		if err != nil {
			return nil, fmt.Errorf("cannot read old certificate %s: %w", path, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// renewIdentity lets the prepared identity, or a new one, sign from now on. What
// the old one signed stays good until the next reconciliation has signed it anew.
func (en *Enroller) renewIdentity(ctx context.Context, by api.Actor, reason string) error {
	en.rotation.Lock()
	defer en.rotation.Unlock()
	old := en.maker.Load()
	// Once the files have changed there is no way back: see first that it can be
	// recorded.
	if err := en.exec.Decide(ctx, "probe", (*ledger.Ledger).Probe); err != nil {
		return fmt.Errorf("cannot change the signing key: %w", err)
	}
	if _, err := en.prepare(ctx); err != nil {
		return err
	}
	if err := en.tryPrepared(ctx); err != nil {
		return fmt.Errorf("cannot change the signing key: %w", err)
	}
	id, err := en.identities.follow(ctx, en.now())
	if err != nil {
		return err
	}
	m := *old
	m.identity = id
	err = en.exec.Enter(ctx, "rotate", func(s *ledger.Ledger) error {
		en.maker.Store(&m)
		old.identity.key.Release()
		s.Signer = m.signer()
		s.Basis++
		s.Certificates = append([]*x509.Certificate{id.cert}, s.Certificates...)
		s.MeetSigner(id.cert, id.path)
		sum := sha256.Sum256(id.cert.Raw)
		s.Queue.Batch.SetMeta(grounds.MetaCertificate, sum[:])
		if k, known := s.Keys[old.identity.skid()]; known {
			k.Source, k.Gone = filepath.Join(en.config.State, view.OldDir, old.identity.skid()+".crt"), s.Now()
			s.SetKey(k)
		}
		s.Log.Warn("signing key changed", "old", old.identity.skid(), "new", id.skid(), "reason", reason)
		s.Event(record.Event{Kind: audit.KindSignerChanged, Key: id.skid(), Text: reason, UID: by.UID, PID: by.PID})
		s.Record()
		return nil
	})
	if err != nil && en.maker.Load().identity == id {
		en.log.Error("change of the signing key not recorded yet", "error", err)
		return nil // it has happened
	}
	return err
}

// prepare makes the identity that will sign next and returns the path of its
// certificate.
func (en *Enroller) prepare(ctx context.Context) (string, error) {
	path, err := en.identities.prepare(ctx, en.now(), en.maker.Load().identity.key.Release)
	if err != nil {
		return "", fmt.Errorf("cannot make a new signing key: %w", err)
	}
	return path, nil
}

// tryPrepared sees that the prepared identity can sign, before it takes over.
func (en *Enroller) tryPrepared(ctx context.Context) error {
	return en.identities.try(ctx, en.maker.Load().identity.key.Release)
}

func (f identityFiles) prepare(ctx context.Context, now time.Time, release func()) (string, error) {
	path := filepath.Join(f.dir, signingCertFile+view.PreparedSuffix)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		release()
		err = createIdentity(ctx, f.dir, view.PreparedSuffix, f.where, now)
	}
	return path, err
}

func (f identityFiles) follow(ctx context.Context, now time.Time) (*identity, error) {
	for _, name := range identityNames {
		path := filepath.Join(f.dir, name)
		if err := os.Rename(path+view.PreparedSuffix, path+view.NextSuffix); err != nil {
			return nil, fmt.Errorf("cannot change the signing key: %w", err)
		}
		failpoint.Hit("rotate", "before-certificate")
	}
	if err := store.SyncDir(f.dir); err != nil {
		return nil, fmt.Errorf("cannot change the signing key: %w", err)
	}
	failpoint.Hit("rotate", "after-certificate")
	id, _, err := loadIdentity(ctx, f.dir, f.where, now)
	return id, err
}

func (f identityFiles) try(ctx context.Context, release func()) error {
	var data [2][]byte
	for i, name := range []string{signingKeyFile, signingCertFile} {
		var err error
		if data[i], err = readState(filepath.Join(f.dir, name+view.PreparedSuffix)); err != nil {
			return err
		}
	}
	id, err := newIdentity(data[0], data[1], signingCertFile+view.PreparedSuffix)
	if err != nil {
		return err
	}
	defer id.key.Close()
	release()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	return id.key.Check(ctx)
}

// readySuccessor sees that lists can go on when another identity signs: one is
// prepared, it can sign, and where the kernel accepts lists by the present one it
// accepts them by that, too. Without it, a kernel that enforces would refuse all that
// lists vouch for.
func (en *Enroller) readySuccessor(ctx context.Context) error {
	if en.maker.Load().sign != "pkcs7" {
		return nil
	}
	en.rotation.Lock()
	_, err := en.prepare(ctx)
	if err == nil {
		err = en.tryPrepared(ctx)
	}
	en.rotation.Unlock()
	if err != nil {
		return err
	}
	return en.followEnrolment()
}

// revocable returns why the certificate with that key identifier must not be revoked
// now: it signs the lists, and no other can.
func (en *Enroller) revocable(ctx context.Context, skid string) error {
	if skid != en.maker.Load().identity.skid() || en.snapshot().Keys[skid].Revoked != nil {
		return nil
	}
	err := en.readySuccessor(ctx)
	if err == nil {
		return nil
	}
	refused := &api.Error{Code: api.Failed, Message: "cannot revoke the key that signs lists, for there is none to follow it: " + err.Error(),
		Advice: "prepare one: digestctl keys rotate --prepare"}
	var why *api.Error
	if errors.As(err, &why) && why.Advice != "" {
		refused.Advice = strings.TrimSuffix(why.Advice, "; then rotate") + "; then revoke"
	}
	return refused
}

// SignerRotate changes the key that signs lists, and signs them all anew. With
// prepareOnly it makes the next key and leaves it at that.
func (ad *Admin) SignerRotate(ctx context.Context, by api.Actor, prepareOnly bool, reason string) (api.Certificate, error) {
	if prepareOnly {
		ad.enroller.rotation.Lock()
		path, err := ad.enroller.prepare(ctx)
		ad.enroller.rotation.Unlock()
		if err != nil {
			return api.Certificate{}, err
		}
		data, err := readState(path)
		if err != nil {
			return api.Certificate{}, err
		}
		cert, err := parseCertificate(data)
		if err != nil {
			return api.Certificate{}, err
		}
		return describeCertificate(cert, path), nil
	}
	if ad.maker.Load().sign != "pkcs7" {
		return api.Certificate{}, api.Errorf(api.InvalidArgument, "lists are not signed by this machine's key: sign = %q", ad.maker.Load().sign)
	}
	err := ad.enroller.readySuccessor(ctx)
	if err == nil {
		err = ad.enroller.renewIdentity(ctx, by, reason)
	}
	if err != nil {
		return api.Certificate{}, err
	}
	if _, err := os.Stat(ad.enroller.bootPath(bootFile)); err == nil {
		if _, err := ad.enroller.placeBootFile(ad.maker.Load().identity.cert); err != nil {
			ad.log.Error("certificate to load at boot not replaced", "error", err)
		}
	}
	if _, err := ad.reconciler.runSync(ctx, "the signing key changed", func(string, int, int) {}); err != nil {
		// The key has changed; status says what keeps lists from being signed by it.
		ad.log.Error("sync failed", "reason", "the signing key changed", "error", err)
	}
	id := ad.maker.Load().identity
	return describeCertificate(id.cert, id.path), nil
}
