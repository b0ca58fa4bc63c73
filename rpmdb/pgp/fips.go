// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"crypto/fips140"
	"errors"
	"regexp"
)

// approved are the algorithms of keys, named as by describe, that Go's module for FIPS 140-3
// implements. A library outside of the module computes Ed448, ML-DSA and SLH-DSA.
var approved = regexp.MustCompile(`^(rsa\d+|nistp(256|384|521)|ed25519)$`)

// approve marks the keys of c that may not vouch in FIPS mode as weak.
func (c *Cert) approve() {
	weak := func(algorithm, already string) string {
		if already != "" || approved.MatchString(algorithm) {
			return already
		}
		return algorithm + " keys are not accepted in FIPS mode"
	}
	c.Weak = weak(c.Algorithm, c.Weak)
	for i := range c.Subkeys {
		c.Subkeys[i].Weak = weak(c.Subkeys[i].Algorithm, c.Subkeys[i].Weak)
	}
}

// CheckMode returns an error if this program cannot read certificates: the fingerprint of a
// version 4 certificate is a SHA-1 digest, and with GODEBUG=fips140=only SHA-1 panics.
func CheckMode() error {
	if fips140.Enforced() {
		return errors.New("cannot run with GODEBUG=fips140=only: fingerprints of OpenPGP keys are SHA-1 digests, which this setting forbids; set GODEBUG=fips140=on")
	}
	return nil
}
