// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// TestKeysAreMet: a certificate is recorded once, and again when something about it changes.
func TestKeysAreMet(t *testing.T) {
	o := newOwner(t, "owner")
	s := with(state.Settings{})
	src := &KeySources{Dir: "/var/lib/rpm", Kind: "sqlite", Certs: o.certs(t), RPM: map[string]bool{o.print(): true}, Complete: true}
	adopt := func() { s.AdoptKeys(src) }
	wants(t, event(t, s, adopt), "keys "+o.print())
	k := s.Keys[o.print()]
	if k.Owner != "owner" || k.Source != "keys.d/owner" || !k.RPM || !k.FirstSeen.Equal(noon) || !slices.Equal(k.Subkeys, []string{o.subkey()}) || k.Judged == "" || !k.IsCertificate() {
		t.Errorf("recorded is %+v", k)
	}
	if !s.KeysRead || s.DBPath != "/var/lib/rpm" || s.DBKind != "sqlite" || s.Keyring.Primary(o.print()) == nil {
		t.Error("the keys were not taken over")
	}
	basis := s.Basis
	if wants(t, event(t, s, adopt)); s.Basis != basis {
		t.Error("the same keys make all begin again")
	}
	// It is in another store.
	src.RPM, src.Complete = nil, false
	wants(t, event(t, s, adopt), "keys "+o.print())
	// It is gone, which is no revocation where rpm never had it.
	all := src.Certs
	src.Certs, src.Complete = nil, true
	wants(t, event(t, s, adopt), "keys "+o.print())
	if k := s.Keys[o.print()]; !k.Gone.Equal(noon) || k.Revoked != nil {
		t.Errorf("recorded is %+v", k)
	}
	src.Certs = all
	wants(t, event(t, s, adopt), "keys "+o.print())
	if k := s.Keys[o.print()]; !k.Gone.IsZero() {
		t.Errorf("recorded is %+v", k)
	}
	// A subkey is revoked.
	sub := o.Subkeys[0]
	if err := sub.Revoke(packet.KeyCompromised, "lost", clock(noon)); err != nil {
		t.Fatal(err)
	}
	o.Subkeys[0] = sub
	src.Certs = o.certs(t)
	lines := event(t, s, adopt)
	if o.subkey() > o.print() {
		slices.Reverse(lines[:2])
	}
	wants(t, lines, "keys "+o.subkey(), "keys "+o.print(), "log key-revoked "+o.subkey()+" "+SourceCertificate)
}

// TestKeysGone: a key that rpm had and has no more was removed on purpose, if rpm's
// keyring was read to its end.
func TestKeysGone(t *testing.T) {
	for _, complete := range []bool{false, true} {
		o := newOwner(t, "owner")
		e := listOf("bash", "1-1", signedBy(o.print()))
		s := with(state.Settings{}, e)
		s.AdoptKeys(&KeySources{Certs: o.certs(t), RPM: map[string]bool{o.print(): true}, Complete: true})
		lines := event(t, s, func() { s.AdoptKeys(&KeySources{Complete: complete, Errs: []error{errors.New("cannot read a key")}}) })
		says(t, s, "keys", api.SeverityWarning, "cannot read a key")
		k := s.Keys[o.print()]
		if k.Revoked != nil != complete || k.RPM == complete || s.ByName[e.Name].Active() == complete {
			t.Errorf("complete %v: asked for %q, recorded is %+v", complete, lines, k)
		}
		if complete && (k.Revoked.Source != sourceRPM || !slices.Contains(lines, "withdraw "+e.Name)) {
			t.Errorf("asked for %q, recorded is %+v", lines, k.Revoked)
		}
		// It comes back, and stays revoked; what could not be read can be read.
		s.AdoptKeys(&KeySources{Certs: o.certs(t), RPM: map[string]bool{o.print(): true}, Complete: true})
		says(t, s, "keys", "", "")
		if k := s.Keys[o.print()]; k.Revoked != nil != complete || !k.Gone.IsZero() || !k.RPM {
			t.Errorf("complete %v: back it is %+v", complete, k)
		}
	}
}

