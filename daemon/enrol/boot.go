// SPDX-License-Identifier: Apache-2.0

package enrol

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/store/durable"
)

// The places in which the next boot finds certificates for .ima: the kernel itself loads one
// (CONFIG_IMA_LOAD_X509), dracut's module integrity a directory of them. Both look in the
// initial file system.
const (
	bootFile = "etc/keys/x509_ima.der"
	bootDir  = "etc/keys/ima"
)

// bootName is the file in bootDir that has a certificate of this machine.
func bootName(skid string) string { return filepath.Join(bootDir, "digestd-"+skid+".der") }

// EnrolFile puts certificates where the next boot finds them, the first also where a kernel
// looks that loads only one, unless somebody else's is there. It says in e what it did and
// what is left to do.
func (en *Enroller) EnrolFile(certs []*x509.Certificate, e *api.Enrolment) error {
	if err := os.MkdirAll(en.bootPath(bootDir), 0o755); err != nil {
		return err
	}
	for _, c := range certs {
		path := en.bootPath(bootName(hex.EncodeToString(c.SubjectKeyId)))
		if err := durable.WriteFile(path, c.Raw, 0o644); err != nil {
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
		e.Left = append(e.Left, en.bootPath(bootFile)+" contains another certificate, which digestd does not replace: a kernel that loads only this file does not get digestd's")
	}
	e.Left = append(e.Left, "include it in the initial file system: "+en.rebuildAdvice(),
		"then reboot: the kernel adds it to .ima if it trusts the certificate or one that signed it")
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
	return true, durable.WriteFile(path, c.Raw, 0o644)
}

// ReplaceBootFile makes the next boot load the certificate that signs now, if an earlier
// boot loaded one of this machine.
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
	return "rebuild it with /etc/keys included"
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
