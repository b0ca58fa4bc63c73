// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// Version is the version of the format that this package reads.
const Version = 1

// Bounds of policy files.
const (
	MaxSize  = 1 << 20 // bytes of a file
	MaxRules = 20_000  // of a file
	MaxFiles = 64      // of a directory
	maxDepth = 32      // of brackets
	maxPath  = 4096
)

// Suffix ends the names of policy files.
const Suffix = ".toml"

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// CheckName returns an error if a policy cannot have that name, which is the name of its file
// without Suffix.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%.80q is no name for a policy: want 1 to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first", name)
	}
	return nil
}

// Error is an error in a policy file, with its position.
type Error struct {
	Line int    // 0: about the file as a whole
	Key  string // such as "floor.version", "" for none
	Err  error
}

func (e *Error) Error() string {
	where := ""
	if e.Line > 0 {
		where = fmt.Sprintf("line %d: ", e.Line)
	}
	if e.Key != "" {
		where += e.Key + ": "
	}
	return where + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// document is the structure of a file.
type document struct {
	Version      int                `toml:"version"`
	Description  string             `toml:"description"`
	Floors       []floorTable       `toml:"floor"`
	Denials      []denialTable      `toml:"denial"`
	Revocations  []revocationTable  `toml:"revocation"`
	Certificates []certificateTable `toml:"certificate"`
	Exemptions   []exemptionTable   `toml:"exemption"`
	Protected    []protectedTable   `toml:"protected"`
}

type floorTable struct {
	Package string `toml:"package"`
	Arch    string `toml:"arch"`
	Version string `toml:"version"`
	Reason  string `toml:"reason"`
}

type denialTable struct {
	Digests []string  `toml:"digests"`
	Package string    `toml:"package"`
	Arch    string    `toml:"arch"`
	Below   string    `toml:"below"`
	Exact   string    `toml:"exact"`
	Reason  string    `toml:"reason"`
	Ticket  string    `toml:"ticket"`
	Expires time.Time `toml:"expires"`
}

type revocationTable struct {
	Key    string `toml:"key"`
	Reason string `toml:"reason"`
}

type certificateTable struct {
	PEM    string `toml:"pem"`
	Reason string `toml:"reason"`
}

type exemptionTable struct {
	Cgroup string `toml:"cgroup"`
	Force  bool   `toml:"force"`
	Reason string `toml:"reason"`
}

type protectedTable struct {
	Package string `toml:"package"`
	Reason  string `toml:"reason"`
}

// Parse parses a policy file. own means that the file is in the administrator's directory: only
// there may it have certificates. Errors are of type *[Error].
func Parse(data []byte, own bool) (*Policy, error) {
	switch {
	case len(data) > MaxSize:
		return nil, &Error{Err: fmt.Errorf("it has more than %d bytes", MaxSize)}
	case !utf8.Valid(data):
		return nil, &Error{Err: errors.New("it is not UTF-8")}
	case tooDeep(data):
		return nil, &Error{Err: fmt.Errorf("its brackets are nested deeper than %d", maxDepth)}
	}
	var doc document
	meta, err := toml.Decode(string(data), &doc)
	if err != nil {
		var bad toml.ParseError
		if errors.As(err, &bad) {
			return nil, &Error{Line: bad.Position.Line, Key: bad.LastKey, Err: errors.New(bad.Message)}
		}
		return nil, &Error{Err: errors.New(strings.TrimPrefix(err.Error(), "toml: "))}
	}
	at := positions(data)
	if err := knownKeys(&meta, at); err != nil {
		return nil, err
	}
	if doc.Version != Version {
		return nil, at.failure("", 0, "version", fmt.Errorf("it is %d, and this digestd reads version %d", doc.Version, Version))
	}
	if err := printable(doc.Description, policy.MaxReason); err != nil {
		return nil, at.failure("", 0, "description", err)
	}
	if len(doc.Certificates) > 0 && !own {
		return nil, at.failure(KindCertificate, 0, "pem", errors.New("a package cannot bring certificates for own lists: only files of the administrator's directory can"))
	}
	r := reader{at: at, seen: map[string]bool{}}
	return r.read(&doc)
}

// tooDeep reports whether brackets are nested so deeply that parsing them would need much
// memory. It also counts brackets in texts; no legitimate file has many.
func tooDeep(data []byte) bool {
	depth := 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '\n':
			depth = max(depth, 0)
		}
		if depth > maxDepth {
			return true
		}
	}
	return false
}

// keysOf has the keys of each table; "" stands for keys outside of tables.
var keysOf = map[string][]string{
	"":              {"version", "description", KindFloor, KindDenial, KindRevocation, KindCertificate, KindExemption, KindProtected},
	KindFloor:       {"package", "arch", "version", "reason"},
	KindDenial:      {"digests", "package", "arch", "below", "exact", "reason", "ticket", "expires"},
	KindRevocation:  {"key", "reason"},
	KindCertificate: {"pem", "reason"},
	KindExemption:   {"cgroup", "force", "reason"},
	KindProtected:   {"package", "reason"},
}