// TestRevocationsAreAdopted: a revocation from any source is durable before the lists of the
// key leave, together with those that the index does not know.
func TestRevocationsAreAdopted(t *testing.T) {
	const name = "tlv-bash-0:1-1.noarch"
	for _, test := range []struct {
		name   string
		change func(t *testing.T, o owner, src *KeySources)
		source string
	}{
		{"the certificate itself", func(t *testing.T, o owner, src *KeySources) {
			if err := o.Revoke(packet.KeyCompromised, "stolen", clock(noon)); err != nil {
				t.Fatal(err)
			}
			src.Certs = o.certs(t)
		}, SourceCertificate},
		{"a file", func(t *testing.T, o owner, src *KeySources) {
			src.Revoked = []RevokedKey{{o.print(), "revoked.d/list"}}
		}, "revoked.d/list"},
	} {
		for _, lost := range []bool{false, true} {
			o := newOwner(t, "owner")
			s := with(state.Settings{}, listOf("bash", "1-1", signedBy(o.print())), listOf("vim", "1-1", signedBy(o.subkey()), func(e *view.Entry) { e.Key = o.print() }),
				ownList("app"))
			src := &KeySources{Certs: o.certs(t), Complete: true}
			s.AdoptKeys(src)
			s.Unsettled = true
			if lost {
				s.Problem(ProblemIndexLost, api.SeverityError, "lost", "advice")
			}
			test.change(t, o, src)
			vouched := s.Vouches(o.print())
			lines := event(t, s, func() { s.AdoptKeys(src) })
			first := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
				return strings.HasPrefix(line, "first lists ") || strings.HasPrefix(line, "first log withdrawn ")
			})
			wants(t, first[:5], "first meta open", "first keys "+o.print(), "first log key-revoked "+o.print()+" "+test.source,
				"withdraw "+name, "withdraw tlv-vim-0:1-1.noarch")
			if slices.Contains(lines, "withdraw what is not known") == lost {
				t.Errorf("%s, index lost %v: %q", test.name, lost, lines)
			}
			if e := s.ByName[name]; e.Active() || e.Reason != string(policy.ReasonKeyRevoked) || e.File != (record.Digest{}) || !strings.Contains(e.Text, "digestctl keys restore "+o.print()) {
				t.Errorf("%s: it is %+v", test.name, e.List)
			}
			if !s.ByName["tlv-app-0:1-1.noarch"].Active() {
				t.Error("the owner's list went")
			}
			if !vouched || s.Vouches(o.print()) {
				t.Errorf("%s: the key vouched: %v, and does still, or never did", test.name, vouched)
			}
			h := told(s)
			if len(h) != 3 || h[0] != "withdrawn "+name+" key-revoked" || !strings.HasPrefix(h[2], "revoked "+o.print()+" by "+test.source+": ") || !strings.HasSuffix(h[2], " lists 2") {
				t.Errorf("%s: the observer heard %q", test.name, h)
			}
			// The next look at the keys finds nothing new.
			wants(t, event(t, s, func() { src.Blacklist = state.Blacklisted{}; s.Unsettled = false; s.AdoptKeys(src) }))
		}
	}
}

// TestCertificateIsBlacklisted: a certificate of this machine that the kernel names is
// revoked. Its lists stay, to be signed anew.
func TestCertificateIsBlacklisted(t *testing.T) {
	cert := newImporter(t, "signer", []byte{1, 2, 3})
	id := hex.EncodeToString(cert.SubjectKeyId)
	e := ownList("app")
	s := with(state.Settings{Certificates: []*x509.Certificate{cert}}, e)
	s.MeetSigner(cert, "signing.pem")
	s.Queue = state.Records{}
	if len(s.OwnCertificates()) != 1 {
		t.Error("it is not ours")
	}
	lines := event(t, s, func() {
		s.AdoptKeys(&KeySources{Blacklist: state.Blacklisted{Known: true, KeyIDs: map[string]bool{id: true}}})
	})
	wants(t, lines, "keys "+id, "log key-revoked "+id+" "+view.SourceKernel)
	if len(s.OwnCertificates()) != 0 || len(s.Certificates) != 1 || s.ByName[e.Name] != e {
		t.Error("lists by it are ours still, or went")
	}
}

