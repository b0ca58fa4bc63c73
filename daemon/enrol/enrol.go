// SPDX-License-Identifier: Apache-2.0

// Package enrol keeps the key that signs lists in use, changes it, and brings its
// certificate to where the kernel looks for it.
package enrol

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store"
)

// Enroller keeps the key that signs lists, and what the kernel knows of its certificate.
type Enroller struct {
	*host.Host
	Identities identity.Identities
	rotation   sync.Mutex                  // one change of the signing key at a time
	Unsigned   chan struct{}               // the signing key cannot be used
	Refresh    func(context.Context) error // reads the keys anew, which replaces a revoked one
}

// Where the next boot finds certificates for .ima: the kernel itself loads one
// (CONFIG_IMA_LOAD_X509), dracut's module integrity a folder of them. Both look
// in the initial file system.
const (
	bootFile   = "etc/keys/x509_ima.der"
	bootFolder = "etc/keys/ima"
)

// bootName is the file in bootFolder that has a certificate of this machine.
func bootName(skid string) string { return filepath.Join(bootFolder, "digestd-"+skid+".der") }

// Enrollable are the certificate that signs and the one prepared to, with the
// files that hold them as keyctl and mokutil want them.
func (en *Enroller) Enrollable() (certs []*x509.Certificate, files []string, err error) {
	en.rotation.Lock()
	defer en.rotation.Unlock()
	dir := en.Config.State
	certs, files = []*x509.Certificate{en.Builder.Load().Identity.Cert}, []string{filepath.Join(dir, identity.DERFile)}
	next, err := identity.ReadCertificate(filepath.Join(dir, identity.CertFile+view.PreparedSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return certs, files, nil
	}
	if err == nil {
		certs, files = append(certs, next), append(files, filepath.Join(dir, identity.DERFile+view.PreparedSuffix))
	}
	return certs, files, err
}

// EnrolIMA adds certificates to the keyring by which IMA verifies.
func (en *Enroller) EnrolIMA(certs []*x509.Certificate, e *api.Enrolment) error {
	rings, err := en.signerRings()
	if err != nil {
		return err
	}
	if len(rings) == 0 {
		return &api.Error{Code: api.Failed, Message: "the kernel has no .ima keyring (CONFIG_INTEGRITY_TRUSTED_KEYRING)",
			Advice: "such a kernel verifies by a keyring _ima in root's session: make one at boot, keyctl newring _ima @u, before the first list is read"}
	}
	ring := rings[0]
	for _, c := range certs {
		if err := ring.AddCertificate(c.Raw); err != nil {
			return &api.Error{Code: api.Failed, Message: err.Error(), Advice: en.enrolAdvice(ring)}
		}
		e.Done = append(e.Done, fmt.Sprintf("certificate %x is in the kernel's %s keyring", c.SubjectKeyId, ring.Name()))
	}
	// What the kernel refused for want of the certificate it looks at again then.
	var names []string
	for _, l := range en.Snapshot().Entries {
		if l.Active() {
			names = append(names, l.Name)
		}
	}
	if err := en.Dir.Announce(names); err != nil {
		en.Logger.Warn("lists not announced to the kernel", "error", err)
	}
	e.Left = append(e.Left, "the kernel forgets it with the next boot: digestctl keys enrol --file has it loaded then")
	return nil
}

func (en *Enroller) enrolAdvice(ring kernel.Keyring) string {
	if ring.Name() != kernel.RingIMA {
		return "see who owns the keyring: keyctl rdescribe; then try again"
	}
	return "the kernel takes what a certificate signed that it trusts already: have the machine's owner trust this one " +
		"(digestctl keys enrol --mok), or have an authority that the kernel trusts make a certificate for the same key (" +
		requestAdvice(en.Builder.Load().Identity.KeyPath()) + "), put it in the place of signing.crt and enrol again"
}

// EnrolFile puts certificates where the next boot finds them.
func (en *Enroller) EnrolFile(certs []*x509.Certificate, e *api.Enrolment) error {
	if err := os.MkdirAll(en.bootPath(bootFolder), 0o755); err != nil {
		return err
	}
	for _, c := range certs {
		path := en.bootPath(bootName(hex.EncodeToString(c.SubjectKeyId)))
		if err := store.WriteFileDurably(path, c.Raw, 0o644); err != nil {
			return err
		}
		e.Done = append(e.Done, "wrote "+path)
	}
	switch placed, err := en.placeBootFile(certs[0]); {
	case err != nil:
		return err
	case placed:
		e.Done = append(e.Done, "wrote "+en.bootPath(bootFile))
	default:
		e.Left = append(e.Left, en.bootPath(bootFile)+" has another certificate and stays as it is: a kernel that loads only this file does not find ours")
	}
	e.Left = append(e.Left, "have it in the initial file system: "+en.rebuildAdvice(),
		"then reboot: the kernel takes it into .ima if a certificate that it trusts signed it, or is it")
	return nil
}

// placeBootFile has the kernel itself load a certificate, unless the file for that
// is somebody else's.
func (en *Enroller) placeBootFile(c *x509.Certificate) (placed bool, err error) {
	path := en.bootPath(bootFile)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && !en.isOwnDER(old) {
		return false, nil
	}
	return true, store.WriteFileDurably(path, c.Raw, 0o644)
}

// ReplaceBootFile has the kernel itself load the certificate that signs now, where it
// loaded one of ours before.
func (en *Enroller) ReplaceBootFile() {
	if _, err := os.Stat(en.bootPath(bootFile)); err != nil {
		return
	}
	if _, err := en.placeBootFile(en.Builder.Load().Identity.Cert); err != nil {
		en.Logger.Error("certificate to load at boot not replaced", "error", err)
	}
}

func (en *Enroller) bootPath(name string) string { return filepath.Join(en.Config.Root, name) }

// isOwnDER reports whether data is a certificate that signs or signed here.
func (en *Enroller) isOwnDER(data []byte) bool {
	for _, c := range en.Snapshot().Certificates {
		if bytes.Equal(c.Raw, data) {
			return true
		}
	}
	return false
}

// rebuildAdvice says how this machine makes its initial file system.
func (en *Enroller) rebuildAdvice() string {
	for _, tool := range []struct{ program, advice string }{
		{"usr/bin/dracut", "dracut --force --add integrity"},
		{"usr/sbin/update-initramfs", "update-initramfs -u, with a hook in /etc/initramfs-tools/hooks that copies /etc/keys"},
		{"usr/bin/mkinitcpio", "mkinitcpio -P, with /etc/keys among FILES"},
	} {
		if _, err := os.Stat(en.bootPath(tool.program)); err == nil {
			return tool.advice
		}
	}
	return "make it anew with /etc/keys in it"
}

// removeBootFiles takes away what would have the next boot load a certificate.
func (en *Enroller) removeBootFiles(skid string) (removed []string, err error) {
	path := en.bootPath(bootName(skid))
	if err = os.Remove(path); err == nil {
		removed = append(removed, path)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	single := en.bootPath(bootFile)
	data, rerr := os.ReadFile(single)
	if rerr != nil {
		return removed, err
	}
	if cert, perr := x509.ParseCertificate(data); perr == nil && hex.EncodeToString(cert.SubjectKeyId) == skid && en.isOwnDER(data) {
		rerr = os.Remove(single)
		if rerr == nil {
			removed = append(removed, single)
		}
		err = errors.Join(err, rerr)
	}
	return removed, err
}

// followEnrolment has the kernel know the next certificate as it knows the one
// that signs: in its keyring now, and at boot. It fails when lists by the next
// one would not be accepted where those by this one are.
func (en *Enroller) followEnrolment() error {
	skid := en.Builder.Load().Identity.SKI()
	certs, _, err := en.Enrollable()
	if err != nil || len(certs) < 2 {
		return err
	}
	next := certs[1]
	rings, err := en.signerRings()
	if OutOfReach(err) != nil {
		return err
	}
	for _, ring := range rings {
		ids, err := KeyIn(ring, skid)
		if err == nil && len(ids) > 0 {
			err = ring.AddCertificate(next.Raw)
		}
		if err != nil {
			return &api.Error{Code: api.Failed, Message: "the kernel would not accept lists by the next certificate: " + err.Error(),
				Advice: en.enrolAdvice(ring) + "; then rotate"}
		}
	}
	if _, err := os.Stat(en.bootPath(bootName(skid))); err != nil {
		return nil
	}
	return store.WriteFileDurably(en.bootPath(bootName(hex.EncodeToString(next.SubjectKeyId))), next.Raw, 0o644)
}

// Replace does for the certificate that replaced a revoked one what was
// done for that: in the keyrings it was in, and at boot if it was loaded there.
func (en *Enroller) Replace(ctx context.Context, left leaving) {
	c := en.Builder.Load().Identity.Cert
	var errs []error
	for _, ring := range left.Rings {
		errs = append(errs, ring.AddCertificate(c.Raw))
	}
	if left.Boot {
		var e api.Enrolment
		errs = append(errs, en.EnrolFile([]*x509.Certificate{c}, &e))
	}
	err := errors.Join(errs...)
	if err == nil {
		return
	}
	en.Logger.Error("new certificate not enrolled", "error", err)
	en.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Problem("not-enrolled", api.SeverityWarning, "the kernel does not know the certificate that signs the lists now: "+err.Error(),
			"see how the kernel comes to know it: digestctl keys enrol --help")
		s.Show()
		return nil
	})
}
