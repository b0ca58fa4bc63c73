// SPDX-License-Identifier: Apache-2.0

package metadata

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
)

const repomd = `<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1700000000</revision>
  <data type="primary"><checksum type="sha256">AB</checksum><open-checksum type="sha256">cd</open-checksum>
    <location href="repodata/ab-primary.xml.gz"/><timestamp>1700000000</timestamp><size>12</size><open-size>99</open-size></data>
  <data type="updateinfo"><checksum type="sha512">ee</checksum><location href="../../etc/passwd"/><timestamp>1700000005.5</timestamp></data>
</repomd>`

func TestRepomd(t *testing.T) {
	m, err := ReadRepomd(strings.NewReader(repomd))
	if err != nil {
		t.Fatal(err)
	}
	if want := (File{Name: "ab-primary.xml.gz", Size: 12, Algo: "sha256", Sum: "ab", Made: time.Unix(1700000000, 0).UTC()}); m.Files["primary"] != want {
		t.Errorf("%+v", m.Files["primary"])
	}
	if f := m.Files["updateinfo"]; f.Name != "passwd" || f.Algo != "sha512" || !m.Made.Equal(time.Unix(1700000005, 0)) {
		t.Errorf("%+v, made %v", f, m.Made) // a name leads to no other directory
	}
	for text, want := range map[string]string{
		"<metalink/>": "not repomd",
		`<repomd><data type="x"><location href=".."/></data></repomd>`:                       "of the name",
		`<repomd><data type="x"><location href="a/"/><size>-1</size></data></repomd>`:        "bytes",
		`<repomd><data type="x"><size>99999999999999</size></data></repomd>`:                 "bytes",
		"<repomd>" + strings.Repeat(`<data type="x"><location href="`, 1):                    "ends inside",
		"<repomd>" + many(`<data type="%d"><location href="a"/></data>`, maxFiles+1):         "more than",
		"<repomd>" + strings.Repeat("<!-- xxxxxxxxxxxxxxxx -->", MaxRepomd/20) + "</repomd>": "too large",
	} {
		if _, err := ReadRepomd(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
}

func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestChecked(t *testing.T) {
	data := []byte("content")
	sum := sha256.Sum256(data)
	good := File{Name: "f", Size: 7, Algo: "sha256", Sum: hex.EncodeToString(sum[:])}
	check := func(f File) error {
		c, err := Check(bytes.NewReader(data), f)
		if err != nil {
			return err
		}
		io.CopyN(io.Discard, c, 3)
		return c.Done()
	}
	if err := check(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(f *File){
		"another digest": func(f *File) { f.Sum = strings.Repeat("0", 64) }, "with 8": func(f *File) { f.Size = 8 },
		"does not count": func(f *File) { f.Algo = "sha1" },
	} {
		bad := good
		change(&bad)
		if err := check(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrimary(t *testing.T) {
	pkg := func(name, arch, version string) string {
		return `<package type="rpm"><name>` + name + `</name><arch>` + arch + `</arch>` + version + `<summary>name &amp; arch</summary>
<format><rpm:provides><rpm:entry name="x"/></rpm:provides><file>/usr/bin/x</file></format></package>`
	}
	text := `<metadata packages="5">` + pkg("bash", "x86_64", `<version epoch="1" ver="5" rel="2"/>`) + pkg("zsh", "noarch", `<version epoch="0" ver="6" rel="1"/>`) +
		pkg("bash", "src", `<version epoch="1" ver="5" rel="2"/>`) + pkg("bad", "x86_64", `<version epoch="x" ver="5" rel="2"/>`) + pkg("worse", "x86_64", ``) + "</metadata>"
	var got []string
	if err := ReadPrimary(strings.NewReader(text), func(n nevra.NEVRA) { got = append(got, n.Full()) }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"bash-1:5-2.x86_64", "zsh-0:6-1.noarch"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for text, want := range map[string]string{"<updates/>": "not metadata", "<metadata>": "ends inside", "\x1f\x8b": "decompress"} {
		if err := ReadPrimary(strings.NewReader(text), func(nevra.NEVRA) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

const modules = `---
document: modulemd
version: 2
data:
  name: nodejs
  stream: "18"
  version: 1
  description: >-
    name: other
  components:
    rpms:
      nodejs:
        rationale: x
  profiles:
    common:
      rpms:
      - npm
  artifacts:
    rpms:
    - nodejs-1:18.1-1.module_el8.src
    - nodejs-1:18.1-1.module_el8.x86_64
    - npm-1:9-1.module_el8.x86_64
...
---
document: modulemd-defaults
version: 1
data:
  module: nodejs
  stream: "18"
...
---
document: modulemd
data:
  name: 'perl'
  stream: 5.30
  artifacts:
    rpms:
      - perl-4:5.30-1.module.noarch
`

func TestModules(t *testing.T) {
	var got []string
	if err := ReadModules(strings.NewReader(modules), func(stream string, n nevra.NEVRA) { got = append(got, stream+" "+n.Full()) }); err != nil {
		t.Fatal(err)
	}
	want := []string{"nodejs:18 nodejs-1:18.1-1.module_el8.x86_64", "nodejs:18 npm-1:9-1.module_el8.x86_64", "perl:5.30 perl-4:5.30-1.module.noarch"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if err := ReadModules(strings.NewReader(strings.Repeat("---\n", maxStreams+1)), nil); err == nil {
		t.Error("as many as there are")
	}
}

func FuzzAll(f *testing.F) {
	f.Add([]byte(repomd))
	f.Add([]byte(modules))
	f.Fuzz(func(t *testing.T, data []byte) {
		ReadRepomd(bytes.NewReader(data))
		ReadPrimary(bytes.NewReader(data), func(n nevra.NEVRA) {
			if err := n.Valid(); err != nil {
				t.Error(err)
			}
		})
		ReadModules(bytes.NewReader(data), func(string, nevra.NEVRA) {})
	})
}
