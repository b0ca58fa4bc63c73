// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

var (
	digestA = "sha256:" + strings.Repeat("a1", 32)
	digestB = "sha512:" + strings.Repeat("b2", 64)
)

func document(denials ...string) string {
	return `{"format":"digestd-denials","version":1,"denials":[` + strings.Join(denials, ",") + `]}`
}

func TestParseDenials(t *testing.T) {
	got, err := parseDenials([]byte(document(
		`{"digests":["`+strings.ToUpper(digestB[7:])+`","`+digestA+`"],"path":"/usr/bin/x","reason":"r","ticket":"T"}`,
		`{"package":"openssl","arch":"x86_64","below":"3.0.7-18","reason":"r","expires":"2027-01-01T00:00:00Z","since":"2026-01-01T00:00:00Z"}`,
		`{"package":"openssl","arch":"x86_64","exact":"1:1-1","reason":"r"}`,
	)))
	if err != nil {
		t.Fatal(err)
	}
	want := []record.Denial{
		{Digests: []string{digestA, digestB}, Path: "/usr/bin/x", Ticket: "T", Act: record.Act{Reason: "r"}},
		{Package: "openssl", Arch: "x86_64", Below: "3.0.7-18", Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
			Act: record.Act{Reason: "r", When: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{Package: "openssl", Arch: "x86_64", Exact: "1:1-1", Act: record.Act{Reason: "r"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, tc := range map[string]struct{ text, says string }{
		"nothing":             {"", "end of JSON"},
		"no JSON":             {"<updates/>", "invalid character"},
		"cut short":           {document()[:30], "end of JSON"},
		"more behind it":      {document() + "{}", "after top-level"},
		"another format":      {strings.Replace(document(), "digestd-denials", "x", 1), `format is "x"`},
		"a later version":     {strings.Replace(document(), `"version":1`, `"version":2,"new":true`, 1), "version is 2"},
		"an unknown key":      {document(`{"package":"a","reason":"r","colour":"red"}`), `unknown field "colour"`},
		"a key twice":         {document(`{"package":"a","Package":"b","reason":"r"}`), "twice"},
		"a key twice on top":  {strings.Replace(document(), `"version":1`, `"version":1,"version":1`, 1), "twice"},
		"another type":        {document(`{"package":7,"reason":"r"}`), "cannot unmarshal"},
		"no reason":           {document(`{"package":"a"}`), "no reason"},
		"nothing denied":      {document(`{"reason":"r"}`), "name is empty"},
		"both":                {document(`{"package":"a","digests":["` + digestA + `"],"reason":"r"}`), "both digests and a package"},
		"a digest of nothing": {document(`{"digests":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],"reason":"r"}`), "every empty file"},
		"no digest":           {document(`{"digests":["bash"],"reason":"r"}`), "is not a digest"},
		"below and exactly":   {document(`{"package":"a","below":"1","exact":"1-1","reason":"r"}`), "give either < or an exact version"},
		"exactly, anywhere":   {document(`{"package":"a","exact":"1-1","reason":"r"}`), "needs an architecture"},
		"a bad name":          {document(`{"package":"a/b","reason":"r"}`), "has a '/'"},
		"an escape":           {document(`{"package":"a","reason":"\u001b[2J"}`), "unprintable"},
		"a long reason":       {document(`{"package":"a","reason":"` + strings.Repeat("r", 1025) + `"}`), "more than 1024"},
		"a key of rpm's":      {document(`{"package":"gpg-pubkey","reason":"r"}`), "for keys"},
		"far away":            {document(`{"package":"a","reason":"r","expires":"9999-12-31T23:59:59-01:00"}`), "too far in the future"},
		"too many":            {document(strings.Repeat(`{"package":"a","reason":"r"},`, 10_000) + `{"package":"a","reason":"r"}`), "at most 10000"},
		"too large":           {document() + strings.Repeat(" ", api.MaxDenialDocument), "more than 8388608"},
		"no text":             {document(`{"package":"a` + "\xff" + `","reason":"r"}`), "not valid UTF-8"},
		"depth":               {strings.Repeat("[", 1_000_000), "depth"},
	} {
		if list, err := parseDenials([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %d, %.200v", name, len(list), err)
		}
	}
}

func FuzzParseDenials(f *testing.F) {
	f.Add([]byte(document(`{"digests":["` + digestA + `"],"reason":"r"}`)))
	f.Add([]byte(document(`{"package":"openssl","below":"1","reason":"r","expires":"2027-01-01T00:00:00Z"}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseDenials(data)
		for _, d := range list {
			if _, bad := view.PolicyDenial(d); bad != nil || err != nil {
				t.Errorf("%+v: %v, %v", d, bad, err)
			}
		}
	})
}
