// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// owner is somebody with an OpenPGP key that has a signing subkey.
type owner struct{ *openpgp.Entity }

// clock is a configuration of the OpenPGP library as of a time.
func clock(at time.Time) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return at }}
}

func newOwner(t *testing.T, name string) owner {
	t.Helper()
	born := clock(noon.AddDate(-1, 0, 0))
	e, err := openpgp.NewEntity(name, "", "", born)
	if err != nil {
		t.Fatal(err)
	}
	e.Subkeys = nil
	if err := e.AddSigningSubkey(born); err != nil {
		t.Fatal(err)
	}
	return owner{e}
}

func (o owner) print() string  { return hex.EncodeToString(o.PrimaryKey.Fingerprint) }
func (o owner) subkey() string { return hex.EncodeToString(o.Subkeys[0].PublicKey.Fingerprint) }

func (o owner) write(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := o.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readCerts(t *testing.T, data []byte) []*pgp.Cert {
	t.Helper()
	certs, err := pgp.ParseCerts(data)
	if err != nil && len(certs) == 0 {
		t.Fatal(err)
	}
	for _, c := range certs {
		c.Source = "keys.d/" + c.UserID
	}
	return certs
}

// certs is the certificate as the stores of keys have it.
func (o owner) certs(t *testing.T) []*pgp.Cert { t.Helper(); return readCerts(t, o.write(t)) }

// held is the certificate with a revocation of a form that cannot be verified, by somebody else.
func (o owner) held(t *testing.T) []*pgp.Cert {
	t.Helper()
	var key bytes.Buffer
	if err := o.PrimaryKey.Serialize(&key); err != nil {
		t.Fatal(err)
	}
	body := binary.BigEndian.AppendUint32([]byte{3, 5, byte(packet.SigTypeKeyRevocation)}, uint32(noon.Unix()))
	body = append(binary.BigEndian.AppendUint64(body, o.PrimaryKey.KeyId+1), 1, 8, 0, 0, 0, 8, 0xff)
	all := append(key.Bytes(), append([]byte{0xc2, byte(len(body))}, body...)...)
	return readCerts(t, append(all, o.write(t)[key.Len():]...))
}
