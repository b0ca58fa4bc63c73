// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store/record"
)

// useKernel marks what is in the kernel's keyrings and nothing of ours.
const useKernel = api.UseKernel

// outOfReach passes over errors that are no news: containers keep keys from those
// in them, and kernels lack keyrings.
func outOfReach(err error) error {
	if errors.Is(err, kernel.ErrNoKeys) || errors.Is(err, kernel.ErrNoKeyring) {
		return nil
	}
	return err
}

// kernelKeys is what the kernel's keyrings hold, by key identifier or entry.
type kernelKeys struct {
	keys map[string]api.Key
	err  error
}

// readKernelKeys asks the kernel for all keys that have a say in lists. A key in
// several keyrings is one.
func (q *Query) readKernelKeys() kernelKeys {
	out := kernelKeys{keys: map[string]api.Key{}}
	found, err := q.keyrings.FindAll(kernel.Rings()...)
	if out.err = err; err != nil {
		return out
	}
	kinds := q.keyrings.Kinds()
	for _, ring := range found {
		keys, err := ring.Keys()
		if err != nil {
			out.err = errors.Join(out.err, err)
		}
		for _, k := range keys {
			out.add(ring.Name(), k, kinds)
		}
	}
	for _, entry := range failpoint.Blacklisted() {
		out.add(kernel.RingBlacklist, kernel.Key{Type: "blacklist", Description: entry}, nil)
	}
	return out
}

func (kk *kernelKeys) add(ring string, k kernel.Key, kinds map[int]string) {
	subject, id, ok := k.Certificate()
	switch {
	case ok:
	case k.Type == "blacklist":
		id = k.Description
	default:
		return
	}
	out, known := kk.keys[id]
	if !known {
		out = api.Key{Fingerprint: id, Use: useKernel, Owner: subject, Algorithm: cmp.Or(k.Algorithm(), kinds[k.ID]), State: api.KeyTrusted}
		if k.Type == "blacklist" {
			out.Algorithm = grounds.DigestAlgorithm(id)
		}
	}
	if !slices.Contains(out.Keyrings, ring) {
		out.Keyrings = append(out.Keyrings, ring)
	}
	out.Source = "kernel " + strings.Join(out.Keyrings, ", ")
	if ring == kernel.RingBlacklist {
		out.State, out.RevokedBy, out.RevokedReason = api.KeyRevoked, view.SourceKernel, "named in "+view.SourceKernel
	}
	kk.keys[id] = out
}

// merge adds what the kernel says of our keys to them, and returns what it has
// besides, sorted.
func (kk *kernelKeys) merge(keys []api.Key) []api.Key {
	for i, k := range keys {
		if there, ok := kk.keys[k.Fingerprint]; ok {
			keys[i].Keyrings = there.Keyrings
			delete(kk.keys, k.Fingerprint)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(kk.keys)) {
		keys = append(keys, kk.keys[id])
	}
	return keys
}

// signerRings returns the keyrings by which IMA verifies lists: .ima, or where
// the kernel has none, the open one.
func (en *Enroller) signerRings() ([]kernel.Keyring, error) {
	return en.keyrings.FindAll(kernel.RingIMA, kernel.RingIMAOpen)
}

// keyIn returns the numbers of the certificate in a keyring.
func keyIn(ring kernel.Keyring, skid string) (ids []int, err error) {
	keys, err := ring.Keys()
	for _, k := range keys {
		if _, id, ok := k.Certificate(); ok && id == skid {
			ids = append(ids, k.ID)
		}
	}
	return ids, outOfReach(err)
}

// leaving is where a revoked certificate was.
type leaving struct {
	rings []kernel.Keyring
	boot  bool
}

// leaveKernel takes the certificates of this machine that are revoked out of the
// kernel's keyring, and away from where the next boot would find them. It is done
// at every look at the keys, so that what was cut short, or put back, is done.
func (en *Enroller) leaveKernel(ctx context.Context) (left leaving) {
	var revoked []record.Key
	for _, k := range en.snapshot().Keys {
		if k.Use == view.UseLists && k.Revoked != nil {
			revoked = append(revoked, k)
		}
	}
	if len(revoked) == 0 {
		return left
	}
	failpoint.Hit("unenrol", "before")
	var errs []error
	rings, err := en.signerRings()
	errs = append(errs, outOfReach(err))
	advice := ""
	for _, k := range revoked {
		for _, ring := range rings {
			ids, err := keyIn(ring, k.Fingerprint)
			errs = append(errs, err)
			for _, id := range ids {
				if err := ring.Unlink(id); err != nil {
					errs = append(errs, err)
					continue
				}
				left.rings = append(left.rings, ring)
				en.log.Warn("revoked certificate taken out of the kernel", "keyring", ring.Name(), "key", k.Fingerprint)
			}
		}
		files, err := en.removeBootFiles(k.Fingerprint)
		errs = append(errs, err)
		if len(files) > 0 {
			left.boot, advice = true, "the initial file system may still have it: "+en.rebuildAdvice()
			en.log.Warn("revoked certificate is not loaded at boot any more", "removed", strings.Join(files, ", "), "key", k.Fingerprint)
		}
	}
	failpoint.Hit("unenrol", "after")
	en.exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		if err := errors.Join(errs...); err != nil {
			s.Problem("revoked-enrolled", api.SeverityError, "a revoked certificate of this machine may still be in the kernel: "+err.Error(),
				"mend the cause, then: digestctl sync; or reboot")
		} else {
			s.Solved("revoked-enrolled")
		}
		if advice != "" {
			s.Problem("revoked-at-boot", api.SeverityNotice, "a revoked certificate of this machine was loaded at boot; it is not put there any more", advice)
		}
		s.Show()
		return nil
	})
	return left
}

