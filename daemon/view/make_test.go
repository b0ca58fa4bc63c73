// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// born is when keys were made, today when they are looked at.
var (
	born  = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	today = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const day = 24 * time.Hour

// change is what makes an entry differ from an active list without files.
type change func(e *view.Entry)

// entry is a list of the package that text names.
func entry(t *testing.T, text string, changes ...change) *view.Entry {
	t.Helper()
	pkg, err := nevra.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	e := &view.Entry{List: record.List{Name: "tlv-" + text, State: record.Active, Package: pkg}, Refs: &view.Refs{}}
	for _, c := range changes {
		c(e)
	}
	return e
}

// file adds a path and a content to a list.
func file(path string, digest []byte) change {
	return func(e *view.Entry) {
		e.Files++
		e.Refs.Paths = append(e.Refs.Paths, view.PathRef([]byte(path)))
		e.Refs.Digests = append(e.Refs.Digests, view.DigestRef(digest))
		slices.Sort(e.Refs.Paths)
		slices.Sort(e.Refs.Digests)
	}
}

func named(name string) change           { return func(e *view.Entry) { e.Name = name } }
func in(state record.State) change       { return func(e *view.Entry) { e.State = state } }
func reason(r policy.Reason) change      { return func(e *view.Entry) { e.Reason = string(r) } }
func deniedBy(ids ...string) change      { return func(e *view.Entry) { e.Denied = ids } }
func vouchedBy(key string) change        { return func(e *view.Entry) { e.Key = key } }
func signedBy(signer string) change      { return func(e *view.Entry) { e.Signer = signer } }
func withFiles(n int) change             { return func(e *view.Entry) { e.Files = n } }
func withBody(body record.Digest) change { return func(e *view.Entry) { e.Body = body } }

// ownList makes an entry one of an own list, as memory has it.
func ownList(name string) change {
	return func(e *view.Entry) { e.Own, e.Package.Name = name, view.OwnPrefix+name }
}

// snapshot is of these lists and of no keys.
func snapshot(entries ...*view.Entry) *view.Snapshot {
	slices.SortFunc(entries, func(a, b *view.Entry) int { return view.CompareEntry(a, b.Name) })
	s := &view.Snapshot{}
	s.Entries, s.Lookup, s.Lines = entries, &view.Lookup{Entries: entries}, map[view.LineID]record.Line{}
	s.Keys, s.Denied, s.Keyring = map[string]record.Key{}, map[string]record.Denial{}, pgp.NewKeyring()
	return s
}

// names are those of lists, in order.
func names(entries []*view.Entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return all
}

// code returns that of an error that is meant for a caller, "" for nil.
func code(t *testing.T, err error) api.Code {
	t.Helper()
	var e *api.Error
	if err != nil && !errors.As(err, &e) {
		t.Errorf("%v is a %T", err, err)
	}
	if e == nil {
		return ""
	}
	return e.Code
}

func version(t *testing.T, text string) nevra.EVR {
	t.Helper()
	e, err := nevra.ParseEVR(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// key is an OpenPGP key with a subkey that signs.
type key struct{ *openpgp.Entity }

// newKey makes one that ends after a while, never for 0.
func newKey(t *testing.T, owner string, ends time.Duration) key {
	t.Helper()
	c := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return born }, KeyLifetimeSecs: uint32(ends / time.Second)}
	e, err := openpgp.NewEntity(owner, "", "", c)
	if err == nil {
		err = e.AddSigningSubkey(c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key{e}
}

func (k key) fingerprint() string { return hex.EncodeToString(k.PrimaryKey.Fingerprint) }

// subkey returns the fingerprint of the one that signs.
func (k key) subkey(t *testing.T) string {
	t.Helper()
	subkeys := k.cert(t).Subkeys
	if len(subkeys) != 1 {
		t.Fatalf("there are subkeys %+v", subkeys)
	}
	return subkeys[0].Fingerprint
}

// cert reads the certificate with more packets behind it.
func (k key) cert(t *testing.T, more ...[]byte) *pgp.Cert {
	t.Helper()
	var b bytes.Buffer
	if err := k.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	for _, p := range more {
		b.Write(p)
	}
	certs, err := pgp.ParseCerts(b.Bytes())
	if err != nil || len(certs) != 1 {
		t.Fatalf("there are %d certificates, %v", len(certs), err)
	}
	return certs[0]
}

// revoke has the key revoke itself.
func (k key) revoke(t *testing.T, text string) key {
	t.Helper()
	if err := k.Revoke(packet.KeyCompromised, text, &packet.Config{Time: func() time.Time { return born.Add(day) }}); err != nil {
		t.Fatal(err)
	}
	return k
}

// unreadable is a revocation of a primary key by an issuer, of version 3, which cannot
// be verified.
func unreadable(issuer uint64) []byte {
	const kind = 0x20
	b := binary.BigEndian.AppendUint32([]byte{3, 5, kind}, uint32(born.Unix()))
	b = binary.BigEndian.AppendUint64(b, issuer)
	b = append(b, 1, 8, 0, 0, 0, 8, 0xff)
	return append([]byte{0xc2, byte(len(b))}, b...)
}
