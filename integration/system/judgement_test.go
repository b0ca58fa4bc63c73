// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"go.etcd.io/bbolt"
)

// divided makes a signer whose packages are signed by a subkey.
func divided(t *testing.T, name string, now time.Time) *signer {
	t.Helper()
	config := &packet.Config{DefaultHash: crypto.SHA256, Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048,
		Time: func() time.Time { return now }}
	entity, err := openpgp.NewEntity(name, "", name+"@example.org", config)
	if err == nil {
		err = entity.AddSigningSubkey(config)
	}
	s := &signer{entity: entity}
	var secret bytes.Buffer
	if err == nil {
		err = entity.SerializePrivate(&secret, config)
	}
	if err == nil {
		s.secret = secret.Bytes()
		s.armor, err = armored(entity)
	}
	if err != nil {
		t.Fatal(err)
	}
	signersMutex.Lock()
	defer signersMutex.Unlock()
	signers[name] = s
	return s
}

// withoutSubkeys returns the certificate with its signing subkeys revoked at that time.
func (s *signer) withoutSubkeys(t *testing.T, reason packet.ReasonForRevocation, at time.Time) []byte {
	t.Helper()
	copied, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(s.secret)))
	for i := range copied.Subkeys {
		if err == nil {
			err = copied.Subkeys[i].Revoke(reason, "test", &packet.Config{DefaultHash: crypto.SHA256, Time: func() time.Time { return at }})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	armor, err := armored(copied)
	if err != nil {
		t.Fatal(err)
	}
	return armor
}

// TestSubkeyRevokedInTransaction: lists that a revoked subkey vouched for leave while a
// transaction is in flight, and no end of the daemon brings them back.
func TestSubkeyRevokedInTransaction(t *testing.T) {
	for name, test := range map[string]struct {
		reason packet.ReasonForRevocation
		after  time.Duration // the signature was made
		stays  bool
	}{
		"compromised":          {reason: packet.KeyCompromised, after: time.Minute},
		"retired before":       {reason: packet.KeyRetired, after: -time.Hour},
		"superseded afterward": {reason: packet.KeySuperseded, after: time.Minute, stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t)
			now := time.Now()
			s := divided(t, "divided "+name, now.Add(-24*time.Hour))
			write(t, m.In("keys.d", "divided.asc"), s.armor)
			m.Must("sync")
			m.RPM("-U", m.build("hello-1-1.noarch", "key=divided "+name), m.build("other-1-1.noarch"))
			m.WantLists("tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch")
			want := []string{"tlv-other-0:1-1.noarch"}
			if test.stays {
				want = append(want, "tlv-hello-0:1-1.noarch")
			}

			gate, wait, open := m.gate("")
			if err := exec.Command("cp", gate, m.In("packages", "gate-1-1.noarch.rpm")).Run(); err != nil {
				t.Fatal(err)
			}
			rpm := m.RPMCommand("-U", "gate-1-1.noarch.rpm")
			if err := rpm.Start(); err != nil {
				t.Fatal(err)
			}
			wait()
			write(t, m.In("keys.d", "divided.asc"), s.withoutSubkeys(t, test.reason, now.Add(test.after)))
			m.WantLists(want...)
			for _, end := range []func(){m.Kill, m.Stop, m.Kill} {
				end()
				m.Start()
				m.WantLists(want...)
			}
			open()
			rpm.Wait()
			m.Must("sync")
			m.WantLists(want...)

			// While the certificate says so it cannot be lifted. An older copy of the
			// certificate lifts nothing: only the administrator does.
			lifted := 0
			for _, k := range s.entity.Subkeys {
				fingerprint := hex.EncodeToString(k.PublicKey.Fingerprint)
				out, err := m.Digestctl("keys", "restore", fingerprint, "--reason", "test").CombinedOutput()
				if strings.Contains(string(out), "no key") {
					continue // it signs nothing
				}
				if err == nil {
					t.Error("a revocation that the certificate has was lifted")
				}
				lifted++
				write(t, m.In("keys.d", "divided.asc"), s.armor)
				m.Must("sync")
				m.Kill()
				m.Start()
				m.Must("sync")
				m.WantLists(want...)
				m.Must("keys", "restore", fingerprint, "--reason", "test")
			}
			if lifted != 1 {
				t.Errorf("%d subkeys were revoked, want 1", lifted)
			}
			m.WantLists("tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch")
			m.Wholesome()
		})
	}
}

