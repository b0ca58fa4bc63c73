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
			write(t, m.path("keys.d", "divided.asc"), s.armor)
			m.mustCtl("sync")
			m.mustRPM("-U", m.mustBuild("hello-1-1.noarch", "key=divided "+name), m.mustBuild("other-1-1.noarch"))
			m.eventually("tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch")
			want := []string{"tlv-other-0:1-1.noarch"}
			if test.stays {
				want = append(want, "tlv-hello-0:1-1.noarch")
			}

			gate, wait, open := m.gate("")
			if err := exec.Command("cp", gate, m.path("packages", "gate-1-1.noarch.rpm")).Run(); err != nil {
				t.Fatal(err)
			}
			rpm := m.rpm("-U", "gate-1-1.noarch.rpm")
			if err := rpm.Start(); err != nil {
				t.Fatal(err)
			}
			wait()
			write(t, m.path("keys.d", "divided.asc"), s.withoutSubkeys(t, test.reason, now.Add(test.after)))
			m.eventually(want...)
			for _, end := range []func(){m.kill, m.stop, m.kill} {
				end()
				m.startDaemon()
				m.eventually(want...)
			}
			open()
			rpm.Wait()
			m.mustCtl("sync")
			m.eventually(want...)

			// While the certificate says so it cannot be lifted. An older copy of the
			// certificate lifts nothing: only the administrator does.
			lifted := 0
			for _, k := range s.entity.Subkeys {
				fingerprint := hex.EncodeToString(k.PublicKey.Fingerprint)
				out, err := m.digestctl("keys", "restore", fingerprint, "--reason", "test").CombinedOutput()
				if strings.Contains(string(out), "no key") {
					continue // it signs nothing
				}
				if err == nil {
					t.Error("a revocation that the certificate has was lifted")
				}
				lifted++
				write(t, m.path("keys.d", "divided.asc"), s.armor)
				m.mustCtl("sync")
				m.kill()
				m.startDaemon()
				m.mustCtl("sync")
				m.eventually(want...)
				m.mustCtl("keys", "restore", fingerprint, "--reason", "test")
			}
			if lifted != 1 {
				t.Errorf("%d subkeys were revoked, want 1", lifted)
			}
			m.eventually("tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch")
			m.wholesome()
		})
	}
}

// TestSubkeyRevokedByAdministrator: keys revoke of a subkey has taken its lists away,
// and no others, when it answers; keys restore brings them back.
func TestSubkeyRevokedByAdministrator(t *testing.T) {
	t.Parallel()
	m := start(t)
	s := divided(t, "divided", time.Now().Add(-time.Hour))
	write(t, m.path("keys.d", "divided.asc"), s.armor)
	m.mustCtl("sync")
	m.mustRPM("-U", m.mustBuild("hello-1-1.noarch", "key=divided"), m.mustBuild("other-1-1.noarch"))
	m.eventually("tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch")
	for _, k := range s.entity.Subkeys {
		if k.PublicKey.PubKeyAlgo.CanSign() {
			fingerprint := hex.EncodeToString(k.PublicKey.Fingerprint)
			m.mustCtl("keys", "revoke", fingerprint, "--reason", "test")
		}
	}
	if got := m.lists(); !slices.Equal(got, []string{"tlv-other-0:1-1.noarch"}) {
		t.Errorf("when it answered the list directory had %v", got)
	}
	m.kill()
	m.startDaemon()
	if got := m.lists(); !slices.Equal(got, []string{"tlv-other-0:1-1.noarch"}) {
		t.Errorf("after a start the list directory has %v", got)
	}
	for _, k := range s.entity.Subkeys {
		if k.PublicKey.PubKeyAlgo.CanSign() {
			m.mustCtl("keys", "restore", hex.EncodeToString(k.PublicKey.Fingerprint), "--reason", "test")
		}
	}
	m.eventually("tlv-hello-0:1-1.noarch", "tlv-other-0:1-1.noarch")
}

