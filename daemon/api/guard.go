// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// The modes of the guard, besides what [Guard] says.
const (
	GuardOff     = "off"
	GuardAudit   = "audit"
	GuardEnforce = "enforce"
	GuardUnknown = "unknown" // digestd-guard does not answer
)

// Guard is what the guard in the kernel does and knows.
type Guard struct {
	Mode     string           `json:"mode"`            // off, audit, enforce, or unknown where digestd-guard does not answer
	Wanted   string           `json:"wanted"`          // what the owner wants
	Why      string           `json:"why,omitzero"`    // why mode is not what is wanted
	Doubt    string           `json:"doubt,omitzero"`  // why nothing can be enforced
	Trial    time.Duration    `json:"trial,omitzero"`  // ns until enforcing ends by itself
	Strict   bool             `json:"strict"`          // libraries that are mapped cannot be opened for writing
	Modules  string           `json:"modules"`         // the mode for modules, firmware and kexec images
	Commit   uint64           `json:"commit"`          // of the index, with which its digests agree; 0: not known
	Digests  int              `json:"digests"`         // contents that may run
	Counts   GuardCounts      `json:"counts"`          // since the guard was loaded
	Hours    []GuardHour      `json:"hours,omitzero"`  // in which something was refused, the latest last
	Start    string           `json:"start,omitzero"`  // why it could not begin with its snapshot at the start of the machine
	Doubts   uint64           `json:"doubts,omitzero"` // how often since digestd-guard was started its self-test, its snapshot or a check spoke against enforcing
	Exempt   []GuardExemption `json:"exempt,omitzero"` // containers that run files of their own, or would
	Verified uint32           `json:"verified"`        // instructions that the kernel went through to prove the programs safe
}

// GuardExemption is a cgroup whose containers run files that no list holds.
type GuardExemption struct {
	Name    string `json:"name"`             // below the root of the tree, without a slash before it
	Forced  string `json:"forced,omitzero"`  // the owner's reason
	Refused string `json:"refused,omitzero"` // why it is not exempt
}

// GuardCounts are what the guard has counted since it was loaded.
type GuardCounts struct {
	Checks   uint64 `json:"checks"`
	Cached   uint64 `json:"cached"`   // checks that needed no hash
	Hashed   uint64 `json:"hashed"`   // checks that did
	Missed   uint64 `json:"missed"`   // checks that mode enforce refuses
	Refused  uint64 `json:"refused"`  // those that were refused
	Lost     uint64 `json:"lost"`     // refusals for which there was no room, so that they are in no log
	Dropped  uint64 `json:"dropped"`  // sums of refusals that had to make room for later ones
	Exempted uint64 `json:"exempted"` // let through because of an exemption
	Voided   uint64 `json:"voided"`   // known digests that became void by a write
}

// GuardHour counts refusals of one hour.
type GuardHour struct {
	Start   time.Time `json:"start"`
	Refused uint64    `json:"refused"`
	Allowed uint64    `json:"allowed"` // mode enforce would have refused them
}

// GuardDenial is what the guard refused, or let run in mode audit: a sum of what has the
// same digest, act and reason, with the latest of what it sums up.
type GuardDenial struct {
	First   time.Time    `json:"first"`            // it happened
	Last    time.Time    `json:"last"`             // it happened
	Count   uint64       `json:"count"`            // how often
	Refused uint64       `json:"refused"`          // how many of these were refused; the others ran
	Act     string       `json:"act"`              // exec, map, mprotect, kernel-read, kernel-load, write
	Reason  string       `json:"reason"`           // unlisted, unhashed, written, unstable, unknown, no-memory, in-use, too-large, no-file
	Digest  string       `json:"digest,omitzero"`  // SHA-256 of the content, where it is known
	Path    string       `json:"path,omitzero"`    // as the process saw it
	RawPath []byte       `json:"rawPath,omitzero"` // the bytes, when they are not UTF-8
	File    GuardFile    `json:"file"`             // which file it was
	By      GuardProcess `json:"by"`               // who wanted to use it
	Why     GuardWhy     `json:"why"`              // why no list allows it
}

// GuardFile names a file while its file system is mounted.
type GuardFile struct {
	Device uint32 `json:"device"` // as the kernel has it: major << 20 | minor
	Inode  uint64 `json:"inode"`
}

// GuardProcess is a process that was refused something.
type GuardProcess struct {
	PID     uint32 `json:"pid"`
	Parent  uint32 `json:"parent"`
	UID     uint32 `json:"uid"`
	Command string `json:"command"`       // of its thread, up to 15 bytes of its choice
	Unit    string `json:"unit,omitzero"` // of the service manager
}

// GuardWhy is why the guard does not let a content run.
type GuardWhy struct {
	Verdict string   `json:"verdict,omitzero"` // as in Why, of the lists as they are now
	Text    string   `json:"text"`             // for people
	Reasons []string `json:"reasons,omitzero"` // as in Why
	Owner   string   `json:"owner,omitzero"`   // NEVRA of the package that the path belongs to
	Advice  string   `json:"advice,omitzero"`  // what to do next
}

// GuardVerdict is what the guard would do with a file now.
type GuardVerdict struct {
	Mode   string `json:"mode"`   // as in Guard
	Listed bool   `json:"listed"` // its digest is among those that may run
	Runs   bool   `json:"runs"`   // the guard would let it run
	Text   string `json:"text"`   // the same, for people
}

// GuardCandidate is a refused content that may be learned, or why not.
type GuardCandidate struct {
	Denial    GuardDenial `json:"denial"`
	Learnable bool        `json:"learnable"`       // it may become part of an own list
	Text      string      `json:"text"`            // why, or why not, for people
	Advice    string      `json:"advice,omitzero"` // what to do instead
	UID       uint32      `json:"uid"`             // owner of the file
	Mode      uint32      `json:"mode"`            // of the file, as chmod(1) has it
	Exists    bool        `json:"exists"`          // there is a regular file at the path
}

// MaxLearn is how many contents are learned at once.
const MaxLearn = 512