// TestNote: of two revocations the graver counts.
func TestNote(t *testing.T) {
	hard := record.KeyRevocation{Hard: true, Source: "a", Act: record.Act{When: noon}}
	unread := record.KeyRevocation{Hard: true, Unread: true, Source: "b", Act: record.Act{When: noon}}
	soft := record.KeyRevocation{Source: "c", Act: record.Act{When: noon}}
	earlier := record.KeyRevocation{Source: "d", Act: record.Act{When: noon.Add(-time.Hour)}}
	for _, test := range []struct {
		old, next record.KeyRevocation
		want      bool
	}{
		{soft, hard, true}, {soft, earlier, true}, {unread, hard, true}, {soft, unread, true},
		{hard, soft, false}, {hard, hard, false}, {hard, unread, false}, {earlier, soft, false}, {soft, soft, false}, {unread, earlier, false},
	} {
		s := with(state.Settings{})
		if !s.Note("key", test.old, noon) || s.Keys["key"].FirstSeen != noon || s.Keys["key"].Gone != noon {
			t.Fatalf("the first is not noted: %+v", s.Keys)
		}
		want := test.old
		if test.want {
			want = test.next
		}
		if got := s.Note("key", test.next, noon.Add(time.Hour)); got != test.want || *s.Keys["key"].Revoked != want || s.Keys["key"].FirstSeen != noon {
			t.Errorf("%+v after %+v: %v, %+v", test.next, test.old, got, s.Keys["key"].Revoked)
		}
	}
	s := with(state.Settings{})
	wants(t, event(t, s, func() {
		s.Note("key", record.KeyRevocation{Source: "x", Act: record.Act{UID: 5, PID: 6, Reason: "why"}}, noon)
	}), "keys key", "log key-revoked key x")
	if e := s.Queue.Events[0]; e.Text != "why" || e.UID != 5 || e.PID != 6 {
		t.Errorf("the log has %+v", e)
	}
}

// TestCarryOut: which lists leave by a revocation that is carried out at once.
func TestCarryOut(t *testing.T) {
	const name = "tlv-bash-0:1-1.noarch"
	entry := bin("body of bash-0:1-1.noarch")
	for _, test := range []struct {
		name string
		key  record.Key
		want policy.Reason
	}{
		{"a hard one", record.Key{Fingerprint: "key", Revoked: &record.KeyRevocation{Hard: true}}, policy.ReasonKeyRevoked},
		{"a soft one, by when it was signed", record.Key{Fingerprint: "key", Revoked: &record.KeyRevocation{}}, ""},
		{"of another key", record.Key{Fingerprint: "other", Revoked: &record.KeyRevocation{Hard: true}}, ""},
		{"of a subkey, by what it signed", record.Key{Fingerprint: "sub", Revoked: &record.KeyRevocation{Hard: true}}, ""},
		{"of a signer of lists", record.Key{Fingerprint: "key", Use: view.UseLists, Revoked: &record.KeyRevocation{Hard: true}}, ""},
		{"of the list itself", record.Key{Fingerprint: entry, Use: view.UseDigest, Revoked: &record.KeyRevocation{Hard: true}}, policy.ReasonBlacklisted},
	} {
		s := with(state.Settings{}, listOf("bash", "1-1", signedBy("key")), listOf("gone", "1-1", signedBy("key"), withheld), listOf("vim", "1-1"))
		s.SetKey(record.Key{Fingerprint: "owner", Subkeys: []string{"sub"}})
		s.SetKey(test.key)
		s.adoptBlacklist(blacklisted(entry))
		if test.want != policy.ReasonBlacklisted {
			s.adoptBlacklist(blacklisted())
		}
		lines := event(t, s, func() { s.CarryOut(test.key.Fingerprint) })
		e := s.ByName[name]
		if e.Active() != (test.want == "") || e.Reason != string(test.want) || slices.Contains(lines, "withdraw "+name) != (test.want != "") {
			t.Errorf("%s: asked for %q, it is %+v", test.name, lines, e.List)
		}
		if !s.ByName["tlv-vim-0:1-1.noarch"].Active() || slices.Contains(lines, "withdraw tlv-gone-0:1-1.noarch") {
			t.Errorf("%s: asked for %q", test.name, lines)
		}
		if test.want == policy.ReasonBlacklisted && !strings.Contains(e.Text, "install another build") {
			t.Errorf("%s: %s", test.name, e.Text)
		}
	}
}