// TestUnsignedTakenBack: what had a list because unsigned packages may have one loses
// it when they may not, by a reload at once and by a start before it is over.
func TestUnsignedTakenBack(t *testing.T) {
	t.Parallel()
	m, err := newMachine(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m.importKey("vendor")
	const allow, withhold = "unsigned = \"allow\"\n", "unsigned = \"withhold\"\n"
	set := func(config string) {
		m.config = config
		m.prepareDaemon() // which writes it
	}
	set(allow)
	m.startDaemon()
	both := []string{"tlv-plain-0:1-1.noarch", "tlv-signed-0:1-1.noarch"}
	m.mustRPM("-U", m.mustBuild("plain-1-1.noarch", "key="), m.mustBuild("signed-1-1.noarch"))
	m.eventually(both...)

	// While a transaction is in flight, which a comparison would wait for.
	gate, wait, open := m.gate("")
	if err := exec.Command("cp", gate, m.path("packages", "gate-1-1.noarch.rpm")).Run(); err != nil {
		t.Fatal(err)
	}
	rpm := m.rpm("-U", "gate-1-1.noarch.rpm")
	if err := rpm.Start(); err != nil {
		t.Fatal(err)
	}
	wait()
	set(withhold)
	m.daemon.Process.Signal(syscall.SIGHUP)
	m.eventually("tlv-signed-0:1-1.noarch")
	m.kill()
	open()
	rpm.Wait()
	m.mustRPM("-e", "gate")

	m.startDaemon()
	if got := m.lists(); !slices.Equal(got, both[1:]) {
		t.Errorf("after a start the list directory has %v", got)
	}
	set(allow)
	m.daemon.Process.Signal(syscall.SIGHUP)
	m.eventually(both...)
	m.stop()
	set(withhold)
	m.startDaemon()
	if got := m.lists(); !slices.Equal(got, both[1:]) {
		t.Errorf("after a start with the other setting the list directory has %v", got)
	}
	m.wholesome()
}

// TestSignatureFromTheFuture: a package whose signature is from the future has no list,
// is told why, and gets its list by itself when the time has come.
func TestSignatureFromTheFuture(t *testing.T) {
	t.Parallel()
	m := start(t)
	const skew, wait = 30 * time.Minute, 6 * time.Second
	made := time.Now().Add(skew + wait).Truncate(time.Second) // as signatures say it
	s, err := signerOf("vendor")
	if err != nil {
		t.Fatal(err)
	}
	late := *s
	late.now = func() time.Time { return made }
	signersMutex.Lock()
	signers["late"] = &late
	signersMutex.Unlock()
	m.mustRPM("-U", m.mustBuild("late-1-1.noarch", "key=late"), m.mustBuild("hello-1-1.noarch"))
	out := m.mustCtl("list", "withheld", "--json")
	for _, word := range []string{"late-1-1", "not-yet-valid"} {
		if !bytes.Contains([]byte(out), []byte(word)) {
			t.Errorf("list withheld does not say %q:\n%s", word, out)
		}
	}
	if got := m.lists(); !slices.Equal(got, []string{"tlv-hello-0:1-1.noarch"}) {
		t.Fatalf("the list directory has %v before the time has come", got)
	}
	// Not even a restart, or another package, is needed for it.
	m.eventually("tlv-hello-0:1-1.noarch", "tlv-late-0:1-1.noarch")
	if early := made.Add(-skew); time.Now().Before(early) {
		t.Errorf("the list came %v early", time.Until(early))
	}
	m.wholesome()
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
			m, err := newMachine(t, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			m.importKey("vendor")
			s := divided(t, "divided by "+name, time.Now().Add(-time.Hour))
			write(t, m.path("keys.d", "divided.asc"), s.armor)
			m.config = "unsigned = \"allow\"\n"
			m.startDaemon()
			m.mustRPM("-U", m.mustBuild("hello-1-1.noarch"), m.mustBuild("plain-1-1.noarch", "key="), m.mustBuild("sub-1-1.noarch", "key=divided by "+name))
			m.eventually("tlv-hello-0:1-1.noarch", "tlv-plain-0:1-1.noarch", "tlv-sub-0:1-1.noarch")
			kept := filepath.Join(m.place, "lists", "tlv-hello-0:1-1.noarch")
			before, err := os.Stat(kept)
			if err != nil {
				t.Fatal(err)
			}
			m.stop()
			m.editLists(t, edit)
			write(t, m.path("keys.d", "divided.asc"), s.withoutSubkeys(t, packet.KeyCompromised, time.Now()))
			m.config = "unsigned = \"withhold\"\n"
			m.startDaemon()
			if got := m.lists(); !slices.Equal(got, []string{"tlv-hello-0:1-1.noarch"}) {
				t.Errorf("when the start was over the list directory had %v", got)
			}
			after, err := os.Stat(kept)
			if err != nil || !os.SameFile(before, after) {
				t.Errorf("a list that is vouched for was made anew (%v)", err)
			}
			m.stop()
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
	write(t, g.path("keys.d", "divided.asc"), s.armor)
	g.config = "unsigned = \"allow\"\n"
	g.up()
	g.mustRPM("-U", g.mustBuild("hello-1-1.noarch"), g.mustBuild("plain-1-1.noarch", "key="), g.mustBuild("sub-1-1.noarch", "key=divided and upgraded"))
	gate, wait, open := g.gate("")
	if err := exec.Command("cp", gate, g.path("packages", "gate-1-1.noarch.rpm")).Run(); err != nil {
		t.Fatal(err)
	}
	rpm := g.rpm("-U", "gate-1-1.noarch.rpm")
	if err := rpm.Start(); err != nil {
		t.Fatal(err)
	}
	wait()
	g.down()
	g.editLists(t, func(list map[string]any) { delete(list, "rules"); delete(list, "signature") })
	write(t, g.path("keys.d", "divided.asc"), s.withoutSubkeys(t, packet.KeyCompromised, time.Now()))
	g.config = "unsigned = \"withhold\"\n"
	g.up()
	got := slices.DeleteFunc(g.lists(), func(name string) bool { return name == "tlv-gate-0:1-1.noarch" })
	if !slices.Equal(got, []string{"tlv-hello-0:1-1.noarch"}) {
		t.Errorf("when the start was over the list directory had %v", got)
	}
	open()
	if err := rpm.Wait(); err != nil {
		t.Error(err)
	}
	g.eventually("tlv-hello-0:1-1.noarch")
	g.wholesome()
}

// editLists changes the records of lists in the index, which is not in use, and makes
// it one of schema 1.
func (m *machine) editLists(t *testing.T, edit func(list map[string]any)) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(m.state, "index.db"), 0o600, nil)
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