// kernelLoop follows the kernel's .blacklist: by its notifications, or else by
// looking, if it can change.
func (rc *Reconciler) kernelLoop(ctx context.Context) error {
	changed := func() {
		if err := rc.keys.refreshKeys(ctx, true); err != nil && ctx.Err() == nil {
			rc.log.Warn("keyring not refreshed", "error", err)
		}
		rc.wantSync("the kernel's .blacklist changed")
	}
	ring, err := rc.keyrings.Find(kernel.RingBlacklist)
	if err == nil {
		switch err := ring.Watch(ctx, changed); {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, kernel.ErrNoNotifications):
			rc.log.Warn("kernel does not tell of changes to .blacklist", "error", err)
		}
	}
	pace, auto, err := rc.config.Poll()
	if err != nil || pace == 0 || auto && !ring.Writable() {
		return err // nothing comes to it once the machine is up
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for stamp := rc.blacklistStamp(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if now := rc.blacklistStamp(); now != stamp {
			stamp = now
			changed()
		}
	}
}

// blacklistStamp is another one whenever .blacklist is.
func (rc *Reconciler) blacklistStamp() string {
	ring, err := rc.keyrings.Find(kernel.RingBlacklist)
	if err != nil {
		return strings.Join(failpoint.Blacklisted(), " ")
	}
	ids, err := ring.IDs()
	return fmt.Sprint(ids, err, failpoint.Blacklisted())
}

// tellOfEnrolment warns when the kernel verifies lists but not by the certificate
// that signs them.
func (en *Enroller) tellOfEnrolment(ctx context.Context) {
	m := en.maker.Load()
	if m.sign != "pkcs7" {
		return
	}
	skid, others := m.identity.skid(), false
	in := ""
	rings, err := en.signerRings()
	err = outOfReach(err)
	for _, ring := range rings {
		keys, kerr := ring.Keys()
		err = errors.Join(err, outOfReach(kerr))
		for _, k := range keys {
			_, id, _ := k.Certificate()
			if id == skid {
				in = ring.Name()
			}
			others = others || id != skid && en.isOwn(id)
		}
	}
	cache := en.features().DigestCache == kernel.Yes
	en.exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		switch {
		case in != "" || len(rings) == 0 && !cache:
			s.Solved("not-enrolled")
		case err == nil && (others || cache):
			s.Problem("not-enrolled", api.SeverityWarning, "the kernel does not know the certificate that signs the lists, "+skid,
				"see how the kernel comes to know it: digestctl keys enrol --help")
		}
		s.Show()
		return nil
	})
}

// isOwn reports whether a certificate of this machine has that key identifier.
func (en *Enroller) isOwn(skid string) bool {
	for _, c := range en.snapshot().Certificates {
		if hex.EncodeToString(c.SubjectKeyId) == skid {
			return true
		}
	}
	return false
}
