// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/digestd/digestd/rpmdb/pgp"
)

// TestJudgeAgreesWithVerify: a signature that was right once is judged, without its
// header, as Verify judges it by the same keys, whatever became of them.
func TestJudgeAgreesWithVerify(t *testing.T) {
	key, sub, other := rsaKey(), ecKey(packet.CurveNistP256), ecKey(packet.CurveNistP384)
	id := func(k *packet.PrivateKey) string { return fmt.Sprintf("%x", k.Fingerprint) }
	good := parse(t, cert(t, key, user("x"), subkey(sub), bound(sub, nil)))
	signed := born.Add(10 * day)
	revokedBy := func(fingerprint string, hard bool, at time.Time) pgp.Options {
		return pgp.Options{Revoked: map[string]*pgp.Revocation{fingerprint: {Hard: hard, Time: at, Reason: "elsewhere"}}}
	}
	for name, test := range map[string]struct {
		o       pgp.Options
		certs   []*pgp.Cert
		options []sigOption
		now     time.Time
		primary any // the error's type, nil if it vouches
		sub     any
	}{
		"as it was":                     {certs: good},
		"the key is gone":               {certs: parse(t, cert(t, other, user("y"))), primary: &pgp.UnknownKeyError{}, sub: &pgp.UnknownKeyError{}},
		"the key is revoked":            {certs: parse(t, cert(t, key, revokedKey(), user("x"), subkey(sub), bound(sub, nil))), primary: &pgp.RevokedError{}, sub: &pgp.RevokedError{}},
		"revoked elsewhere":             {o: revokedBy(id(key), true, today), certs: good, primary: &pgp.RevokedError{}, sub: &pgp.RevokedError{}},
		"revoked elsewhere, later":      {o: revokedBy(id(key), false, signed.Add(day)), certs: good},
		"revoked elsewhere, before":     {o: revokedBy(id(key), false, signed.Add(-day)), certs: good, primary: &pgp.RevokedError{}, sub: &pgp.RevokedError{}},
		"subkey revoked elsewhere":      {o: revokedBy(id(sub), true, today), certs: good, sub: &pgp.RevokedError{}},
		"subkey revoked":                {certs: parse(t, cert(t, key, user("x"), subkey(sub), bound(sub, nil), revokedSubkey(sub))), sub: &pgp.RevokedError{}},
		"subkey retired after":          {certs: parse(t, cert(t, key, user("x"), subkey(sub), bound(sub, nil), revokedSubkey(sub, because(packet.KeyRetired, ""), at(signed.Add(day)))))},
		"subkey retired before":         {certs: parse(t, cert(t, key, user("x"), subkey(sub), bound(sub, nil), revokedSubkey(sub, because(packet.KeyRetired, ""), at(signed.Add(-day))))), sub: &pgp.RevokedError{}},
		"subkey is not bound any more":  {certs: parse(t, cert(t, key, user("x"))), sub: &pgp.UnknownKeyError{}},
		"subkey without back signature": {certs: parse(t, cert(t, key, user("x"), subkey(sub), noBackSignature(sub))), sub: &pgp.WeakError{}},
		"no self-signature":             {certs: parse(t, cert(t, key)), primary: &pgp.WeakError{}, sub: &pgp.UnknownKeyError{}},
		"the signature lives":           {certs: good, options: []sigOption{lives(20 * day)}, now: signed.Add(19 * day)},
		"the signature has ended":       {certs: good, options: []sigOption{lives(20 * day)}, now: signed.Add(20 * day), primary: &pgp.ExpiredError{}, sub: &pgp.ExpiredError{}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.now.IsZero() {
				test.now = today
			}
			ring := test.o.NewKeyring(test.certs...)
			for of, want := range map[*packet.PrivateKey]any{key: test.primary, sub: test.sub} {
				sig := sign(t, of, append([]sigOption{at(signed)}, test.options...)...)
				once, err := pgp.NewKeyring(good...).Verify(region, signatures(sig), signed)
				if err != nil {
					t.Fatal(err)
				}
				_, verr := ring.Verify(region, signatures(sig), test.now)
				c, err := ring.Judge(pgp.Signed{Key: once.KeyFingerprint, Made: once.Created, Ends: once.Ends}, test.now)
				if reflect.TypeOf(err) != reflect.TypeOf(want) || fmt.Sprint(err) != fmt.Sprint(verr) {
					t.Errorf("key %x: judged %v, verified %v, want a %T", of.Fingerprint, err, verr, want)
				}
				if err == nil && c.Fingerprint != id(key) {
					t.Errorf("key %x vouches for %s", of.Fingerprint, c.Fingerprint)
				}
			}
		})
	}
}

// TestJudgeByAClockSetBack: what was verified once is not from the future.
func TestJudgeByAClockSetBack(t *testing.T) {
	key := rsaKey()
	ring := pgp.NewKeyring(parse(t, plain(t, key))...)
	s := pgp.Signed{Key: fmt.Sprintf("%X", key.Fingerprint), Made: today}
	if _, err := ring.Judge(s, born); err != nil {
		t.Error(err)
	}
}

// TestFutureError says from when a signature counts, to the second.
func TestFutureError(t *testing.T) {
	key := rsaKey()
	ring := pgp.NewKeyring(parse(t, plain(t, key))...)
	sig := signatures(sign(t, key, at(today.Add(day))))
	_, err := ring.Verify(region, sig, today)
	future, ok := err.(*pgp.FutureError)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if _, err := ring.Verify(region, sig, future.From); err != nil {
		t.Errorf("at %v: %v", future.From, err)
	}
	if _, err := ring.Verify(region, sig, future.From.Add(-time.Second)); err == nil {
		t.Errorf("good a second before %v", future.From)
	}
}

// TestSame: keyrings are the same that judge the same.
func TestSame(t *testing.T) {
	key, sub := rsaKey(), ecKey(packet.CurveNistP256)
	one := parse(t, cert(t, key, user("x"), subkey(sub), bound(sub, nil)))
	ring := pgp.NewKeyring(one...)
	if !ring.Same(pgp.NewKeyring(append(one, one...)...)) || !ring.Same(pgp.NewKeyring(ring.Certs()...)) {
		t.Error("the same certificate twice makes another keyring")
	}
	for name, other := range map[string]*pgp.Keyring{
		"empty":          pgp.NewKeyring(),
		"no subkey":      pgp.NewKeyring(parse(t, cert(t, key, user("x")))...),
		"revoked":        pgp.NewKeyring(parse(t, cert(t, key, revokedKey(), user("x"), subkey(sub), bound(sub, nil)))...),
		"subkey revoked": pgp.NewKeyring(parse(t, cert(t, key, user("x"), subkey(sub), bound(sub, nil), revokedSubkey(sub)))...),
		"expired keys":   pgp.Options{NoExpired: true}.NewKeyring(one...),
		"elsewhere":      pgp.Options{Revoked: map[string]*pgp.Revocation{"00": {Hard: true}}}.NewKeyring(one...),
	} {
		if ring.Same(other) || other.Same(ring) {
			t.Errorf("%s: seems the same", name)
		}
	}
}
