// SPDX-License-Identifier: Apache-2.0

package updateinfo

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/repo/xmlscan"
)

const good = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
  <update from="security@vendor.example" status="final" type="security" version="1">
    <id>VSA-2026:0001</id>
    <title>Important: openssl &amp; more</title>
    <severity>Important</severity>
    <issued date="2026-01-01"/>
    <references>
      <reference href="https://vendor.example/CVE-2026-1111" id="CVE-2026-1111" type="cve" title="CVE-2026-1111"/>
      <reference href="https://bugs.vendor.example/7" id="7" type="bugzilla" title="CVE-2026-2222 openssl: overflow"/>
    </references>
    <description>Text &lt;b&gt; <![CDATA[<pkglist>]]></description>
    <pkglist>
      <collection short="os">
        <name>os</name>
        <package name="openssl" version="3.0.7" release="18.el9" epoch="1" arch="x86_64" src="openssl.src.rpm"><filename>o.rpm</filename></package>
        <package name="openssl" version="3.0.7" release="18.el9" epoch="1" arch="src"><filename>o.src.rpm</filename></package>
        <package name="absent" version="1" release="1" epoch="0" arch="x86_64"/>
        <package name="bash" version="5 1" release="1" arch="x86_64"/>
        <package name="bash" version="5.1" release="1" epoch="x" arch="x86_64"/>
      </collection>
      <collection short="m">
        <module name="nodejs" stream="18" version="1" context="c" arch="x86_64"/>
        <package name="bash" version="9" release="1" arch="x86_64"/>
      </collection>
      <collection short="n"><package name="bash" version="5.2" release="1" arch="x86_64"/></collection>
    </pkglist>
  </update>
  <update type="bugfix"><id>VBA-2026:0002</id></update>
