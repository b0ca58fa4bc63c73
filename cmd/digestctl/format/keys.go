// SPDX-License-Identifier: Apache-2.0

package format

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// maxKeyFile bounds a file of keys.
const maxKeyFile = 4 << 20

// keyFiles are the keys that signatures are verified by.
type keyFiles struct {
	certs []*x509.Certificate
	pgp   []*pgp.Cert
}

// readKeys reads files of X.509 certificates, PEM or DER, and of OpenPGP ones.
func readKeys(paths []string) (*keyFiles, error) {
	k := &keyFiles{}
	for _, path := range paths {
		f, err := userfile.Open(path)
		if err != nil {
			return nil, err
		}
		data, err := userfile.ReadAtMost(f, maxKeyFile)
		f.Close()
		if err == nil {
			err = k.add(data)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read keys in %s: %w", path, err)
		}
	}
	return k, nil
}

func (k *keyFiles) add(data []byte) error {
	if found, err := digestlist.Certificates(data); err != nil || len(found) > 0 {
		k.certs = append(k.certs, found...)
		return err
	}
	if cert, err := x509.ParseCertificate(data); err == nil {
		k.certs = append(k.certs, cert)
		return nil
	}
	certs, err := pgp.ParseCerts(data)
	k.pgp = append(k.pgp, certs...)
	if len(certs) == 0 && err == nil {
		err = errors.New("it is neither an X.509 nor an OpenPGP certificate")
	}
	return err
}

// judge verifies the signature of a list.
func (k *keyFiles) judge(l userfile.List, d *describedList) {
	refuse := func(format string, args ...any) { d.Remarks = append(d.Remarks, fmt.Sprintf(format, args...)) }
	switch {
	case l.Sig == nil && len(k.certs)+len(k.pgp) > 0:
		refuse("it is not signed")
	case l.Sig == nil:
	case l.Kind == digestlist.SigPKCS7 && len(k.certs) > 0:
		cert, err := digestlist.VerifyPKCS7(l.Content, l.Sig, k.certs)
		if err != nil {
			refuse("%v", err)
			return
		}
		d.Signature.Verified = cert.Subject.String()
	case l.Kind == digestlist.SigPGP && len(k.pgp) > 0:
		if l.Format != digestlist.FormatRPM || len(l.Content) < len(header.Magic) {
			refuse("an OpenPGP signature covers a package header, which this list does not have")
			return
		}
		result, err := pgp.NewKeyring(k.pgp...).Verify(l.Content[len(header.Magic):], []header.Signature{{Tag: header.TagRSAHeader, Data: l.Sig}}, time.Now())
		if err != nil {
			refuse("%v", err)
			return
		}
		d.Signature.Verified = result.Cert.UserID
	case len(k.certs)+len(k.pgp) > 0:
		refuse("--key gave no key for a signature of kind %s", kindName(l.Kind))
	}
}

func kindName(t digestlist.SigType) string {
	switch t {
	case digestlist.SigPGP:
		return "pgp"
	case digestlist.SigPKCS7:
		return "pkcs7"
	}
	return "x509"
}

// signerOf names the signer as the signature does.
func signerOf(l userfile.List) string {
	if l.Kind != digestlist.SigPKCS7 {
		return ""
	}
	name, err := digestlist.PKCS7Signer(l.Sig)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	return name
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
