// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// adoptBlacklist takes over what the kernel names, besides what it named before.
func (s *Grounds) adoptBlacklist(b state.Blacklisted) {
	if b.Known {
		s.Blacklist = b
	}
	entries := maps.Clone(s.Blacklist.Entries)
	if entries == nil {
		entries = map[string]bool{}
	}
	for fingerprint, k := range s.Keys {
		if k.Use == view.UseDigest && k.Revoked != nil {
			entries[fingerprint] = true
		}
	}
	s.Banned = view.Ban(slices.Collect(maps.Keys(entries)))
}

// ApplyBlacklist records which entries of .blacklist name lists, and which concern files
// of lists: these are left out as what is denied is. It returns the entries that were not
// known so far.
func (s *Grounds) ApplyBlacklist() (named []string) {
	hit := map[string]bool{}
	for _, e := range s.Sorted() {
		if !e.Active() {
			continue
		}
		if entry := s.bannedList(e); entry != "" {
			hit[entry] = true
		}
		for _, entry := range s.Banned.Files(e.Refs) {
			if s.Keys[entry].Revoked == nil {
				hit[entry] = true
			}
		}
	}
	for entry := range hit {
		s.noteBanned(entry)
	}
	return slices.Sorted(maps.Keys(hit))
}

// noteBanned records that an entry of .blacklist concerns this machine.
func (s *Grounds) noteBanned(entry string) {
	now := s.Now()
	s.Note(entry, record.KeyRevocation{Source: view.SourceKernel, Hard: true, Act: record.Act{Reason: "named in the kernel's .blacklist", When: now}}, now)
	if k := s.Keys[entry]; k.Use == "" {
		k.Use, k.Source, k.Gone, k.Algorithm = view.UseDigest, view.SourceKernel, k.Revoked.When, DigestAlgorithm(entry)
		s.SetKey(k)
	}
}

// DigestAlgorithm names the digest of an entry by its length.
func DigestAlgorithm(entry string) string {
	return map[int]string{40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}[len(entry)-len(view.BinPrefix)]
}

// NoteOmitted records the entries by which a new list leaves files out.
func (s *Grounds) NoteOmitted(o view.Omission) {
	for _, d := range o.By {
		if d.By == view.SourceKernel {
			s.noteBanned(view.BinPrefix + hex.EncodeToString([]byte(d.Contents[0].Digest)))
		}
	}
}

// bannedList returns the entry that names the list of e, or what that was before it
// left something out; "" for none.
func (s *Grounds) bannedList(e *view.Entry) string {
	if entry := view.BinPrefix + e.Wide; e.Wide != "" && s.Blacklist.Entries[entry] {
		return entry
	}
	if entry := s.Banned.List(e.Body); entry != "" || len(e.Denied) == 0 || s.Banned == nil {
		return entry
	}
	for body, entry := range s.Banned.Bodies {
		if r, known := s.Retired[body]; known && r.Reason == state.RetiredDenied && r.Package == e.Package {
			return entry
		}
	}
	return ""
}

// UnlessBanned is the decision about a list that policy allows, by the digests of
// its body as it is and as it would be.
func (s *Grounds) UnlessBanned(pkg nevra.NEVRA, d policy.Decision, bodies ...record.Digest) policy.Decision {
	for _, body := range bodies {
		if entry := s.Banned.List(body); entry != "" && d.Verdict == policy.Allow {
			s.noteBanned(entry)
			return policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonBlacklisted, Text: pkg.String() + ": " + bannedText(entry)}
		}
	}
	return d
}

func bannedText(entry string) string {
	return fmt.Sprintf("%s contains its list, %s; install another build. When the kernel no longer contains it: digestctl keys restore %s --reason WHY",
		view.SourceKernel, entry, entry)
}

// Delivery is what became of the signed entries for the kernel's .blacklist.
type Delivery struct {
	Files, Added int
	Unable       error // why the kernel takes none at all
	Bad          []error
}

// TellOfBlobs says which entries the kernel does not have, and why. That it takes
// none is how it was built, and no fault of anybody here.
func (s *Grounds) TellOfBlobs(c Delivery) {
	s.Solved("blacklist-unable")
	s.Solved("blacklist")
	if c.Unable != nil {
		s.Problem("blacklist-unable", api.SeverityNotice,
			fmt.Sprintf("%s for the kernel's .blacklist cannot be added, so the kernel still accepts what they revoke: %v", view.Plural(c.Files, "file"), c.Unable),
			"the kernel must be built with CONFIG_SYSTEM_BLACKLIST_AUTH_UPDATE and with the signer's certificate; "+
				"until then keep the lists out with digestctl keys revoke or a floor")
	}
	if len(c.Bad) > 0 {
		s.Problem("blacklist", api.SeverityWarning,
			fmt.Sprintf("%s for the kernel's .blacklist cannot be used: %v", view.Plural(len(c.Bad), "file"), c.Bad[0]),
			"sign the entry again with a certificate that is built into the kernel, or remove both files")
	}
}