// knownKeys refuses unknown keys, including those that differ from a known one only in case,
// which the decoder would accept.
func knownKeys(meta *toml.MetaData, at *index) error {
	for _, key := range meta.Keys() {
		table := ""
		if len(key) > 1 {
			table = key[0]
		}
		known, is := keysOf[table]
		if len(key) > 2 || !is || !slices.Contains(known, key[len(key)-1]) {
			return &Error{Line: at.lineOf(table, -1, key[len(key)-1]), Key: shown(key), Err: errors.New("there is no such key")}
		}
	}
	return nil
}

// shown returns a key for errors, shortened if it is long.
func shown(key toml.Key) string {
	text := strings.Join(key, ".")
	if len(text) > 80 {
		text = text[:80] + "..."
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text), "?")
}

// reader makes rules from tables.
type reader struct {
	at   *index
	seen map[string]bool // rules so far, by kind and subject
}

func (r *reader) read(doc *document) (*Policy, error) {
	p := &Policy{Description: doc.Description}
	n := len(doc.Floors) + len(doc.Denials) + len(doc.Revocations) + len(doc.Certificates) + len(doc.Exemptions) + len(doc.Protected)
	if n > MaxRules {
		return nil, &Error{Err: fmt.Errorf("it has %d rules; the limit is %d", n, MaxRules)}
	}
	for i, t := range doc.Floors {
		f := Floor{Package: t.Package, Arch: t.Arch, Reason: t.Reason}
		err := r.reason(KindFloor, i, t.Reason)
		if err == nil {
			err = r.pkg(KindFloor, i, t.Package, t.Arch)
		}
		if err == nil {
			f.EVR, err = r.version(i, t.Version)
		}
		if err == nil {
			err = r.once(KindFloor, i, "package", f.named())
		}
		if err != nil {
			return nil, err
		}
		p.Floors = append(p.Floors, f)
	}
	for i, t := range doc.Denials {
		d, err := r.denial(i, t)
		if err != nil {
			return nil, err
		}
		p.Denials = append(p.Denials, d)
	}
	for i, t := range doc.Revocations {
		key := strings.ToLower(strings.ReplaceAll(t.Key, " ", ""))
		err := r.reason(KindRevocation, i, t.Reason)
		if raw, bad := hex.DecodeString(key); err == nil && (bad != nil || len(raw) != 20 && len(raw) != 32) {
			err = r.at.failure(KindRevocation, i, "key", fmt.Errorf("%.80q is no fingerprint: want 40 or 64 hexadecimal digits", t.Key))
		}
		if err == nil {
			err = r.once(KindRevocation, i, "key", key)
		}
		if err != nil {
			return nil, err
		}
		p.Revocations = append(p.Revocations, Revocation{key, t.Reason})
	}
	for i, t := range doc.Certificates {
		c, err := r.certificate(i, t, p)
		if err != nil {
			return nil, err
		}
		p.Certificates = append(p.Certificates, c)
	}
	for i, t := range doc.Exemptions {
		e := Exemption{Cgroup: strings.Trim(t.Cgroup, "/"), Force: t.Force, Reason: t.Reason}
		err := r.reason(KindExemption, i, t.Reason)
		if err == nil {
			err = r.cgroup(i, e.Cgroup)
		}
		if err != nil {
			return nil, err
		}
		p.Exemptions = append(p.Exemptions, e)
	}
	for i, t := range doc.Protected {
		err := r.reason(KindProtected, i, t.Reason)
		if err == nil {
			err = r.protected(i, t.Package, p)
		}
		if err != nil {
			return nil, err
		}
		p.Protected = append(p.Protected, Protected(t))
	}
	return p, nil
}

func (r *reader) reason(table string, i int, text string) error {
	err := printable(text, policy.MaxReason)
	if text == "" {
		err = errors.New("it is missing: each rule needs a reason")
	}
	if err != nil {
		return r.at.failure(table, i, "reason", err)
	}
	return nil
}

func printable(text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("it has more than %d bytes", most)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return errors.New("it has an unprintable character")
	}
	return nil
}

// once refuses a second rule of the same kind about the same subject.
func (r *reader) once(table string, i int, key, what string) error {
	if id := table + "\x00" + what; !r.seen[id] {
		r.seen[id] = true
		return nil
	}
	return r.at.failure(table, i, key, fmt.Errorf("%s is in it twice", what))
}