// TestSubkeyRevokedByAdministrator: keys revoke of a subkey has taken its lists away,
// and no others, when it answers; keys restore brings them back.
func TestSubkeyRevokedByAdministrator(t *testing.T) {
	t.Parallel()
	m := start(t)
	s := divided(t, "divided", time.Now().Add(-time.Hour))
	write(t, m.In("keys.d", "divided.asc"), s.armor)
	m.Must("sync")
	m.RPM("-U", m.build("hello-1-1.noarch", "key=divided"), m.build("other-1-1.noarch"))
	m.WantLists("tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch")
	for _, k := range s.entity.Subkeys {
		if k.PublicKey.PubKeyAlgo.CanSign() {
			fingerprint := hex.EncodeToString(k.PublicKey.Fingerprint)
			m.Must("keys", "revoke", fingerprint, "--reason", "test")
		}
	}
	if got := m.Names(); !slices.Equal(got, []string{"tlv-other-0:1-1.noarch"}) {
		t.Errorf("when it answered the list directory had %v", got)
	}
	m.Kill()
	m.Start()
	if got := m.Names(); !slices.Equal(got, []string{"tlv-other-0:1-1.noarch"}) {
		t.Errorf("after a start the list directory has %v", got)
	}
	for _, k := range s.entity.Subkeys {
		if k.PublicKey.PubKeyAlgo.CanSign() {
			m.Must("keys", "restore", hex.EncodeToString(k.PublicKey.Fingerprint), "--reason", "test")
		}
	}
	m.WantLists("tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch")
}

// TestUnsignedTakenBack: what had a list because unsigned packages may have one loses
// it when they may not, by a reload at once and by a start before it is over.
func TestUnsignedTakenBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.importKey("vendor")
	const allow, withhold = "unsigned = \"allow\"\n", "unsigned = \"withhold\"\n"
	set := func(config string) {
		m.Config = []string{config}
		m.Prepare() // which writes it
	}
	set(allow)
	m.Start()
	both := []string{"tlv-plain-0:1-1.noarch", "tlv-signed-0:1-1.noarch"}
	m.RPM("-U", m.build("plain-1-1.noarch", "key="), m.build("signed-1-1.noarch"))
	m.WantLists(both...)

	// While a transaction is in flight, which a comparison would wait for.
	gate, wait, open := m.gate("")
	m.OK(exec.Command("cp", gate, m.In("packages", "gate-1-1.noarch.rpm")).Run())
	rpm := m.RPMCommand("-U", "gate-1-1.noarch.rpm")
	m.OK(rpm.Start())
	wait()
	set(withhold)
	m.Signal(syscall.SIGHUP)
	m.WantLists("tlv-signed-0:1-1.noarch")
	m.Kill()
	open()
	rpm.Wait()
	m.RPM("-e", "gate")

	m.Start()
	if got := m.Names(); !slices.Equal(got, both[1:]) {
		t.Errorf("after a start the list directory has %v", got)
	}
	set(allow)
	m.Signal(syscall.SIGHUP)
	m.WantLists(both...)
	m.Stop()
	set(withhold)
	m.Start()
	if got := m.Names(); !slices.Equal(got, both[1:]) {
		t.Errorf("after a start with the other setting the list directory has %v", got)
	}
	m.Wholesome()
}

// TestSignatureFromTheFuture: a package whose signature is from the future has no list,
// is told why, and gets its list by itself when the time has come.
func TestSignatureFromTheFuture(t *testing.T) {
	t.Parallel()
	m := start(t)
	const skew, wait = 30 * time.Minute, 6 * time.Second
	made := time.Now().Add(skew + wait).Truncate(time.Second) // as signatures say it
	s, err := signerOf("vendor")
	m.OK(err)
	late := *s
	late.now = func() time.Time { return made }
	signersMutex.Lock()
	signers["late"] = &late
	signersMutex.Unlock()
	m.RPM("-U", m.build("late-1-1.noarch", "key=late"), m.build("hello-1-1.noarch"))
	out := m.Must("list", "withheld", "--json")
	for _, word := range []string{"late-1-1", "not-yet-valid"} {
		if !bytes.Contains([]byte(out), []byte(word)) {
			t.Errorf("list withheld does not say %q:\n%s", word, out)
		}
	}
	if got := m.Names(); !slices.Equal(got, []string{"tlv-hello-0:1-1.noarch"}) {
		t.Fatalf("the list directory has %v before the time has come", got)
	}
	// Not even a restart, or another package, is needed for it.
	m.WantLists("tlv-hello-0:1-1.noarch", "tlv-late-0:1-1.noarch")
	if early := made.Add(-skew); time.Now().Before(early) {
		t.Errorf("the list came %v early", time.Until(early))
	}
	m.Wholesome()
}

