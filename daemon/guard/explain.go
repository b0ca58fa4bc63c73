// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"github.com/digestd/digestd/daemon/api"
)

// words says what each reason means, to people.
var words = map[string]string{
	"unlisted":  "no active list includes it",
	"unhashed":  "the kernel did not provide its SHA-256",
	"written":   "a process had it open for writing",
	"unstable":  "its file system can return different content on each read",
	"unknown":   "its content was not verified before it was mapped as code",
	"no-memory": "the kernel had no memory to check it",
	"in-use":    "it is mapped as code and must not be written",
	"too-large": "it is larger than every file in active lists",
	"no-file":   "the kernel received the code without a file",
}

// advices say what to do about reasons that no list changes.
var advices = map[string]string{
	"unhashed":  "see digestctl guard check: the kernel may hash by another algorithm",
	"written":   "close it in the process that has it open for writing, then try again",
	"unstable":  "move it to a file system of a local disk",
	"unknown":   "start the program again",
	"no-memory": "free memory, then try again",
	"in-use":    "write a new file and rename it, as package managers do",
	"no-file":   "load it from a file, or see guard-modules in digestd.conf(5)",
}

// ByLists reports whether lists alone decide about what a denial sums up: its content is
// known, and no list had it.
func (d Denial) ByLists() bool {
	return (d.Reason == "unlisted" || d.Reason == "too-large") && d.Digest != ""
}

// Explain says why the guard does not let run what a denial sums up. why is what lists
// say of the content now; it counts where d.ByLists. listed says that the guard lets the
// content run now.
func (d Denial) Explain(why api.Why, listed bool) api.GuardWhy {
	text := words[d.Reason]
	if text == "" {
		text = d.Reason
	}
	w := api.GuardWhy{Text: text, Advice: advices[d.Reason]}
	switch {
	case !d.ByLists() || why.Verdict == "":
		return w
	case why.Vouched && listed:
		return api.GuardWhy{Verdict: why.Verdict, Text: "it is allowed now: " + why.Text, Owner: why.Owner}
	case why.Vouched:
		return api.GuardWhy{Verdict: why.Verdict, Text: "the guard does not know yet that it is " + why.Text, Owner: why.Owner, Advice: "compare all lists: digestctl sync"}
	}
	return api.GuardWhy{Verdict: why.Verdict, Text: why.Text, Reasons: why.Reasons, Owner: why.Owner, Advice: why.Advice}
}

// Describe is what is told of the guard.
func Describe(s Status, d Denials) api.Guard {
	n := s.Counts
	g := api.Guard{Mode: s.Mode, Wanted: s.Wanted, Why: s.Why, Doubt: s.Doubt, Trial: s.Trial, Strict: s.Strict, Modules: s.Modules,
		Commit: s.Commit, Digests: s.Digests, Verified: s.Verified, Counts: api.GuardCounts{Checks: n.Checks, Cached: n.Cached, Hashed: n.Hashed,
			Missed: n.Missed, Refused: n.Refused, Lost: n.Lost, Dropped: d.Dropped, Exempted: n.Exempted, Voided: n.Voided}}
	g.Start, g.Doubts = s.Start, s.Doubts
	for _, e := range s.Exempt {
		g.Exempt = append(g.Exempt, api.GuardExemption{Name: e.Name, Forced: e.Forced, Refused: e.Refused})
	}
	for _, h := range d.Hours {
		g.Hours = append(g.Hours, api.GuardHour(h))
	}
	return g
}

// Describe is what is told of a denial, without why.
func (d Denial) Describe() api.GuardDenial {
	return api.GuardDenial{First: d.First, Last: d.Last, Count: d.Count, Refused: d.Refused, Act: d.Act, Reason: d.Reason, Digest: d.Digest,
		Path: d.Path, RawPath: d.RawPath, File: api.GuardFile{Device: d.Device, Inode: d.Inode}, By: api.GuardProcess(d.By)}
}

// ExactPath is the path as bytes; "" where it is not known.
func (d Denial) ExactPath() string {
	if len(d.RawPath) > 0 {
		return string(d.RawPath)
	}
	return d.Path
}
