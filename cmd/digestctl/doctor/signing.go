// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// certificate reads what lists are signed with.
func (p *patient) certificate() (*x509.Certificate, error) {
	data, err := os.ReadFile(filepath.Join(p.conf.State, "signing.der"))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(data)
}

// validity is from when until when the signing certificate is good, and its key
// identifier: from its file, or as digestd says, whom others may ask.
func (p *patient) validity() (from, until time.Time, skid string, err error) {
	cert, err := p.certificate()
	if err == nil {
		return cert.NotBefore, cert.NotAfter, hex.EncodeToString(cert.SubjectKeyId), nil
	}
	if st, asked := p.status(); asked == nil && st.Certificate.SKI != "" {
		return time.Time{}, st.Certificate.NotAfter, st.Certificate.SKI, nil
	}
	return from, until, "", err
}

const rotate = "digestctl keys rotate --reason expires"

func lookCertificate(_ context.Context, p *patient) {
	if p.conf.Sign != "pkcs7" {
		p.skip("this machine signs no lists: sign = %q", p.conf.Sign)
		return
	}
	_, until, skid, err := p.validity()
	switch left := until.Sub(p.Now()); {
	case isMissing(err):
		p.fail("systemctl restart digestd", "there is none yet: %v", err)
	case err != nil:
		p.unseen(err)
	case left < 0:
		p.fail(rotate, "it expired at %s", until.UTC().Format(time.RFC3339))
	case left < 30*24*time.Hour:
		p.warn(rotate, "it expires at %s", until.UTC().Format(time.RFC3339))
	default:
		p.ok("key ID %s, valid until %s", skid, until.UTC().Format(time.DateOnly))
	}
}

const setClock = "timedatectl set-ntp true"

// slack is how far two clocks, or a clock and a file system, may differ.
const slack = 5 * time.Minute

// lookClock compares the clock with what cannot lie in its future.
func lookClock(_ context.Context, p *patient) {
	now := p.Now()
	late := now.Add(slack)
	seen := 0
	past := func(what string, when time.Time) {
		seen++
		if when.After(late) {
			p.fail(setClock, "the clock says %s, but %s of %s", now.UTC().Format(time.RFC3339), what, when.UTC().Format(time.RFC3339))
		}
	}
	if from, _, _, err := p.validity(); err == nil && !from.IsZero() {
		past("the certificate that signs lists is", from)
	}
	if st, err := p.status(); err == nil {
		for _, k := range st.Keys {
			if k.Created.After(late) {
				past("key "+k.Fingerprint+" is", k.Created)
			}
		}
	}
	for _, file := range []string{p.conf.Lists, filepath.Join(p.conf.State, "index.commit")} {
		if fi, err := os.Stat(file); err == nil {
			past(file+" is", fi.ModTime())
		} else if !isMissing(err) && !errors.Is(err, os.ErrPermission) {
			p.unseen(err)
		}
	}
	switch {
	case len(p.findings) > 0:
	case seen == 0:
		p.skip("there is nothing to compare it with")
	default:
		p.ok("%s", now.UTC().Format(time.RFC3339))
	}
}