// TestJudgedByOtherRules: lists that another release has verified are verified again
// before a start is over. They stay as they are, but for what is refused now.
func TestJudgedByOtherRules(t *testing.T) {
	for name, edit := range map[string]func(list map[string]any){
		"schema 1": func(list map[string]any) { delete(list, "rules"); delete(list, "signature") },
		"a release that was less strict": func(list map[string]any) {
			list["rules"] = "0 0.0.1"
			if list["key"] == nil { // it took an unsigned package for a signed one
				list["key"] = list["header"]
				list["signature"] = map[string]any{"key": list["header"], "made": "2020-01-01T00:00:00Z"}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.importKey("vendor")
			s := divided(t, "divided by "+name, time.Now().Add(-time.Hour))
			write(t, m.In("keys.d", "divided.asc"), s.armor)
			m.Config = []string{"unsigned = \"allow\"\n"}
			m.Start()
			m.RPM("-U", m.build("hello-1-1.noarch"), m.build("plain-1-1.noarch", "key="), m.build("sub-1-1.noarch", "key=divided by "+name))
			m.WantLists("tlv-hello-0:1-1.noarch", "tlv-plain-0:1-1.noarch", "tlv-sub-0:1-1.noarch")
			kept := m.list("tlv-hello-0:1-1.noarch")
			before, err := os.Stat(kept)
			if err != nil {
				t.Fatal(err)
			}
			m.Stop()
			m.editLists(t, edit)
			write(t, m.In("keys.d", "divided.asc"), s.withoutSubkeys(t, packet.KeyCompromised, time.Now()))
			m.Config = []string{"unsigned = \"withhold\"\n"}
			m.Start()
			if got := m.Names(); !slices.Equal(got, []string{"tlv-hello-0:1-1.noarch"}) {
				t.Errorf("when the start was over the list directory had %v", got)
			}
			after, err := os.Stat(kept)
			if err != nil || !os.SameFile(before, after) {
				t.Errorf("a list that is vouched for was made anew (%v)", err)
			}
			m.Stop()
			judged := 0
			m.editLists(t, func(list map[string]any) {
				if list["state"] == "active" && list["rules"] != nil && list["signature"] != nil {
					judged++
				}
			})
			if judged != 1 {
				t.Errorf("%d lists have their judgement on record, want 1", judged)
			}
		})
	}
}

// TestJudgedInATransactionTakenOver: a digestd that replaces another one in the middle of
// a transaction, as its own upgrade does, does not wait for the end of that to judge.
func TestJudgedInATransactionTakenOver(t *testing.T) {
	t.Parallel()
	g := newManager(t)
	g.importKey("vendor")
	s := divided(t, "divided and upgraded", time.Now().Add(-time.Hour))
	write(t, g.In("keys.d", "divided.asc"), s.armor)
	g.Config = []string{"unsigned = \"allow\"\n"}
	g.up()
	g.RPM("-U", g.build("hello-1-1.noarch"), g.build("plain-1-1.noarch", "key="), g.build("sub-1-1.noarch", "key=divided and upgraded"))
	gate, wait, open := g.gate("")
	g.OK(exec.Command("cp", gate, g.In("packages", "gate-1-1.noarch.rpm")).Run())
	rpm := g.RPMCommand("-U", "gate-1-1.noarch.rpm")
	g.OK(rpm.Start())
	wait()
	g.down()
	g.editLists(t, func(list map[string]any) { delete(list, "rules"); delete(list, "signature") })
	write(t, g.In("keys.d", "divided.asc"), s.withoutSubkeys(t, packet.KeyCompromised, time.Now()))
	g.Config = []string{"unsigned = \"withhold\"\n"}
	g.up()
	got := slices.DeleteFunc(g.Names(), func(name string) bool { return name == "tlv-gate-0:1-1.noarch" })
	if !slices.Equal(got, []string{"tlv-hello-0:1-1.noarch"}) {
		t.Errorf("when the start was over the list directory had %v", got)
	}
	open()
	if err := rpm.Wait(); err != nil {
		t.Error(err)
	}
	g.WantLists("tlv-hello-0:1-1.noarch")
	g.Wholesome()
}

// editLists changes the records of lists in the index, which is not in use, and makes
// it one of schema 1.
func (m *machine) editLists(t *testing.T, edit func(list map[string]any)) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(m.State(), "index.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		seal := func(bucket string, key, content []byte) error {
			sum := crc32.Checksum(slices.Concat([]byte(bucket), []byte{0}, key, []byte{0}, content), crc32.MakeTable(crc32.Castagnoli))
			return tx.Bucket([]byte(bucket)).Put(key, append(binary.BigEndian.AppendUint32(nil, sum), content...))
		}
		lists := map[string]map[string]any{}
		err := tx.Bucket([]byte("lists")).ForEach(func(k, v []byte) error {
			var list map[string]any
			err := json.Unmarshal(v[4:], &list)
			lists[string(k)] = list
			return err
		})
		for name, list := range lists {
			edit(list)
			content, merr := json.Marshal(list)
			if err == nil {
				err = merr
			}
			if err == nil {
				err = seal("lists", []byte(name), content)
			}
		}
		if err != nil {
			return err
		}
		return seal("meta", []byte("schema"), binary.BigEndian.AppendUint64(nil, 1))
	})
	if err != nil {
		t.Fatal(err)
	}
}