</updates>
`

func installed(name, arch string) bool {
	return arch == "x86_64" && (name == "openssl" || name == "bash")
}

func readAll(text string) (all []Advisory, err error) { return readWithin(most, text) }

func readWithin(b bounds, text string) (all []Advisory, err error) {
	err = read(strings.NewReader(text), b, installed, func(a *Advisory) error {
		kept := *a
		kept.CVEs, kept.Packages = slices.Clone(a.CVEs), slices.Clone(a.Packages)
		all = append(all, kept)
		return nil
	})
	return all, err
}

func TestRead(t *testing.T) {
	got, err := readAll(good)
	if err != nil {
		t.Fatal(err)
	}
	want := []Advisory{
		{ID: "VSA-2026:0001", Type: "security", Severity: "Important", CVEs: []string{"CVE-2026-1111", "CVE-2026-2222"},
			Packages: []Package{
				{nevra.NEVRA{Name: "openssl", Arch: "x86_64", EVR: nevra.EVR{Epoch: 1, Version: "3.0.7", Release: "18.el9"}}, ""},
				{nevra.NEVRA{Name: "bash", Arch: "x86_64", EVR: nevra.EVR{Version: "9", Release: "1"}}, "nodejs:18"},
				{nevra.NEVRA{Name: "bash", Arch: "x86_64", EVR: nevra.EVR{Version: "5.2", Release: "1"}}, ""},
			}, Unreadable: 2, Issued: "2026-01-01"},
		{ID: "VBA-2026:0002", Type: "bugfix", CVEs: []string{}, Packages: []Package{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCompressed(t *testing.T) {
	var gz, zst bytes.Buffer
	w := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{w, z} {
		io.WriteString(w, good)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string]string{"gzip": gz.String(), "zstd": zst.String()} {
		if all, err := readAll(data); err != nil || len(all) != 2 {
			t.Errorf("%s: %d, %v", name, len(all), err)
		}
		if _, err := readAll(data[:len(data)/2]); err == nil {
			t.Errorf("half of %s is good", name)
		}
	}
}

func wrap(inside string) string { return "<updates>" + inside + "</updates>" }

// few are bounds that are reached soon.
var few = bounds{total: 8 << 20, updates: 2000, packages: 500}

// Every file ends with an error or a result, soon, and without much memory.
func TestHostile(t *testing.T) {
	laughs := `<!DOCTYPE updates [<!ENTITY a "ha">`
	for c := 'b'; c <= 'j'; c++ {
		laughs += fmt.Sprintf("<!ENTITY %c %q>", c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
	}
	laughs += "]>" + wrap("<update><id>&j;</id></update>")
	for name, tc := range map[string]struct{ text, says string }{
		"a bomb of entities":      {laughs, "document type"},
		"an entity of its own":    {wrap("<update><id>&j;</id></update>"), "entity"},
		"an entity from outside":  {`<!DOCTYPE u SYSTEM "file:///etc/passwd">` + wrap(""), "document type"},
		"a parameter entity":      {`<!DOCTYPE u [<!ENTITY % x SYSTEM "http://vendor.example/x"> %x;]>` + wrap(""), "document type"},
		"depth":                   {strings.Repeat("<updates>", 10_000), "deep"},
		"a huge text":             {wrap("<update><id>" + strings.Repeat("a", xmlscan.MaxToken+1)), "one tag or text"},
		"a huge comment":          {wrap("<!--" + strings.Repeat("a", xmlscan.MaxToken+1) + "-->"), "one tag or text"},
		"a huge attribute":        {wrap(`<update type="` + strings.Repeat("a", xmlscan.MaxToken+1) + `">`), "one tag or text"},
		"a huge name":             {"<" + strings.Repeat("a", xmlscan.MaxToken+1), "one tag or text"},
		"many attributes":         {"<updates " + strings.Repeat(`a="b" `, 1000) + ">", "attributes"},
		"many updates":            {wrap(strings.Repeat("<update><id>a</id></update>", 3000)), "more than 2000 advisories"},
		"many packages":           {wrap("<update><pkglist><collection>" + strings.Repeat(`<package name="bash" version="1" release="1" arch="x86_64"/>`, 1000)), "more than 500 packages"},
		"no end":                  {"<updates><update><id>a</id></update>", "ends inside of the element"},
		"ends that do not fit":    {"<updates><update></updates>", "not open"},
		"nothing":                 {"", "no element updates"},
		"another document":        {"<metalink/>", `about "metalink"`},
		"no document":             {"\x00\x01", "no element updates"},
		"another encoding":        {wrap("<update><id>\xff</id></update>"), "UTF-8"},
		"a second bomb, by gzip":  {bomb(t), "too large"},
		"gzip that is none":       {"\x1f\x8b rest", "cannot decompress"},
		"xz that is none":         {"\xfd7zXZ\x00 rest", "cannot decompress"},
		"zstd with a huge window": {"\x28\xb5\x2f\xfd\x00\xf8rest of it", "window"},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		all, err := readWithin(few, tc.text)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %d advisories, %.200v", name, len(all), err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
		// All that was ever allocated, not only what was held at once.
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
}

// An advisory without an ID that can be shown counts, and so do those beside it.
func TestNoID(t *testing.T) {
	const pkg = `<pkglist><collection><package name="bash" version="5.2" release="1" arch="x86_64"/></collection></pkglist>`
	for name, id := range map[string]string{
		"none": "", "an empty one": "<id></id>", "a blank one": "<id> </id>", "an escape": "<id>\u009b2J</id>",
		"a long one": "<id>" + strings.Repeat("a", maxID+1) + "</id>", "long pieces": "<id>" + strings.Repeat("aaaa<!-- -->", maxID) + "</id>",
	} {
		all, err := readAll(wrap("<update>" + id + pkg + "</update><update><id>VSA-1</id><severity>\u009bLow</severity>" + pkg + "</update>"))
		if err != nil || len(all) != 2 || all[0].ID != "" || all[1].ID != "VSA-1" || all[1].Severity != "" || len(all[0].Packages) != 1 {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
	}
}

// bomb is many megabytes of one text in some kilobytes.
func bomb(t *testing.T) string {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	io.WriteString(w, "<updates>")
	chunk := bytes.Repeat([]byte{' '}, 1<<20)
	for range 16 {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return buf.String()
}

func TestTotalIsBounded(t *testing.T) {
	text := wrap(strings.Repeat("<update><id>a</id></update>", 1000))
	for total, ok := range map[int]bool{len(text): true, len(text) - 1: false, 10: false} {
		b := few
		b.total = int64(total)
		if _, err := readWithin(b, text); (err == nil) != ok {
			t.Errorf("at most %d of %d: %v", total, len(text), err)
		}
	}
}

// A million advisories, with the bounds that hold.
func TestMillion(t *testing.T) {
	text := wrap(strings.Repeat("<update><id>a</id></update>", 1_000_000))
	all, err := readAll(text)
	if err == nil || !strings.Contains(err.Error(), "more than 200000 advisories") || len(all) != 200_000 {
		t.Errorf("%d, %v", len(all), err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(wrap("<update><id>&lt;</id></update>")))
	f.Fuzz(func(t *testing.T, data []byte) {
		read(bytes.NewReader(data), few, installed, func(a *Advisory) error {
			if len(a.ID) > maxID || strings.ContainsFunc(a.ID+a.Severity, unicode.IsControl) {
				t.Errorf("id %q, severity %q", a.ID, a.Severity)
			}
			for _, p := range a.Packages {
				if err := p.Valid(); err != nil {
					t.Error(err)
				}
			}
			return nil
		})
	})
}
