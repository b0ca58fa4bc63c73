// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// staged makes the list of a package, ready to be published. It is built as the release
// of that name; the header tells builds apart.
func (d *Daemon) staged(t *testing.T, name, release string, contents ...string) *view.Candidate {
	t.Helper()
	g := digestlist.Group{Algo: digestlist.SHA256}
	for _, content := range contents {
		sum := sha256.Sum256([]byte(content))
		g.Entries = append(g.Entries, digestlist.Entry{Digest: sum[:], Path: "/opt/" + content})
	}
	pkg := nevra.NEVRA{Name: name, EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}
	c := &view.Candidate{Pkg: pkg, Header: sha256.Sum256([]byte(name + release)), Made: view.Made{Files: len(contents)}, Basis: d.Snapshot().Basis}
	w := build.Workspace{Stager: d.Dir.Stager("test-" + name + release)}
	var err error
	if c.Name, err = digestlist.PackageName(digestlist.FormatTLV, pkg); err == nil {
		w.Body, err = digestlist.AppendTLV(nil, []digestlist.Group{g})
	}
	if err == nil {
		c.Body = sha256.Sum256(w.Body)
		c.Refs, err = executor.MakeRefs(digestlist.FormatTLV, w.Body, c.Files)
	}
	if m := d.Builder.Load(); err == nil {
		if err = m.SignList(c, &w); err == nil {
			err = m.Stage(c, &w)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newTransaction() *state.Transaction {
	return &state.Transaction{Added: map[record.Digest]*state.Addition{}, ByIndex: map[uint32]*state.Addition{}}
}

// TestNoListBeforeItsMark: a list appears once a crash cannot make it an intruder's.
func TestNoListBeforeItsMark(t *testing.T) {
	publish := map[string]func(d *Daemon, c *view.Candidate) error{
		"in a transaction": func(d *Daemon, c *view.Candidate) error {
			txn := newTransaction()
			return d.on(t, func(s *ledger.Ledger) error {
				s.Opened(txn)
				_, err := s.Add(txn, 0, c)
				return err
			})
		},
		"by a reconciliation": func(d *Daemon, c *view.Candidate) error {
			return d.Exec.Do(t.Context(), func() error {
				_, _, err := d.Exec.Reconcile(nil, []state.InstalledPackage{{Pkg: c.Pkg, Header: c.Header, Fresh: c}}, time.Now())
				return err
			})
		},
	}
	for name, by := range publish {
		d := bare(t)
		let := d.stopCommits(t)
		err := by(d, d.staged(t, "hello", name, "a"))
		if names, nerr := d.Dir.Names(); err == nil || nerr != nil || len(names) > 0 {
			t.Errorf("%s: %v, and the directory has %v (%v)", name, err, names, nerr)
		}
		let()
		if err := by(d, d.staged(t, "hello", name, "a")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c, err := d.Index.Load(); err != nil || len(c.Lists) == 0 && c.Meta[state.MetaOpen] == nil {
			t.Errorf("%s: neither a mark nor a record in the index: %v", name, err)
		}
	}
}

// TestTransactionEnds whatever fails at its end.
func TestTransactionEnds(t *testing.T) {
	for name, fail := range map[string]func(*testing.T, *Daemon){
		"list directory": func(_ *testing.T, d *Daemon) { d.Dir.Close() },
		"index":          func(t *testing.T, d *Daemon) { t.Cleanup(d.stopCommits(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := bare(t)
			txn := newTransaction()
			err := d.on(t, func(s *ledger.Ledger) error {
				s.Opened(txn)
				_, err := s.Add(txn, 0, d.staged(t, "hello", "", "a"))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			fail(t, d)
			if _, _, err := d.Exec.End(t.Context(), txn); err == nil {
				t.Error("nothing failed")
			}
			d.on(t, func(s *ledger.Ledger) error {
				if len(s.Open) > 0 {
					t.Error("the transaction is open for ever")
				}
				if e := s.ByName["tlv-hello-0:1-1.noarch"]; e != nil {
					t.Errorf("what did not get in is on record: %+v", e.List)
				}
				return nil
			})
		})
	}
}

// TestReplacedListComesBack: where another build of an installed version does not get
// in, the list of the one that is there returns with it, at once, and unchanged.
func TestReplacedListComesBack(t *testing.T) {
	for _, vouch := range []policy.Verdict{policy.Allow, policy.WithholdList} {
		d := bare(t)
		list := d.publishFor(t, "hello", "a", "b")
		file := filepath.Join(d.Config.Lists, list)
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		other := d.staged(t, "hello", "another", "c")
		other.Vouch.Verdict = vouch
		txn := newTransaction()
		err = d.on(t, func(s *ledger.Ledger) error {
			s.Opened(txn)
			_, err := s.Add(txn, 3, other)
			return err
		})
		if now, rerr := os.ReadFile(file); err != nil || (rerr == nil) != (vouch == policy.Allow) || string(now) == string(before) {
			t.Fatalf("verdict %v: %v; the list of the build that comes: %v", vouch, err, rerr)
		}
		err = d.on(t, func(s *ledger.Ledger) error {
			s.Failed(txn, 3)
			return nil
		})
		out := *d.Exec.State.ByName[list]
		if now, rerr := os.ReadFile(file); err != nil || rerr != nil || string(now) != string(before) {
			t.Errorf("verdict %v: %v; the list is not back: %v", vouch, err, rerr)
		}
		if !out.Active() || out.Broken || out.Header == other.Header {
			t.Errorf("verdict %v: its entry is %+v", vouch, out.List)
		}
		if _, _, err = d.Exec.End(t.Context(), txn); err == nil {
			err = d.inspected(t)
		}
		if names, _ := d.Dir.Names(); err != nil || !slices.Equal(names, []string{list}) || len(d.Snapshot().Asides) > 0 {
			t.Errorf("verdict %v: %v; the directory has %v, quarantine %v", vouch, err, names, d.Snapshot().Asides)
		}
		if left, err := os.ReadDir(d.Config.Lists + ".staging"); err != nil || len(left) > 0 {
			t.Errorf("verdict %v: left in staging: %v, %v", vouch, left, err)
		}
	}
}

// TestReplacedListStaysAway: it does not come back when its key was revoked meanwhile.
func TestReplacedListStaysAway(t *testing.T) {
	const key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	d := bare(t)
	list := d.publishFor(t, "hello", "a")
	other := d.staged(t, "hello", "another", "c")
	other.Vouch.Verdict = policy.WithholdList
	txn := newTransaction()
	err := d.on(t, func(s *ledger.Ledger) error {
		e := *s.ByName[list]
		e.Key = key
		s.Put(&e)
		s.SetKey(record.Key{Fingerprint: key})
		s.Opened(txn)
		_, err := s.Add(txn, 0, other)
		return err
	})
	if err == nil {
		err = d.on(t, func(s *ledger.Ledger) error {
			s.Note(key, record.KeyRevocation{Source: grounds.SourceAdministrator, Hard: true}, s.Now())
			s.Failed(txn, 0)
			return nil
		})
	}
	if names, nerr := d.Dir.Names(); err != nil || nerr != nil || len(names) > 0 {
		t.Errorf("%v; the directory has %v (%v)", err, names, nerr)
	}
}

// TestTornLists: what a loss of power leaves of lists in a transaction is no
// tampering; the same is when nothing was under way, and what is whole always is.
func TestTornLists(t *testing.T) {
	d := bare(t)
	var contents []string
	for i := range 400 {
		contents = append(contents, string(rune('a'+i%26))+"-a-file-with-a-name-of-some-length-"+string(rune('a'+i/26)))
	}
	c := d.staged(t, "hello", "", contents...)
	if err := d.Dir.Publish(c.Staged, c.Name, true); err != nil {
		t.Fatal(err)
	}
	whole, err := d.Dir.Read(c.Name, nil)
	if err != nil || len(whole) < 3*executor.TornBlock {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	body, _, _, err := digestlist.SplitSignature(whole)
	if err != nil {
		t.Fatal(err)
	}
	with := func(at, n int) []byte {
		data := slices.Clone(whole)
		clear(data[at : at+n])
		return data
	}
	tail := len(whole) / executor.TornBlock * executor.TornBlock
	if err := d.Dir.Remove(c.Name); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what string
		data []byte
		torn bool
	}{
		{"nothing", nil, true},
		{"zeros", make([]byte, len(whole)), true},
		{"the first block", whole[:executor.TornBlock], true},
		{"all but the last block", whole[:tail], true},
		{"a block of zeros within", with(executor.TornBlock, executor.TornBlock), true},
		{"a last block of zeros", with(tail, len(whole)-tail), true},
		{"a changed byte", with(100, 1), false},
		{"an unsigned list", body, false},
	} {
		for _, interrupted := range []bool{true, false} {
			err := os.WriteFile(filepath.Join(d.Config.Lists, c.Name), test.data, 0o644)
			before, qerr := d.Dir.Quarantined() // nothing of the case before is to be found there
			for _, name := range before {
				qerr = errors.Join(qerr, os.Remove(filepath.Join(d.Dir.QuarantinePath(), name)))
			}
			if qerr != nil {
				t.Fatal(qerr)
			}
			var asides []record.Aside
			if err == nil {
				d.on(t, func(s *ledger.Ledger) error {
					s.Unsettled, s.Asides = interrupted, nil
					return nil
				})
				err = d.inspected(t)
				asides = d.Exec.State.Asides
			}
			if names, nerr := d.Dir.Names(); err != nil || nerr != nil || len(names) > 0 {
				t.Fatalf("%s: %v; the directory has %v (%v)", test.what, err, names, nerr)
			}
			if accused := len(asides) > 0; accused == (test.torn && interrupted) {
				t.Errorf("%s, interrupted %v: called tampering: %v", test.what, interrupted, accused)
			}
		}
	}
}

// TestWithheldVersionIsRetired: that a version was active is known while it has no
// list, and when its package goes; whatever took the list.
func TestWithheldVersionIsRetired(t *testing.T) {
	reconcile := func(d *Daemon, c *view.Candidate) error {
		return d.Exec.Do(t.Context(), func() error {
			_, _, err := d.Exec.Reconcile(nil, []state.InstalledPackage{{Pkg: c.Pkg, Header: c.Header, Fresh: c}}, time.Now())
			return err
		})
	}
	for name, withhold := range map[string]func(d *Daemon, e *view.Entry, c *view.Candidate) error{
		"another build that nobody vouches for": func(d *Daemon, e *view.Entry, c *view.Candidate) error {
			c.Header = sha256.Sum256([]byte("x"))
			c.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonUnsigned}
			return reconcile(d, c)
		},
		"the same build, judged anew": func(d *Daemon, e *view.Entry, c *view.Candidate) error {
			c.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked}
			return reconcile(d, c)
		},
		"installed again in a transaction": func(d *Daemon, e *view.Entry, c *view.Candidate) error {
			c.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonUnknownKey}
			txn := newTransaction()
			err := d.on(t, func(s *ledger.Ledger) error {
				s.Opened(txn)
				_, err := s.Add(txn, 0, c)
				return err
			})
			if err != nil {
				return err
			}
			d.on(t, func(s *ledger.Ledger) error {
				s.Installed(txn, 0)
				return nil
			})
			_, _, err = d.Exec.End(t.Context(), txn)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := bare(t)
			list := d.publishFor(t, "hello", "a")
			var e *view.Entry
			var c view.Candidate
			d.on(t, func(s *ledger.Ledger) error {
				s.Multi = []string{"hello"}
				e = s.ByName[list]
				c = view.Candidate{Pkg: e.Package, Header: e.Header, Name: e.Name, Basis: s.Basis}
				return nil
			})
			counter := e.Counter
			if err := withhold(d, e, &c); err != nil {
				t.Fatal(err)
			}
			err := d.on(t, func(s *ledger.Ledger) error {
				if e = s.ByName[list]; e.Active() || e.Counter != counter {
					t.Errorf("withheld as %+v, counter was %d", e.List, counter)
				}
				s.Forget(list)
				s.Retire(e, "removed", wire.Peer{})
				if got := s.PolicyLine(view.LineOf(e.Package)).Retired; got != e.Package.EVR {
					t.Errorf("retired up to %v, want %v", got, e.Package.EVR)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestUnreadableIsNoTampering: a list that cannot be read for want of descriptors stays
// where it is, accuses nobody, and is made anew.
func TestUnreadableIsNoTampering(t *testing.T) {
	d := bare(t)
	list := d.publishFor(t, "hello", "a")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	d.on(t, func(s *ledger.Ledger) error {
		e := *s.ByName[list]
		e.Stamp = record.Stamp{} // as at a start, when every list is read
		s.Put(&e)
		return nil
	})
	none := unix.Rlimit{Cur: 0, Max: limit.Max}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none)
	if err == nil {
		err = d.inspected(t)
		err = errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	}
	d.on(t, func(s *ledger.Ledger) error {
		if e := s.ByName[list]; !e.Active() || s.Standing(s.Signer)[e.Header] != nil {
			t.Errorf("it is %+v, and will not be made anew", e.List)
		}
		if len(s.Asides) > 0 || s.NextSeq != 1 {
			t.Errorf("called tampering: %v", s.Asides)
		}
		return nil
	})
	if names, nerr := d.Dir.Names(); err != nil || nerr != nil || !slices.Equal(names, []string{list}) {
		t.Errorf("%v; the directory has %v (%v)", err, names, nerr)
	}
}

// inspected looks at the whole directory.
func (d *Daemon) inspected(t *testing.T) error {
	t.Helper()
	return d.Exec.Do(t.Context(), func() error {
		_, err := d.Exec.Inspect(nil)
		_, _, serr := d.Exec.Strangers()
		return errors.Join(err, serr)
	})
}
