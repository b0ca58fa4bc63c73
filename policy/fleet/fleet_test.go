// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

const key40 = "0123456789abcdef0123456789abcdef01234567"

// certificate makes one, as PEM.
func certificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "builder"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func all(t testing.TB) string {
	return `# a policy
version = 1
description = "what all machines have in common"

[[floor]]
package = "openssl"
version = "1:3.0.7-18"
reason = "CVE-2022-3602"

[[floor]]
package = "bash"
arch = "x86_64"
version = "0:5.2-1"
reason = "old"

[[denial]]
package = "telnet-server"
reason = "not here"

[[denial]]
digests = ["sha256:` + strings.Repeat("a1", 32) + `"]
reason = "a miner"
ticket = "INC-7"
expires = 2030-01-01T00:00:00Z

[[revocation]]
key = "0123 4567 89AB CDEF 0123 4567 89AB CDEF 0123 4567"
reason = "lost"

[[certificate]]
pem = """
` + certificate(t) + `"""
reason = "our builder"

[[exemption]]
cgroup = "/lxc"
reason = "containers"

[[exemption]]
cgroup = "user.slice/ci"
force = true
reason = "the builders"

[[protected]]
package = "agent-*"
reason = "manages the machine"
`
}

func TestParse(t *testing.T) {
	p, err := Parse([]byte(all(t)), true)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range p.Rules() {
		if w.Kind == KindCertificate {
			w.What = "ID"
		}
		got = append(got, fmt.Sprintf("%s, for %q, %v", w, w.Reason, w.Tightens))
	}
	want := []string{
		`floor openssl 1:3.0.7-18, for "CVE-2022-3602", true`,
		`floor bash.x86_64 0:5.2-1, for "old", true`,
		`denial telnet-server, for "not here", true`,
		`denial sha256:` + strings.Repeat("a1", 32) + ` until 2030-01-01T00:00:00Z, for "a miner", true`,
		`revocation ` + key40 + `, for "lost", true`,
		`certificate ID of "CN=builder", for "our builder", false`,
		`exemption lxc, for "containers", false`,
		`exemption user.slice/ci forced, for "the builders", false`,
		`protected agent-*, for "manages the machine", false`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("it says\n%s", strings.Join(got, "\n"))
	}
	if p.Len() != len(want) || p.Tightening().Len() != 5 {
		t.Errorf("%d rules, of which %d tighten", p.Len(), p.Tightening().Len())
	}
	if a, b := p.Exemptions[0].Setting(), p.Exemptions[1].Setting(); a != "lxc" || b != "user.slice/ci force the builders" {
		t.Errorf("settings %q, %q", a, b)
	}
	if _, err := Parse([]byte("version = 1"), false); err != nil {
		t.Errorf("a policy that says nothing: %v", err)
	}
}

