// SPDX-License-Identifier: Apache-2.0

package nevra

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPart bounds each part of a NEVRA, in bytes.
const MaxPart = 255

// NEVRA names one build of a package.
type NEVRA struct {
	Name string
	EVR
	Arch string // "" for rpm's pseudo package gpg-pubkey alone
}

// String returns "name-[epoch:]version-release.arch", with the epoch only if there is one, as
// rpm prints %{nevra}.
func (n NEVRA) String() string {
	if n.Epoch == 0 && n.Arch != "" {
		return n.Name + "-" + n.Version + "-" + n.Release + "." + n.Arch
	}
	return n.Full()
}

// Full returns "name-epoch:version-release.arch", so that two different NEVRAs
// that are Valid and have an arch have different texts.
func (n NEVRA) Full() string {
	b := make([]byte, 0, len(n.Name)+len(n.Version)+len(n.Release)+len(n.Arch)+14)
	b = n.EVR.append(append(append(b, n.Name...), '-'))
	if n.Arch != "" {
		b = append(append(b, '.'), n.Arch...)
	}
	return string(b)
}

// Parse reads "name-[epoch:]version-release.arch". The arch is what follows the
// last dot.
func Parse(s string) (NEVRA, error) {
	n, err := split(s)
	if err == nil {
		err = n.Valid()
	}
	if err != nil {
		return NEVRA{}, fmt.Errorf("cannot read package %q: %w", clip(s), err)
	}
	return n, nil
}

func split(s string) (n NEVRA, err error) {
	rest, arch, ok := cutLast(s, '.')
	if !ok {
		return n, errors.New("no '.' before the architecture")
	}
	n.Arch = arch
	rest, release, ok := cutLast(rest, '-')
	name, version, ok2 := cutLast(rest, '-')
	if !ok || !ok2 {
		return n, errors.New("want name-[epoch:]version-release.arch")
	}
	n.Name = name
	n.EVR, err = splitEVR(version + "-" + release)
	return n, err
}

// MarshalText returns Full.
func (n NEVRA) MarshalText() ([]byte, error) { return []byte(n.Full()), nil }

// UnmarshalText parses the result of MarshalText for a Valid NEVRA with an arch.
func (n *NEVRA) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err == nil {
		*n = parsed
	}
	return err
}

// Valid returns an error if n cannot be a package's: if a part is empty, longer than MaxPart
// bytes, or has a character that is not permitted in rpmbuild or in a file name. An empty arch
// is permitted for gpg-pubkey.
func (n NEVRA) Valid() error {
	if err := validPart("name", n.Name, ":"); err != nil {
		return err
	}
	if err := n.EVR.valid(); err != nil {
		return err
	}
	if n.Arch == "" && n.Name == "gpg-pubkey" {
		return nil
	}
	// '~' ends the cut names of package digestlist, which must be nobody's whole one.
	return validPart("architecture", n.Arch, "-.:~")
}

func (e EVR) valid() error {
	if err := validPart("version", e.Version, "-:"); err != nil {
		return err
	}
	return validPart("release", e.Release, "-:")
}

// validPart also refuses the separators that would make the text of a NEVRA
// read as another one.
func validPart(what, s, separators string) error {
	switch {
	case s == "":
		return fmt.Errorf("the %s is empty", what)
	case len(s) > MaxPart:
		return fmt.Errorf("the %s has %d bytes, at most %d", what, len(s), MaxPart)
	case !utf8.ValidString(s):
		return fmt.Errorf("the %s %q is not UTF-8", what, s)
	}
	for _, r := range s {
		if r == '/' || strings.ContainsRune(separators, r) || !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			return fmt.Errorf("the %s %q has a %q", what, s, r)
		}
	}
	return nil
}
