// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// Kernel is what the running kernel can do for digest lists. Answers are yes, no
// or unknown.
type Kernel struct {
	Release       string        `json:"release"`              // as uname -r has it
	DigestCache   string        `json:"digestCache"`          // it has the Integrity Digest Cache
	DefaultPath   string        `json:"defaultPath,omitzero"` // where that looks for lists
	IMA           string        `json:"ima"`                  // it has IMA
	Appraisal     string        `json:"appraisal"`            // IMA can appraise
	AppraiseMode  string        `json:"appraiseMode"`         // off, fix, log or enforce
	Appraises     string        `json:"appraises"`            // the policy in force appraises something
	AppraiseLists string        `json:"appraiseLists"`        // the policy in force appraises digest lists
	Modsig        string        `json:"modsig"`               // IMA verifies appended signatures
	Keys          string        `json:"keys,omitzero"`        // why the kernel's keys are out of reach, if they are
	Notifications bool          `json:"notifications"`        // it reports changes to keys
	Poll          time.Duration `json:"pollNs"`               // how often digestd looks into .blacklist instead; 0 for never
	BlacklistOpen bool          `json:"blacklistOpen"`        // .blacklist takes signed entries while the kernel runs
	Blacklisted   int           `json:"blacklisted"`          // entries of .blacklist
	Keyring       string        `json:"keyring,omitzero"`     // by which IMA verifies lists: .ima or _ima
	KeyringOpen   bool          `json:"keyringOpen"`          // root may add to it
	Enrolled      bool          `json:"enrolled"`             // it has the certificate that signs lists
}

// The places to which [Enrolment] can bring a certificate.
const (
	EnrolIMA  = "ima"  // the kernel's keyring for IMA, until the next boot
	EnrolMOK  = "mok"  // the machine owner's keys, by way of mokutil
	EnrolFile = "file" // where the next boot finds it
)

// Enrolment is what was done for the kernel to know the certificate that signs
// lists, and what is left to do.
type Enrolment struct {
	Where        string        `json:"where"`        // ima, mok, file
	Certificates []Certificate `json:"certificates"` // the one that signs, and the one prepared to
	Files        []string      `json:"files"`        // that hold them, in DER form
	Done         []string      `json:"done"`         // for people
	Left         []string      `json:"left"`         // for people: a reboot, or another program
}

// Retired is a list that must not come back: its package was replaced or removed.
type Retired struct {
	Entry   string    `json:"entry"`   // as the kernel's .blacklist wants it: bin: and the digest of the list without its signature
	List    string    `json:"list"`    // its name
	Package string    `json:"package"` // NEVRA
	Reason  string    `json:"reason"`  // why it was retired
	When    time.Time `json:"when"`    // it was
}