// TestParseRefuses: what is wrong with a file is said with its line and key.
func TestParseRefuses(t *testing.T) {
	floor := func(text string) string {
		return "version = 1\n[[floor]]\npackage = \"a\"\nversion = \"0:1-1\"\nreason = \"r\"\n" + text
	}
	for name, test := range map[string]struct{ text, want string }{
		"nothing":                  {"", "version: it is 0"},
		"another version":          {"# x\nversion = 2", "line 2: version: it is 2, and this digestd reads version 1"},
		"no TOML":                  {"version = 1\n[[floor\n", "line 3: "},
		"no text":                  {"version = 1 # \xff", "it is not UTF-8"},
		"too long":                 {"version = 1\n" + strings.Repeat("#", MaxSize), "it has more than 1048576 bytes"},
		"deep":                     {"x = " + strings.Repeat("[", 100_000), "nested deeper than 32"},
		"deep tables":              {"x = " + strings.Repeat("{a=", 100_000), "nested deeper than 32"},
		"an unknown key":           {"version = 1\n\ncolour = \"red\"", "line 3: colour: there is no such key"},
		"an unknown table":         {"version = 1\n[[ceiling]]\npackage = \"a\"", "ceiling: there is no such key"},
		"an unknown key in one":    {floor("ceiling = \"2\""), "line 6: floor.ceiling: there is no such key"},
		"a key in other letters":   {floor("Version = \"0:0-1\""), "line 6: floor.Version: there is no such key"},
		"a key twice":              {floor("reason = \"s\""), "line 6: "},
		"another type":             {strings.Replace(floor(""), `"a"`, "7", 1), "floor.package"},
		"a table that is none":     {"version = 1\n[floor]\npackage = \"a\"", "floor"},
		"no reason":                {"version = 1\n[[floor]]\npackage = \"a\"\nversion = \"0:1-1\"", "line 2: floor.reason: it is missing"},
		"a long reason":            {strings.Replace(floor(""), `"r"`, `"`+strings.Repeat("r", 1025)+`"`, 1), "line 5: floor.reason: it has more than 1024 bytes"},
		"an escape":                {strings.Replace(floor(""), `"r"`, `"\u001b[2J"`, 1), "line 5: floor.reason: it has an unprintable"},
		"an escaped description":   {"version = 1\ndescription = \"\\u001b\"", "line 2: description: "},
		"no package":               {strings.Replace(floor(""), `"a"`, `""`, 1), "line 3: floor.package: "},
		"a bad name":               {strings.Replace(floor(""), `"a"`, `"a/b"`, 1), "line 3: floor.package: "},
		"rpm's keys":               {strings.Replace(floor(""), `"a"`, `"gpg-pubkey"`, 1), "gpg-pubkey is how rpm keeps keys"},
		"an architecture":          {floor(`arch = "x87"`), `line 6: floor.arch: "x87" is no architecture`},
		"no epoch":                 {strings.Replace(floor(""), "0:1-1", "1-1", 1), "line 4: floor.version: 1-1 has no epoch: write 0:1-1"},
		"no release":               {strings.Replace(floor(""), "0:1-1", "0:1", 1), "line 4: floor.version: "},
		"the second":               {floor("\n[[floor]]\npackage = \"b\"\nversion = \"2\"\nreason = \"r\""), "line 9: floor.version: "},
		"twice":                    {floor("\n[[floor]]\npackage = \"a\"\nversion = \"0:2-1\"\nreason = \"r\""), "line 8: floor.package: a is in it twice"},
		"in one line":              {"version = 1\nfloor = [{package = \"a\"}]", "line 2: floor.reason: "},
		"nothing denied":           {"version = 1\n[[denial]]\nreason = \"r\"", "denial.package"},
		"both denied":              {"version = 1\n[[denial]]\npackage = \"a\"\ndigests = [\"sha256:" + strings.Repeat("a", 64) + "\"]\nreason = \"r\"", "line 4: denial.digests: it names both"},
		"no digest":                {"version = 1\n[[denial]]\ndigests = [\"bash\"]\nreason = \"r\"", "line 3: denial.digests: \"bash\" is no digest"},
		"the empty file":           {"version = 1\n[[denial]]\ndigests = [\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]\nreason = \"r\"", "every empty file"},
		"below and exactly":        {"version = 1\n[[denial]]\npackage = \"a\"\nbelow = \"1\"\nexact = \"1-1\"\nreason = \"r\"", "line 3: denial.package: "},
		"a long ticket":            {"version = 1\n[[denial]]\npackage = \"a\"\nticket = \"" + strings.Repeat("t", 257) + "\"\nreason = \"r\"", "line 4: denial.ticket: "},
		"no fingerprint":           {"version = 1\n[[revocation]]\nkey = \"0123\"\nreason = \"r\"", `line 3: revocation.key: "0123" is no fingerprint`},
		"a key revoked twice":      {"version = 1\n[[revocation]]\nkey = \"" + key40 + "\"\nreason = \"r\"\n[[revocation]]\nkey = \"" + strings.ToUpper(key40) + "\"\nreason = \"r\"", "line 6: revocation.key: " + key40 + " is in it twice"},
		"no certificate":           {"version = 1\n[[certificate]]\npem = \"x\"\nreason = \"r\"", "line 3: certificate.pem: it is no certificate"},
		"a cgroup above":           {"version = 1\n[[exemption]]\ncgroup = \"a/../..\"\nreason = \"r\"", "line 3: exemption.cgroup: "},
		"a cgroup with a blank":    {"version = 1\n[[exemption]]\ncgroup = \"a force b\"\nreason = \"r\"", "has a blank"},
		"every cgroup":             {"version = 1\n[[exemption]]\ncgroup = \"/\"\nreason = \"r\"", "names no cgroup"},
		"everything protected":     {"version = 1\n[[protected]]\npackage = \"*\"\nreason = \"r\"", "line 3: protected.package: it means every package"},
		"protected by no pattern":  {"version = 1\n[[protected]]\npackage = \"[\"\nreason = \"r\"", "line 3: protected.package: "},
		"protected and denied":     {"version = 1\n[[denial]]\npackage = \"agent\"\nreason = \"r\"\n[[protected]]\npackage = \"agent*\"\nreason = \"r\"", "line 6: protected.package: the same file denies every version of agent"},
		"far away":                 {"version = 1\n[[denial]]\npackage = \"a\"\nreason = \"r\"\nexpires = 9999-12-31T23:59:59-01:00", "line 5: denial.expires: "},
		"too much":                 {"version = 1\nprotected = [" + strings.Repeat(`{package="a",reason="r"},`, MaxRules+1) + "]", "the limit is 20000"},
		"a key in a text, no more": {"version = 1\ndescription = '''\n[[floor]]\nreason = 7\n'''\n[[floor]]\npackage = \"a\"\nversion = \"1\"\nreason = \"r\"", "line 2: description: "},
	} {
		p, err := Parse([]byte(test.text), true)
		var told *Error
		if !errors.As(err, &told) || p != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %.200v, want %q", name, err, test.want)
		}
	}
	text := all(t)
	_, err := Parse([]byte(text), false)
	before, _, _ := strings.Cut(text, "pem =")
	if at := fmt.Sprintf("line %d: ", strings.Count(before, "\n")+1); err == nil || !strings.Contains(err.Error(), at+"certificate.pem: a package cannot bring certificates") {
		t.Errorf("certificates of a package: %v", err)
	}
	twice := certificate(t)
	if _, err := Parse([]byte("version = 1\n[[certificate]]\npem = \"\"\""+twice+twice+"\"\"\"\nreason = \"r\""), true); err == nil || !strings.Contains(err.Error(), "more than one") {
		t.Errorf("two certificates in one: %v", err)
	}
}

