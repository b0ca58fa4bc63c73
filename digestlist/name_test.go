// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
)

func pkg(name string, epoch uint32, version, release, arch string) nevra.NEVRA {
	return nevra.NEVRA{Name: name, EVR: nevra.EVR{Epoch: epoch, Version: version, Release: release}, Arch: arch}
}

func TestPackageName(t *testing.T) {
	for _, tc := range []struct {
		format string
		pkg    nevra.NEVRA
		want   string
	}{
		{"tlv", pkg("bash", 0, "5.2.15", "2", "x86_64"), "tlv-bash-0:5.2.15-2.x86_64"},
		{"rpm", pkg("vim-minimal", 2, "9.1", "1.fc41", "noarch"), "rpm-vim-minimal-2:9.1-1.fc41.noarch"},
		{"tlv", pkg("7zip", math.MaxUint32, "1~rc1", "1^git", "aarch64"), "tlv-7zip-4294967295:1~rc1-1^git.aarch64"},
	} {
		got, err := digestlist.PackageName(tc.format, tc.pkg)
		if err != nil || got != tc.want {
			t.Errorf("%s of %v: %q, %v", tc.format, tc.pkg, got, err)
		}
		_, hasSeq, format, rest, err := digestlist.ParseName(got)
		if err != nil || hasSeq || format != tc.format || rest != tc.pkg.Full() {
			t.Errorf("%q reads as %v %q %q, %v", got, hasSeq, format, rest, err)
		}
	}
}

func TestPackageNameRefuses(t *testing.T) {
	good := pkg("bash", 0, "5", "2", "x86_64")
	for _, tc := range []struct {
		format string
		pkg    nevra.NEVRA
	}{
		{"", good}, {"map", good}, {"TLV", good}, {"tlv-", good},
		{"tlv", nevra.NEVRA{}},
		{"tlv", pkg("../evil", 0, "1", "1", "x")},
		{"tlv", pkg("a", 0, "1\x00", "1", "x")},
		{"tlv", pkg("a", 0, "1", "1\n", "x")},
		{"tlv", pkg("a", 0, "1", "\xff", "x")},
		{"tlv", pkg("a", 0, "1", "1", "")},
		{"tlv", pkg(strings.Repeat("a", 256), 0, "1", "1", "x")},
	} {
		if name, err := digestlist.PackageName(tc.format, tc.pkg); err == nil || name != "" {
			t.Errorf("%s of %q is named %q", tc.format, tc.pkg, name)
		}
	}
}

// Names of any length fit a file system, stay apart, and stay text.
func TestLongPackageNames(t *testing.T) {
	seen := map[string]nevra.NEVRA{}
	for _, letter := range []string{"a", "ä", "漢"} {
		for n := 200; n <= 255; n++ {
			for _, version := range []string{"1", "2"} {
				p := pkg(strings.Repeat(letter, n/len(letter)), 0, version, "1", "noarch")
				p.Name += strings.Repeat("b", n-len(p.Name))
				name, err := digestlist.PackageName("tlv", p)
				if err != nil {
					t.Fatal(err)
				}
				whole := "tlv-" + p.Full()
				switch {
				case len(name) > digestlist.MaxName || !utf8.ValidString(name):
					t.Errorf("%d bytes: %q", len(name), name)
				case len(whole) <= digestlist.MaxName && name != whole:
					t.Errorf("%q was cut to %q", whole, name)
				case len(whole) > digestlist.MaxName && (len(name) < digestlist.MaxName-3 || name[len(name)-33] != '~' || !strings.HasPrefix(whole, name[:len(name)-33])):
					t.Errorf("%q was cut to %q", whole, name)
				}
				if other, ok := seen[name]; ok && other != p {
					t.Errorf("%q and %q are both %q", other, p, name)
				}
				seen[name] = p
			}
		}
	}
}

// Nobody can name a package so that its whole name is the cut one of another.
func TestCutNameIsNobodyElses(t *testing.T) {
	long := pkg("a", 0, "1", "1", strings.Repeat("x", 255))
	cut, err := digestlist.PackageName("tlv", long)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := nevra.Parse(strings.TrimPrefix(cut, "tlv-"))
	if err != nil {
		return
	}
	if name, err := digestlist.PackageName("tlv", twin); err == nil && name == cut {
		t.Errorf("%q is the list of %v and of %v", cut, long, twin)
	}
}

func TestParseName(t *testing.T) {
	for name, want := range map[string]struct {
		seq    uint32
		hasSeq bool
		format string
		rest   string
	}{
		"tlv-bash-0:5-1.x86_64":   {0, false, "tlv", "bash-0:5-1.x86_64"},
		"0-tlv-bash":              {0, true, "tlv", "bash"},
		"007-rpm-a-b":             {7, true, "rpm", "a-b"},
		"4294967295-tlv-x":        {math.MaxUint32, true, "tlv", "x"},
		"4294967296-tlv-x":        {0, false, "tlv", "x"}, // not 32 bits: passed over
		"00000000000000001-tlv-x": {1, true, "tlv", "x"},
		"1a-tlv-x":                {0, false, "tlv", "x"},
		"0x1-tlv-x":               {0, false, "tlv", "x"},
		"1_0-tlv-x":               {0, false, "tlv", "x"},
		"+1-tlv-x":                {0, false, "+1", "tlv-x"},
		"٣-tlv-x":                 {0, false, "٣", "tlv-x"}, // a digit, not ASCII's
		"1-2-3":                   {1, true, "2", "3"},
		"tlv-":                    {0, false, "tlv", ""},
		"1-tlv-":                  {1, true, "tlv", ""},
		"tlv--":                   {0, false, "tlv", "-"},
	} {
		seq, hasSeq, format, rest, err := digestlist.ParseName(name)
		if err != nil || seq != want.seq || hasSeq != want.hasSeq || format != want.format || rest != want.rest {
			t.Errorf("%q: %d %v %q %q, %v; want %v", name, seq, hasSeq, format, rest, err, want)
		}
	}
	for _, name := range []string{"", "-", "tlv", "1", "1-", "1-tlv", "-tlv-x", "1--x", ".tmpXYZ", "4294967295"} {
		_, _, _, _, err := digestlist.ParseName(name)
		if err == nil {
			t.Errorf("%q is a name", name)
			continue
		}
		wantSyntax(t, err, 0, "name", "")
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"tlv-a", "0-tlv-a", "4294967296-tlv-a", "-", "1--"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		_, hasSeq, format, rest, err := digestlist.ParseName(name)
		if err != nil {
			return
		}
		whole := format + "-" + rest
		digit := '0' <= name[0] && name[0] <= '9'
		if digit {
			_, whole, _ = strings.Cut(name, "-")
		}
		if whole != format+"-"+rest || !strings.HasSuffix(name, whole) || format == "" || strings.Contains(format, "-") {
			t.Errorf("%q reads as %q and %q", name, format, rest)
		}
		if hasSeq && !digit || !digit && whole != name {
			t.Errorf("%q lost its start: %q", name, whole)
		}
	})
}
