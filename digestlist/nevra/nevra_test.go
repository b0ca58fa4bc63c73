// SPDX-License-Identifier: Apache-2.0

package nevra_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist/nevra"
)

func pkg(name string, epoch uint32, version, release, arch string) nevra.NEVRA {
	return nevra.NEVRA{Name: name, EVR: nevra.EVR{Epoch: epoch, Version: version, Release: release}, Arch: arch}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]nevra.NEVRA{
		"bash-5.2-1.x86_64":                     pkg("bash", 0, "5.2", "1", "x86_64"),
		"bash-0:5.2-1.x86_64":                   pkg("bash", 0, "5.2", "1", "x86_64"),
		"vim-common-2:9.1.0-1.fc41.noarch":      pkg("vim-common", 2, "9.1.0", "1.fc41", "noarch"),
		"a-4294967295:1-1.b":                    pkg("a", 1<<32-1, "1", "1", "b"),
		"lib-1.0-2-3-4.i686":                    pkg("lib-1.0-2", 0, "3", "4", "i686"),
		"python3.11-3.11.2~rc1-1^git.el9.s390x": pkg("python3.11", 0, "3.11.2~rc1", "1^git.el9", "s390x"),
		"größe-1-1.noarch":                      pkg("größe", 0, "1", "1", "noarch"),
		"bash--1:5-1.x86_64":                    pkg("bash-", 1, "5", "1", "x86_64"),
		"-a-1-1.x":                              pkg("-a", 0, "1", "1", "x"),
	} {
		got, err := nevra.Parse(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
			continue
		}
		again, err := nevra.Parse(got.Full())
		if err != nil || again != want {
			t.Errorf("%q, then %q: %+v, %v", text, got.Full(), again, err)
		}
	}
	for text, why := range map[string]string{
		"":                                       "no '.'",
		"bash":                                   "no '.'",
		"bash.x86_64":                            "want name-",
		"bash-5.x86_64":                          "want name-",
		"-5-1.x86_64":                            "the name is empty",
		"bash--1.x86_64":                         "the version is empty",
		"bash-5-.x86_64":                         "the release is empty",
		"bash-5-1.":                              "the architecture is empty",
		"bash-:5-1.x86_64":                       "not a number below",
		"bash-x:5-1.x86_64":                      "not a number below",
		"bash-+1:5-1.x86_64":                     "not a number below",
		"bash-4294967296:5-1.x86_64":             "not a number below",
		"bash-1:2:5-1.x86_64":                    "has a ':'",
		"ba:sh-5-1.x86_64":                       "has a ':'",
		"bash-5-1.x86:64":                        "has a ':'",
		"a/b-5-1.x86_64":                         "has a '/'",
		"bash-5-1.x/y":                           "has a '/'",
		"ba sh-5-1.x86_64":                       "has a ' '",
		"bash-5\n-1.x86_64":                      "has a '\\n'",
		"bash-5-1\x00.x86_64":                    "has a '\\x00'",
		"bash-5-1.\x7f":                          "has a '\\x7f'",
		"ba\u200bsh-5-1.x86_64":                  "has a '\\u200b'",
		"ba\u202esh-5-1.x86_64":                  "has a '\\u202e'",
		"bash-5-1.a~b":                           "has a '~'",
		"ba\xffsh-5-1.x86_64":                    "is not UTF-8",
		strings.Repeat("a", 256) + "-5-1.noarch": "has 256 bytes, at most 255",
		"a-" + strings.Repeat("1", 256) + "-1.x": "has 256 bytes",
		"a-1-" + strings.Repeat("1", 256) + ".x": "has 256 bytes",
		"a-1-1." + strings.Repeat("x", 256):      "has 256 bytes",
	} {
		got, err := nevra.Parse(text)
		if err == nil || !strings.Contains(err.Error(), why) || got != (nevra.NEVRA{}) {
			t.Errorf("%q: %+v, %v; want %q", text, got, err, why)
		}
	}
}