func TestRevokedCertificates(t *testing.T) {
	cert := certificate(t)
	trusts := "version = 1\n[[certificate]]\npem = \"\"\"" + cert + "\"\"\"\nreason = \"r\"\n"
	a, err := Parse([]byte(trusts), true)
	if err != nil {
		t.Fatal(err)
	}
	revokes := "[[revocation]]\nkey = \"" + a.Certificates[0].ID() + "\"\nreason = \"r\"\n"
	if _, err := Parse([]byte(trusts+revokes), true); err == nil || !strings.Contains(err.Error(), "the same file revokes it") {
		t.Errorf("in one file: %v", err)
	}
	b, err := Parse([]byte("version = 1\n"+revokes), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Conflict("b", b); err == nil || !strings.Contains(err.Error(), "which the policy b revokes") {
		t.Errorf("the one that trusts: %v", err)
	}
	if err := b.Conflict("a", a); err == nil || !strings.Contains(err.Error(), "which the policy a trusts") {
		t.Errorf("the one that revokes: %v", err)
	}
	if err := a.Conflict("c", &Policy{}); err != nil {
		t.Error(err)
	}
}

func TestDiff(t *testing.T) {
	parse := func(text string) *Policy {
		t.Helper()
		p, err := Parse([]byte("version = 1\n"+text), true)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	floor := func(name, version, reason string) string {
		return fmt.Sprintf("[[floor]]\npackage = %q\nversion = %q\nreason = %q\n", name, version, reason)
	}
	was := parse(floor("a", "0:1-1", "r") + floor("b", "0:1-1", "r") + floor("c", "0:1-1", "r"))
	is := parse(floor("c", "0:1-1", "r") + floor("a", "0:2-1", "r") + floor("d", "0:1-1", "r"))
	text := func(w *Rule) string {
		if w == nil {
			return "-"
		}
		return w.String()
	}
	var got []string
	for _, c := range Diff(was.Rules(), is.Rules()) {
		got = append(got, text(c.Was)+" > "+text(c.Is))
	}
	want := "floor a 0:1-1 > floor a 0:2-1, floor b 0:1-1 > -, - > floor d 0:1-1"
	if strings.Join(got, ", ") != want {
		t.Errorf("it changes %q", got)
	}
	if c := Diff(was.Rules(), was.Rules()); len(c) > 0 {
		t.Errorf("itself: %v", c)
	}
}

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{"base": true, "10-site.eu_1": true, "": false, ".x": false, "a/b": false, "A": false, strings.Repeat("a", 65): false} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(all(f)))
	f.Add([]byte("version = 1\nfloor = [{package = \"a\", version = \"0:1-1\", reason = \"r\"}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data, true)
		if err != nil {
			var told *Error
			if !errors.As(err, &told) || p != nil {
				t.Errorf("%v, %v", p, err)
			}
			return
		}
		if len(p.Rules()) != p.Len() || len(Diff(p.Rules(), p.Rules())) != 0 {
			t.Errorf("%d rules, %d counted", len(p.Rules()), p.Len())
		}
	})
}