func (r *reader) pkg(table string, i int, name, arch string) error {
	if name == policy.KeyName {
		return r.at.failure(table, i, "package", errors.New("gpg-pubkey is how rpm keeps keys: use [[revocation]]"))
	}
	if _, err := policy.RangeOf(name, "", "", ""); err != nil {
		return r.at.failure(table, i, "package", err)
	}
	if arch != "" && !policy.KnownArch(arch) {
		return r.at.failure(table, i, "arch", fmt.Errorf("%.80q is no architecture that rpm knows", arch))
	}
	return nil
}

// version parses the version of a floor. It must have its epoch: a file applies to many
// machines, so no epoch can be taken from one of them.
func (r *reader) version(i int, text string) (nevra.EVR, error) {
	evr, err := nevra.ParseEVR(text)
	if err == nil && !strings.Contains(text, ":") {
		err = fmt.Errorf("%s has no epoch: write 0:%s, or the epoch that the package has", text, text)
	}
	if err != nil {
		return evr, r.at.failure(KindFloor, i, "version", err)
	}
	return evr, nil
}

func (r *reader) denial(i int, t denialTable) (d policy.Denial, err error) {
	d = policy.Denial{Reason: t.Reason, Ticket: t.Ticket, Expires: t.Expires}
	if err := r.reason(KindDenial, i, t.Reason); err != nil {
		return d, err
	}
	if err := printable(t.Ticket, policy.MaxTicket); err != nil {
		return d, r.at.failure(KindDenial, i, "ticket", err)
	}
	if t.Expires.UTC().Year() > 9999 {
		return d, r.at.failure(KindDenial, i, "expires", fmt.Errorf("the year %d is too far away", t.Expires.UTC().Year()))
	}
	key := "digests"
	switch {
	case len(t.Digests) > 0 && t.Package+t.Arch+t.Below+t.Exact != "":
		err = errors.New("it names both digests and a package")
	case len(t.Digests) > 0:
		d.Contents, err = policy.ParseContents(strings.Join(t.Digests, ","))
		if err == nil && d.Contents == nil {
			err = fmt.Errorf("%.80q is no digest: want algorithm:digits", t.Digests[0])
		}
	default:
		key = "package"
		if err := r.pkg(KindDenial, i, t.Package, t.Arch); err != nil {
			return d, err
		}
		d.Package, err = policy.RangeOf(t.Package, t.Arch, t.Below, t.Exact)
	}
	if err != nil {
		return d, r.at.failure(KindDenial, i, key, err)
	}
	return d, r.once(KindDenial, i, key, d.Subject())
}

func (r *reader) certificate(i int, t certificateTable, p *Policy) (c Certificate, err error) {
	c.Reason = t.Reason
	if err := r.reason(KindCertificate, i, t.Reason); err != nil {
		return c, err
	}
	block, rest := pem.Decode([]byte(t.PEM))
	switch {
	case block == nil || block.Type != "CERTIFICATE":
		err = errors.New("it is no certificate in PEM")
	case len(bytes.TrimSpace(rest)) > 0:
		err = errors.New("it has more than one certificate")
	default:
		c.Cert, err = x509.ParseCertificate(block.Bytes)
	}
	if err != nil {
		return c, r.at.failure(KindCertificate, i, "pem", err)
	}
	if slices.ContainsFunc(p.Revocations, func(v Revocation) bool { return v.Key == c.ID() }) {
		return c, r.at.failure(KindCertificate, i, "pem", errors.New("the same file revokes it"))
	}
	return c, r.once(KindCertificate, i, "pem", c.ID())
}

func (r *reader) cgroup(i int, pattern string) error {
	var err error
	switch {
	case pattern == "" || len(pattern) > maxPath || slices.Contains(strings.Split(pattern, "/"), ".."):
		err = fmt.Errorf("%.80q names no cgroup", pattern)
	case strings.ContainsFunc(pattern, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }):
		err = fmt.Errorf("%.80q has a blank or an unprintable character", pattern)
	default:
		_, err = path.Match(pattern, "")
	}
	if err != nil {
		return r.at.failure(KindExemption, i, "cgroup", err)
	}
	return r.once(KindExemption, i, "cgroup", pattern)
}

func (r *reader) protected(i int, pattern string, p *Policy) error {
	_, err := path.Match(pattern, "")
	switch {
	case err != nil:
	case pattern == "" || len(pattern) > 256 || printable(pattern, 256) != nil:
		err = fmt.Errorf("%.80q is no pattern of names", pattern)
	case strings.Trim(pattern, "*?") == "":
		err = errors.New("it means every package")
	}
	for _, d := range p.Denials {
		r := d.Package
		if all := r.Below.IsZero() && r.Exact.IsZero(); err == nil && !r.IsZero() && all && policy.IsMulti([]string{pattern}, r.Name) {
			err = fmt.Errorf("the same file denies every version of %s", r.Name)
		}
	}
	if err != nil {
		return r.at.failure(KindProtected, i, "package", err)
	}
	return r.once(KindProtected, i, "package", pattern)
}