func TestParseEVR(t *testing.T) {
	for text, want := range map[string]nevra.EVR{
		"1-1":        {Version: "1", Release: "1"},
		"0:1-1":      {Version: "1", Release: "1"},
		"007:1.0-1":  {Epoch: 7, Version: "1.0", Release: "1"},
		"3:1~a-2^b":  {Epoch: 3, Version: "1~a", Release: "2^b"},
		"1.0-1.el9_": {Version: "1.0", Release: "1.el9_"},
	} {
		if got, err := nevra.ParseEVR(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", ":1-1", "1:", "1:1", "-1", "1-", "a:1-1", "1-2-3", "1:2:3-4", "1/2-3", "1 -1", "\xff-1", strings.Repeat("1", 300) + "-1"} {
		got, err := nevra.ParseEVR(text)
		if err == nil || got != (nevra.EVR{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if err != nil && len(err.Error()) > 1200 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

func TestStrings(t *testing.T) {
	for _, tc := range []struct {
		pkg              nevra.NEVRA
		short, full, evr string
	}{
		{pkg("bash", 0, "5.2", "1", "x86_64"), "bash-5.2-1.x86_64", "bash-0:5.2-1.x86_64", "0:5.2-1"},
		{pkg("vim", 2, "9", "1", "noarch"), "vim-2:9-1.noarch", "vim-2:9-1.noarch", "2:9-1"},
		{pkg("gpg-pubkey", 0, "8483c65d", "5ccc5b19", ""), "gpg-pubkey-0:8483c65d-5ccc5b19", "gpg-pubkey-0:8483c65d-5ccc5b19", "0:8483c65d-5ccc5b19"},
	} {
		if tc.pkg.String() != tc.short || tc.pkg.Full() != tc.full || tc.pkg.EVR.String() != tc.evr {
			t.Errorf("%q %q %q, want %v", tc.pkg.String(), tc.pkg.Full(), tc.pkg.EVR.String(), tc)
		}
		if err := tc.pkg.Valid(); err != nil {
			t.Error(err)
		}
	}
	if s := (nevra.EVR{}).String(); s != "" || !(nevra.EVR{}).IsZero() || (nevra.EVR{Epoch: 1}).IsZero() {
		t.Errorf("no version is %q", s)
	}
	if err := pkg("bash", 0, "1", "1", "").Valid(); err == nil {
		t.Error("a package without architecture is valid")
	}
}

func TestJSON(t *testing.T) {
	type all struct {
		Pkg        nevra.NEVRA
		High, None nevra.EVR
		ByPkg      map[nevra.NEVRA]int
	}
	in := all{
		Pkg:   pkg("vim", 2, "9", "1", "noarch"),
		High:  nevra.EVR{Version: "1~rc1", Release: "1"},
		ByPkg: map[nevra.NEVRA]int{pkg("a", 0, "1", "1", "x"): 1, pkg("a", 1, "1", "1", "x"): 2},
	}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Pkg":"vim-2:9-1.noarch","High":"0:1~rc1-1","None":"","ByPkg":{"a-0:1-1.x":1,"a-1:1-1.x":2}}`
	if string(b) != want {
		t.Errorf("%s, want %s", b, want)
	}
	out := all{None: nevra.EVR{Epoch: 1}}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("(-in +out):\n%s", diff)
	}
	kept := out
	for _, bad := range []string{`{"Pkg":"vim"}`, `{"High":"1"}`, `{"ByPkg":{"x":1}}`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
	if diff := cmp.Diff(kept, out); diff != "" {
		t.Errorf("what cannot be read changed the value:\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"bash-5.2-1.x86_64", "vim-2:9-1.noarch", "a-b-0:1~a-2^b.c", "a-1:2:3-4.x", "ä-1-1.é", "-----.", "::-.-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := nevra.Parse(s)
		if err != nil {
			if len(err.Error()) > 4*(len(s)+100) {
				t.Errorf("an error of %d bytes for %d", len(err.Error()), len(s))
			}
			return
		}
		if err := n.Valid(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		for _, text := range []string{n.String(), n.Full()} {
			if again, err := nevra.Parse(text); err != nil || again != n {
				t.Errorf("%q, then %q: %+v, %v", s, text, again, err)
			}
			if !utf8.ValidString(text) || strings.ContainsAny(text, "/\x00\n ") {
				t.Errorf("text %q", text)
			}
		}
		if e, err := nevra.ParseEVR(n.EVR.String()); err != nil || e != n.EVR {
			t.Errorf("%q: %+v, %v", n.EVR.String(), e, err)
		}
	})
}