// TestOwnersOfSubkey: who claims a key that is known as a certificate does not have it.
func TestOwnersOfSubkey(t *testing.T) {
	s := with(state.Settings{})
	for _, k := range []record.Key{
		{Fingerprint: "b", Subkeys: []string{"sub", "x"}, Created: noon}, {Fingerprint: "a", Subkeys: []string{"sub"}, Created: noon},
		{Fingerprint: "thief", Subkeys: []string{"a"}, Created: noon}, {Fingerprint: "sub", Revoked: &record.KeyRevocation{}},
	} {
		s.SetKey(k)
	}
	for key, want := range map[string][]string{"sub": {"a", "b"}, "x": {"b"}, "a": nil, "unknown": nil} {
		if got := s.ownersOfSubkey(key); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
}

// TestJudgementOfCertificates: whether an expired key counts is part of what was concluded.
func TestJudgementOfCertificates(t *testing.T) {
	c := newOwner(t, "owner").certs(t)[0]
	c.Expires = noon
	before, after := noon.Add(-time.Second), noon.Add(time.Second)
	if judgement(c, false, before) != judgement(c, false, after) {
		t.Error("the time changes a judgement to which it does not matter")
	}
	if judgement(c, true, before) == judgement(c, true, after) {
		t.Error("an expired key is judged as before")
	}
}

// The index makes a certificate known again: the digest is of the same text in every release.
func TestJudgementIsStable(t *testing.T) {
	at := time.Unix(1767268800, 0)
	soft, hard := &pgp.Revocation{Time: at, Reason: "key is superseded", Text: "by \"another\""}, &pgp.Revocation{Hard: true, Reason: "key is compromised"}
	for _, c := range []*pgp.Cert{
		{}, {Revoked: hard, Expires: at, Weak: "too short"},
		{Expires: at.Add(time.Hour), Subkeys: []pgp.Subkey{{Fingerprint: "ab", Revoked: soft, Expires: at}, {Fingerprint: "cd", Weak: "weak"}}},
	} {
		for _, noExpired := range []bool{true, false} {
			text := fmt.Sprintln(c.Revoked, c.Expires.Unix(), c.Weak, noExpired && view.Expired(c.Expires, at))
			for _, s := range c.Subkeys {
				text += fmt.Sprintln(s.Fingerprint, s.Revoked, s.Expires.Unix(), s.Weak, noExpired && view.Expired(s.Expires, at))
			}
			sum := sha256.Sum256([]byte(text))
			if got := judgement(c, noExpired, at); got != hex.EncodeToString(sum[:8]) {
				t.Errorf("%+v: %s, not of the text\n%s", c, got, text)
			}
		}
	}
}

// TestTellOfKeys: without a usable key nothing that is installed has a list.
func TestTellOfKeys(t *testing.T) {
	good, bad := newOwner(t, "good"), newOwner(t, "bad")
	if err := bad.Revoke(packet.KeyCompromised, "", clock(noon)); err != nil {
		t.Fatal(err)
	}
	s := with(state.Settings{})
	s.TellOfKeys(0)
	says(t, s, "no-keys", "", "")
	s.TellOfKeys(1)
	says(t, s, "no-keys", api.SeverityWarning, "no key vouches for packages")
	s.TellOfKeys(0)
	says(t, s, "no-keys", "", "")
	s.AdoptKeys(&KeySources{Certs: bad.certs(t)})
	s.TellOfKeys(1)
	says(t, s, "no-keys", api.SeverityWarning, "no key vouches for packages")
	s.AdoptKeys(&KeySources{Certs: append(bad.certs(t), good.certs(t)...)})
	s.TellOfKeys(1)
	says(t, s, "no-keys", "", "")
}

// TestTellOfHeld: a revocation that cannot be verified holds the key, until somebody
// overrules it or the key is revoked for good.
func TestTellOfHeld(t *testing.T) {
	one, two := newOwner(t, "one"), newOwner(t, "two")
	s := with(state.Settings{})
	s.AdoptKeys(&KeySources{Certs: one.held(t)})
	says(t, s, "keys-held", api.SeverityWarning, "key "+one.print()+" in keys.d/one has a revocation that cannot be verified")
	s.AdoptKeys(&KeySources{Certs: append(one.held(t), two.held(t)...)})
	says(t, s, "keys-held", api.SeverityWarning, ", and so have 1 more key; new packages signed with it get no list")
	unread := one.held(t)[0].Unread
	if len(unread) != 1 {
		t.Fatalf("unread are %+v", unread)
	}
	k := s.Keys[one.print()]
	k.Overruled = []string{unread[0].Digest}
	s.SetKey(k)
	s.Note(two.print(), record.KeyRevocation{Hard: true, Source: SourceAdministrator, Act: record.Act{When: noon}}, noon)
	s.AdoptKeys(&KeySources{Certs: append(one.held(t), two.held(t)...)})
	says(t, s, "keys-held", "", "")
	if c := s.Keyring.Primary(one.print()); c.Held != "" {
		t.Errorf("it is held: %s", c.Held)
	}
}
