// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/digestlist"
	"golang.org/x/sys/unix"
)

// content is what a caller says of a file that has text in it.
func content(text string) api.Content {
	small, middle, wide := sha256.Sum256([]byte(text)), sha512.Sum384([]byte(text)), sha512.Sum512([]byte(text))
	return api.Content{Found: true, SHA256: small[:], SHA384: middle[:], SHA512: wide[:]}
}

// files are a machine's packages with the files that they say, and some that nobody does.
func files(t *testing.T) *daemontest.Machine {
	t.Helper()
	m := daemontest.New(t, func(c *config.Config) { c.Unsigned = "withhold" })
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one", "/usr/bin/altered": "two", "/usr/bin/gone": "three", "/usr/bin/bad": "evil"})
	m.Import(t, hello.Key)
	m.Install(t, hello, daemontest.Package(t, "stranger", "", map[string]string{"/usr/bin/stranger": "four"}),
		daemontest.Package(t, "banned", "vendor", map[string]string{"/usr/bin/banned": "five"}))
	m.Sync(t)
	m.Own(t, "mine", 0, daemontest.Body(t, digestlist.SHA512, map[string]string{"/opt/mine": "six", "/opt/changed": "seven"}))
	for _, what := range []string{"banned", hexSum("evil")} {
		if _, err := m.Deny(t.Context(), daemontest.Root, what, "", "it is bad", "", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{"/usr/bin/hello": "one", "/usr/bin/altered": "other", "/usr/bin/stranger": "four", "/usr/bin/banned": "five",
		"/opt/mine": "six", "/opt/changed": "other", "/usr/bin/nobody": "unknown", "/usr/bin/copy": "one", "/usr/bin/bad": "evil"} {
		m.File(t, path, text)
	}
	if err := os.Symlink("/usr/bin/hello", m.Path("/usr/bin/link")); err != nil {
		t.Fatal(err)
	}
	return m
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// TestWhy: what is said of each file, by its verdict, its owner and what is to be done.
func TestWhy(t *testing.T) {
	m := files(t)
	for path, want := range map[string]struct{ verdict, owner, advice string }{
		"/usr/bin/hello":    {api.VerdictVouched, "hello-1-1.noarch", ""},
		"/usr/bin/link":     {api.VerdictVouched, "hello-1-1.noarch", ""},
		"/usr/bin/copy":     {api.VerdictVouched, "hello-1-1.noarch", ""}, // by its content
		"/opt/mine":         {api.VerdictVouched, "own:mine-1-1.noarch", ""},
		"/usr/bin/altered":  {api.VerdictAltered, "hello-1-1.noarch", "reinstall hello-1-1.noarch"},
		"/opt/changed":      {api.VerdictAltered, "own:mine-1-1.noarch", "digestctl own update mine"},
		"/usr/bin/gone":     {api.VerdictMissing, "hello-1-1.noarch", "reinstall hello-1-1.noarch"},
		"/usr/bin/stranger": {api.VerdictWithheld, "stranger-1-1.noarch", "digestctl show stranger-1-1.noarch"},
		"/usr/bin/banned":   {api.VerdictDenied, "banned-1-1.noarch", "digestctl deny lift"},
		"/usr/bin/bad":      {api.VerdictDenied, "hello-1-1.noarch", "digestctl deny lift"},
		"/usr/bin/nobody":   {api.VerdictUnknown, "", "install it from a signed package"},
		"/usr/bin/none":     {api.VerdictMissing, "", ""},
		"/usr/bin":          {api.VerdictNotRegular, "", ""},
	} {
		w, err := m.Why(t.Context(), daemontest.Root, m.Path(path))
		if err != nil || w.Verdict != want.verdict || w.Owner != want.owner || !strings.Contains(w.Advice, want.advice) || w.Text == "" || w.Vouched != (want.verdict == api.VerdictVouched) {
			t.Errorf("%s: %+v, %v; want %s by %q, %q", path, w, err, want.verdict, want.owner, want.advice)
		}
		if (w.Denial != "") != (want.verdict == api.VerdictDenied) {
			t.Errorf("%s: denied by %q", path, w.Denial)
		}
		real := path
		if path == "/usr/bin/link" {
			real = "/usr/bin/hello"
		}
		if w.RealPath != real || w.Path != m.Path(path) {
			t.Errorf("%s: asked for %s, it is %s", path, w.Path, w.RealPath)
		}
	}
}

// A caller who reads a file by himself is told of it what root is told.
func TestWhyContentAgreesWithWhy(t *testing.T) {
	m := files(t)
	for path, text := range map[string]string{"/usr/bin/hello": "one", "/usr/bin/altered": "other", "/opt/mine": "six", "/opt/changed": "other",
		"/usr/bin/stranger": "four", "/usr/bin/banned": "five", "/usr/bin/bad": "evil", "/usr/bin/nobody": "unknown", "/usr/bin/gone": ""} {
		c := content(text)
		c.Found = text != ""
		w, err := m.Why(t.Context(), daemontest.Root, m.Path(path))
		said, serr := m.WhyContent(t.Context(), m.Path(path), c)
		if err != nil || serr != nil || said.Verdict != w.Verdict || said.Text != w.Text || said.Digest != w.Digest || said.Owner != w.Owner || said.Algo != w.Algo || !slices.Equal(said.Lists, w.Lists) {
			t.Errorf("%s: who reads it is told %+v (%v), root %+v (%v)", path, said, serr, w, err)
		}
	}
	linked := content("one")
	linked.RealPath = m.Path("/usr/bin/hello")
	if w, err := m.WhyContent(t.Context(), m.Path("/usr/bin/link"), linked); err != nil || !w.Vouched || w.RealPath != "/usr/bin/hello" {
		t.Errorf("through a link: %+v, %v", w, err)
	}
}

// The caller's description of a file is checked before it is used.
func TestWhyContentRefuses(t *testing.T) {
	m := files(t)
	short, none, long := content("one"), content("one"), content("one")
	short.SHA512 = short.SHA512[:63]
	none.SHA256 = nil
	long.SHA384 = append(long.SHA384, 0)
	elsewhere := content("one")
	elsewhere.RealPath = "relative"
	for name, c := range map[string]api.Content{"too short a digest": short, "no digest": none, "too long a digest": long, "a relative path": elsewhere} {
		_, err := m.WhyContent(t.Context(), "/usr/bin/hello", c)
		wantCode(t, name, err, api.InvalidArgument)
	}
	for _, path := range []string{"", "usr/bin/hello", "/a\x00b", "/" + strings.Repeat("x", unix.PathMax)} {
		_, err := m.Why(t.Context(), daemontest.Root, path)
		wantCode(t, path, err, api.InvalidArgument)
		_, err = m.WhyContent(t.Context(), path, content("one"))
		wantCode(t, path, err, api.InvalidArgument)
	}
}

// A list may have digests that a caller did not give: then nothing is said of the content.
func TestWhyContentWithoutTheDigestOfTheList(t *testing.T) {
	m := files(t)
	for text, full := range map[string]string{"six": api.VerdictVouched, "other": api.VerdictAltered} {
		c := content(text)
		if w, err := m.WhyContent(t.Context(), m.Path("/opt/mine"), c); err != nil || w.Verdict != full {
			t.Errorf("%s, by all digests: %+v, %v", text, w, err)
		}
		c.SHA384, c.SHA512 = nil, nil
		w, err := m.WhyContent(t.Context(), m.Path("/opt/mine"), c)
		if err != nil || w.Verdict != api.VerdictUnread || w.Vouched || w.Owner != "own:mine-1-1.noarch" || !strings.Contains(strings.Join(w.Reasons, "\n"), "sha512") || w.Advice == "" {
			t.Errorf("%s, by SHA-256 alone: %+v, %v", text, w, err)
		}
	}
}

// The kernel looks only into the list to which a file is bound.
func TestWhyLabel(t *testing.T) {
	m := files(t)
	for name, test := range map[string]struct{ label, verdict, reason string }{
		"its list":         {"tlv-hello-0:1-1.noarch", api.VerdictVouched, ""},
		"another list":     {"tlv-own-mine", api.VerdictLabel, "is bound to tlv-own-mine"},
		"no list":          {"tlv-none", api.VerdictLabel, "tlv-none, which is not in the directory"},
		"a list withheld":  {"tlv-stranger-0:1-1.noarch", api.VerdictLabel, "which is not in the directory"},
		"not bound at all": {"", api.VerdictVouched, ""},
	} {
		c := content("one")
		c.Label = test.label
		w, err := m.WhyContent(t.Context(), m.Path("/usr/bin/hello"), c)
		if err != nil || w.Verdict != test.verdict || w.Label != test.label || !strings.Contains(strings.Join(w.Reasons, "\n"), test.reason) {
			t.Errorf("bound to %s: %+v, %v; want %s, %q", name, w, err, test.verdict, test.reason)
		}
	}
	gone := content("unknown")
	gone.Label = "tlv-none"
	if w, err := m.WhyContent(t.Context(), "/usr/bin/nobody", gone); err != nil || w.Verdict != api.VerdictLabel || w.Owner != "" {
		t.Errorf("a file of nobody's that is bound to a list that is gone: %+v, %v", w, err)
	}
}

// Users other than root learn about lists, and nothing about files.
func TestWhyOfOthers(t *testing.T) {
	m := files(t)
	for path, owner := range map[string]string{"/usr/bin/hello": "hello-1-1.noarch", "/usr/bin/gone": "hello-1-1.noarch", "/usr/bin/nobody": "", "/usr/bin/none": ""} {
		w, err := m.Why(t.Context(), api.Actor{UID: uint32(os.Geteuid()) + 1}, m.Path(path))
		if err != nil || w.Verdict != api.VerdictUnread || w.Owner != owner || w.Digest != "" || w.Vouched {
			t.Errorf("%s: %+v, %v", path, w, err)
		}
	}
}

// A list that cannot be read does not hide the others.
func TestWhyWithAListThatIsGone(t *testing.T) {
	m := files(t)
	m.Own(t, "copy", 0, daemontest.Body(t, digestlist.SHA256, map[string]string{"/usr/bin/hello": "one"}))
	if err := os.Remove(m.Config.Lists + "/tlv-hello-0:1-1.noarch"); err != nil {
		t.Fatal(err)
	}
	w, err := m.Why(t.Context(), daemontest.Root, m.Path("/usr/bin/hello"))
	if err != nil || !w.Vouched || w.Owner != "own:copy-1-1.noarch" || !slices.ContainsFunc(w.Reasons, func(r string) bool {
		return strings.Contains(r, "tlv-hello-0:1-1.noarch cannot be read")
	}) {
		t.Errorf("%+v, %v", w, err)
	}
}
