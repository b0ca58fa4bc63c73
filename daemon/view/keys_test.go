// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

// weakCert is of a key that is too short.
func weakCert(t *testing.T) *pgp.Cert {
	t.Helper()
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := packet.NewRSAPrivateKey(born, short).PublicKey.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	certs, err := pgp.ParseCerts(b.Bytes())
	if err != nil || len(certs) != 1 || certs[0].Weak == "" {
		t.Fatalf("there are %+v, %v", certs, err)
	}
	return certs[0]
}

// TestDescribeKeyOfPackages: the state of a key, and what it vouches for.
func TestDescribeKeyOfPackages(t *testing.T) {
	good, weak := newKey(t, "Good", 0), weakCert(t)
	held := newKey(t, "Held", 0).cert(t, unreadable(7))
	s := snapshot(
		entry(t, "a-1-1.noarch", vouchedBy(good.fingerprint()), withFiles(3)),
		entry(t, "b-1-1.noarch", vouchedBy(good.fingerprint()), withFiles(4)),
		entry(t, "c-1-1.noarch", vouchedBy(good.fingerprint()), withFiles(5), in(record.Withheld)),
		entry(t, "d-1-1.noarch", vouchedBy(good.fingerprint()), withFiles(6), in(record.Retired)),
		entry(t, "e-1-1.noarch", vouchedBy(weak.Fingerprint), withFiles(7)))
	s.Keyring = pgp.NewKeyring(good.cert(t), weak, held)
	revoked := &record.KeyRevocation{Act: record.Act{UID: 5, Reason: "lost", When: today}, Source: "an administrator"}
	base := record.Key{Fingerprint: good.fingerprint(), Owner: "Good", Algorithm: "ed25519", Source: "rpm", Created: born, Subkeys: []string{"ab"}, FirstSeen: born.Add(day)}
	want := api.Key{Fingerprint: good.fingerprint(), Owner: "Good", Algorithm: "ed25519", Source: "rpm", State: api.KeyTrusted, Created: born,
		Subkeys: []string{"ab"}, FirstSeen: born.Add(day), Lists: 2, Files: 7, Withheld: 1}
	for name, tc := range map[string]struct {
		key  func(k *record.Key)
		want func(k *api.Key)
	}{
		"trusted": {func(*record.Key) {}, func(*api.Key) {}},
		"it ends later": {func(k *record.Key) { k.Expires = today.Add(1) },
			func(k *api.Key) { k.Expires = today.Add(1) }},
		"it ended": {func(k *record.Key) { k.Expires = today },
			func(k *api.Key) { k.State, k.Expires = api.KeyExpired, today }},
		"revoked, before it ended": {func(k *record.Key) { k.Expires, k.Revoked = today, revoked },
			func(k *api.Key) {
				k.State, k.Expires = api.KeyRevoked, today
				k.RevokedBy, k.RevokedReason, k.RevokedAt, k.RevokedUID = "an administrator", "lost", today, 5
			}},
		"gone": {func(k *record.Key) { k.Fingerprint = "ab" },
			func(k *api.Key) { k.Fingerprint, k.State, k.Lists, k.Files, k.Withheld = "ab", api.KeyGone, 0, 0, 0 }},
		"gone and revoked": {func(k *record.Key) { k.Fingerprint, k.Revoked = "ab", revoked },
			func(k *api.Key) {
				k.Fingerprint, k.State, k.Lists, k.Files, k.Withheld = "ab", api.KeyRevoked, 0, 0, 0
				k.RevokedBy, k.RevokedReason, k.RevokedAt, k.RevokedUID = "an administrator", "lost", today, 5
			}},
		"of an importer, which no keyring has": {func(k *record.Key) { k.Fingerprint, k.Use = "ab", view.UseImport },
			func(k *api.Key) { k.Fingerprint, k.Use, k.Lists, k.Files, k.Withheld = "ab", api.UseImport, 0, 0, 0 }},
		"of an importer that is gone": {func(k *record.Key) { k.Fingerprint, k.Use, k.Gone = "ab", view.UseImport, born },
			func(k *api.Key) {
				k.Fingerprint, k.Use, k.State, k.Lists, k.Files, k.Withheld = "ab", api.UseImport, api.KeyGone, 0, 0, 0
			}},
		"weak": {func(k *record.Key) { k.Fingerprint = weak.Fingerprint },
			func(k *api.Key) {
				k.Fingerprint, k.State, k.Weak, k.Lists, k.Files, k.Withheld = weak.Fingerprint, api.KeyWeak, weak.Weak, 1, 7, 0
			}},
		"nothing new may come under it": {func(k *record.Key) { k.Fingerprint = held.Fingerprint },
			func(k *api.Key) {
				k.Fingerprint, k.Held, k.Lists, k.Files, k.Withheld = held.Fingerprint, held.Held, 0, 0, 0
			}},
	} {
		k, want := base, want
		tc.key(&k)
		tc.want(&want)
		if diff := cmp.Diff(want, s.DescribeKey(k, today)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if held.Held == "" {
		t.Error("the certificate holds nothing back")
	}
}

// TestDescribeKeyOfLists: the key that signs now, and those that signed before.
func TestDescribeKeyOfLists(t *testing.T) {
	s := snapshot(
		entry(t, "a-1-1.noarch", signedBy("01"), withFiles(3)),
		entry(t, "b-1-1.noarch", signedBy("01"), withFiles(4), in(record.Withheld)),
		entry(t, "c-1-1.noarch", signedBy("02"), withFiles(5)),
		entry(t, "d-1-1.noarch", signedBy("01"), withFiles(6)))
	s.Signer = "01"
	revoked := &record.KeyRevocation{Act: record.Act{Reason: "old", When: born}, Source: "the kernel's .blacklist"}
	for name, tc := range map[string]struct {
		key  record.Key
		want api.Key
	}{
		"it signs":          {record.Key{Fingerprint: "01"}, api.Key{Fingerprint: "01", State: api.KeyTrusted, Lists: 2, Files: 9}},
		"it signed before":  {record.Key{Fingerprint: "02"}, api.Key{Fingerprint: "02", State: api.KeyGone, Lists: 1, Files: 5}},
		"it signs, revoked": {record.Key{Fingerprint: "01", Revoked: revoked}, api.Key{Fingerprint: "01", State: api.KeyRevoked, RevokedBy: "the kernel's .blacklist", RevokedReason: "old", RevokedAt: born, Lists: 2, Files: 9}},
	} {
		tc.key.Use, tc.want.Use = view.UseLists, api.UseLists
		if diff := cmp.Diff(tc.want, s.DescribeKey(tc.key, today)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestDescribeDigest: a digest of the kernel's .blacklist withholds the list that it is
// of, and has others leave out the file that it is of.
func TestDescribeDigest(t *testing.T) {
	body := record.Digest(bytes.Repeat([]byte{0xab}, 32))
	name := view.BinPrefix + body.String()
	id := view.Ban([]string{name}).Denials()[0].ID
	s := snapshot(
		entry(t, "a-1-1.noarch", deniedBy("d-1", id)),
		entry(t, "b-1-1.noarch", deniedBy(id), in(record.Withheld)),
		entry(t, "c-1-1.noarch", withBody(body), in(record.Withheld)),
		entry(t, "d-1-1.noarch", withBody(body), in(record.Retired)),
		entry(t, "e-1-1.noarch", deniedBy("d-1")),
		entry(t, "f-1-1.noarch", in(record.Withheld)))
	k := record.Key{Fingerprint: name, Use: view.UseDigest, Revoked: &record.KeyRevocation{Act: record.Act{When: today}, Source: view.SourceKernel}}
	want := api.Key{Fingerprint: name, Use: api.UseDigest, State: api.KeyRevoked, RevokedBy: view.SourceKernel, RevokedAt: today, Lists: 1, Withheld: 2}
	if diff := cmp.Diff(want, s.DescribeKey(k, today)); diff != "" {
		t.Error(diff)
	}
	k.Revoked = nil
	want.State, want.RevokedBy, want.RevokedAt = api.KeyGone, "", time.Time{}
	if diff := cmp.Diff(want, s.DescribeKey(k, today)); diff != "" {
		t.Errorf("lifted:\n%s", diff)
	}
}

func TestFindKey(t *testing.T) {
	s := snapshot()
	for _, fingerprint := range []string{"1111111111aabbccdd", "2222222222aabbccdd", "3333333333eeff0011", "44"} {
		s.Keys[fingerprint] = record.Key{Fingerprint: fingerprint}
	}
	for text, want := range map[string]string{
		"3333333333eeff0011":     "3333333333eeff0011",
		"0x3333333333EEFF0011":   "3333333333eeff0011",
		"3333 3333 33ee ff00 11": "3333333333eeff0011",
		"eeff0011":               "3333333333eeff0011",
		"11aabbccdd":             "1111111111aabbccdd",
		"44":                     "44",
		"eff0011":                "not found",
		"33333333":               "not found",
		"aabbccdd":               `"aabbccdd" is the end of 2 keys: give the whole fingerprint`,
		"":                       "not found",
	} {
		k, err := s.FindKey(text)
		got := k.Fingerprint
		switch {
		case code(t, err) == api.NotFound && strings.Contains(err.Error(), fmt.Sprintf("no key %q", text)):
			got = "not found"
		case code(t, err) == api.InvalidArgument:
			got = err.Error()
		case err != nil:
			t.Errorf("%q: %v", text, err)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestKeyOwner(t *testing.T) {
	k := newKey(t, "Somebody", 0)
	s := snapshot()
	s.Keyring = pgp.NewKeyring(k.cert(t))
	s.Keys["ab"] = record.Key{Owner: "Formerly"}
	s.Keys[""] = record.Key{Owner: "nobody"}
	for fingerprint, want := range map[string]string{k.fingerprint(): "Somebody", "ab": "Formerly", "cd": "", "": ""} {
		if got := s.KeyOwner(fingerprint); got != want {
			t.Errorf("%q is of %q, want %q", fingerprint, got, want)
		}
	}
}

// TestRevokedByItself: a recorded revocation is told from one that the certificate has
// itself.
func TestRevokedByItself(t *testing.T) {
	sound, broken := newKey(t, "Sound", 0), newKey(t, "Broken", 0).revoke(t, "stolen")
	ring := func(revoked map[string]*pgp.Revocation) *view.Snapshot {
		s := snapshot()
		s.Keyring = pgp.Options{Revoked: revoked}.NewKeyring(sound.cert(t), broken.cert(t))
		return s
	}
	said := &record.KeyRevocation{Act: record.Act{Reason: "we do not trust it", When: today}, Source: "an administrator", Hard: true}
	ours := map[string]*pgp.Revocation{sound.fingerprint(): view.Revocation(said), sound.subkey(t): view.Revocation(said)}
	for name, tc := range map[string]struct {
		s    *view.Snapshot
		key  string
		said *record.KeyRevocation
		want string
	}{
		"by its owner":                  {ring(nil), broken.fingerprint(), nil, broken.fingerprint()},
		"by its owner and by us":        {ring(nil), broken.fingerprint(), said, broken.fingerprint()},
		"by us":                         {ring(ours), sound.fingerprint(), said, ""},
		"by us, in other words":         {ring(ours), sound.fingerprint(), &record.KeyRevocation{Source: "an administrator"}, sound.fingerprint()},
		"of a subkey, by us":            {ring(ours), sound.subkey(t), said, ""},
		"of a subkey, and not recorded": {ring(ours), sound.subkey(t), nil, sound.fingerprint()},
		"not":                           {ring(nil), sound.fingerprint(), nil, ""},
		"of a key that is not here":     {ring(nil), "ab", nil, ""},
	} {
		got := ""
		if c := tc.s.RevokedByItself(record.Key{Fingerprint: tc.key, Revoked: tc.said}); c != nil {
			got = c.Fingerprint
		}
		if got != tc.want {
			t.Errorf("%s: %q has it, want %q", name, got, tc.want)
		}
	}
	want := &pgp.Revocation{Time: today, Hard: true, Reason: "key was revoked by an administrator", Text: "we do not trust it"}
	if diff := cmp.Diff(want, view.Revocation(said)); diff != "" {
		t.Error(diff)
	}
	if got := view.Revocation(nil); got != nil {
		t.Errorf("no revocation is %+v", got)
	}
}

// TestUnread: revocations that cannot be verified are found by the end of their key,
// unless several have it.
func TestUnread(t *testing.T) {
	one, two, sound := newKey(t, "One", 0), newKey(t, "Two", 0), newKey(t, "Sound", 0)
	s := snapshot()
	s.Keyring = pgp.NewKeyring(one.cert(t, unreadable(7), unreadable(8)), two.cert(t, unreadable(9)), sound.cert(t))
	for text, want := range map[string]string{
		one.fingerprint(): one.fingerprint(), "0x" + strings.ToUpper(one.fingerprint()): one.fingerprint(),
		one.fingerprint()[32:]: one.fingerprint(), one.fingerprint()[33:]: "",
		two.fingerprint(): two.fingerprint(), sound.fingerprint(): "", "": "",
	} {
		if got := s.FindUnread(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for fingerprint, want := range map[string]int{one.fingerprint(): 2, two.fingerprint(): 1, sound.fingerprint(): 0} {
		found := s.UnreadOf(fingerprint)
		if want == 0 && len(found) == 0 {
			continue
		}
		if got := slices.Collect(maps.Keys(found)); !slices.Equal(got, []string{fingerprint}) || len(found[fingerprint]) != want {
			t.Errorf("of %s there are %q, want %d", fingerprint, found, want)
		}
	}
}

// TestChangesOfKeys: the end of a key or a subkey changes a judgement only where an
// expired key vouches for nothing.
func TestChangesOfKeys(t *testing.T) {
	s := snapshot()
	s.Keyring = pgp.NewKeyring(newKey(t, "Brief", 2*day).cert(t), newKey(t, "Long", 9*day).cert(t), newKey(t, "Ever", 0).cert(t))
	if got := s.NextChange(born); !got.IsZero() || s.WaitsForTime() {
		t.Errorf("an expired key vouches on, and judgements change at %v", got)
	}
	s.NoExpired = true
	for after, want := range map[time.Duration]time.Time{0: born.Add(2 * day), 2 * day: born.Add(9 * day), 9 * day: {}} {
		if got := s.NextChange(born.Add(after)); !got.Equal(want) {
			t.Errorf("after %v: %v, want %v", after, got, want)
		}
	}
	if !s.WaitsForTime() {
		t.Error("nothing waits for the time")
	}
}
