// SPDX-License-Identifier: Apache-2.0

package imalog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/imalog"
	"github.com/google/go-cmp/cmp"
)

var (
	ones = bytes.Repeat([]byte{0x11}, 32)
	twos = bytes.Repeat([]byte{0x22}, 20)
)

// want is what both forms of the list below say.
var want = []imalog.Entry{
	{PCR: 10, Template: "ima-ng", Algo: digestlist.SHA256, Digest: ones, Path: "boot_aggregate"},
	{PCR: 10, Template: "ima-ng", Algo: digestlist.SHA256, Digest: ones, Path: "/usr/bin/caf\xe9"},
	{PCR: 12, Template: "ima-sig", Algo: digestlist.SHA1, Digest: twos, Path: "/etc/digest_lists/tlv-x"},
	{PCR: 10, Template: "ima", Algo: digestlist.SHA1, Digest: twos, Path: "/sbin/init"},
	{PCR: 10, Template: "ima-ngv2", Algo: digestlist.SHA256, Digest: ones, Path: "/verity"},
	{PCR: 10, Template: "ima-ng", Algo: digestlist.SHA1, Digest: make([]byte, 20), Path: "/open/for/writing"},
}

func text() []byte {
	one, two, tmpl := strings.Repeat("11", 32), strings.Repeat("22", 20), strings.Repeat("ab", 20)
	return []byte("10 " + tmpl + " ima-ng sha256:" + one + " boot_aggregate\n" +
		"10 " + tmpl + " ima-ng sha256:" + one + " /usr/bin/caf\xe9\n" +
		"12 " + tmpl + " ima-sig sha1:" + two + " /etc/digest_lists/tlv-x 030204\n" +
		"10 " + tmpl + " ima " + two + " /sbin/init\n" +
		"10 " + tmpl + " ima-ngv2 verity:sha256:" + one + " /verity\n" +
		" 10 " + strings.Repeat("00", 20) + " ima-ng sha1:" + strings.Repeat("00", 20) + " /open/for/writing\n")
}

func field(b ...byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func record(pcr uint32, template string, fields ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, pcr)
	b = append(b, bytes.Repeat([]byte{0xab}, 20)...)
	b = append(b, field([]byte(template)...)...)
	data := bytes.Join(fields, nil)
	if template == "ima" {
		return append(b, data...)
	}
	return append(b, field(data...)...)
}

func binaryList() []byte {
	digest := func(algo string, sum []byte) []byte { return field(append([]byte(algo+":\x00"), sum...)...) }
	path := func(p string) []byte { return field([]byte(p + "\x00")...) }
	return bytes.Join([][]byte{
		record(10, "ima-ng", digest("sha256", ones), path("boot_aggregate")),
		record(10, "ima-ng", digest("sha256", ones), path("/usr/bin/caf\xe9")),
		record(12, "ima-sig", digest("sha1", twos), path("/etc/digest_lists/tlv-x"), field(3, 2, 4)),
		record(10, "ima", twos, path("/sbin/init")),
		record(10, "ima-ngv2", digest("verity:sha256", ones), path("/verity")),
		record(10, "ima-ng", digest("sha1", make([]byte, 20)), path("/open/for/writing")),
	}, nil)
}

func parse(list []byte) (entries []imalog.Entry, err error) {
	err = imalog.Parse(list, func(e imalog.Entry) error {
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

func TestBothForms(t *testing.T) {
	for name, list := range map[string][]byte{"text": text(), "binary": binaryList()} {
		got, err := parse(list)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if !want[5].Violation() || want[0].Violation() {
		t.Error("violations are told by the digest")
	}
	// A path with a line break is whole in the binary form.
	got, err := parse(record(10, "ima-ng", field(append([]byte("sha256:\x00"), ones...)...), field([]byte("/a\nb\x00")...)))
	if err != nil || len(got) != 1 || got[0].Path != "/a\nb" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestMalformed(t *testing.T) {
	whole := binaryList()
	for _, cut := range []int{1, 4, 23, 27, 30, 40, 60, len(whole) - 1} {
		if _, err := parse(whole[:cut]); err == nil || !strings.HasPrefix(err.Error(), "byte ") {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	for list, words := range map[string]string{
		"10 ab ima-ng sha256:11 /x\n":                                         "line 1: \"11\" is no sha256 digest",
		"10 ab ima-ng sha256:" + strings.Repeat("11", 32) + " /a\nb\n":        "line 2: want a register",
		"1x ab ima-ng sha256:" + strings.Repeat("11", 32) + " /a\n":           `"1x" is no register`,
		"10 ab ima-ng sha9:" + strings.Repeat("11", 32) + " /a\n":             `unknown algorithm "sha9"`,
		string(record(10, strings.Repeat("x", 65))):                           "a field of 65 bytes",
		string(record(10, "ima-ng", field([]byte("sha256")...), field('/'))):  "a digest without an algorithm",
		string(record(10, "ima-ng", field([]byte("md5:\x00x")...), field(0))): "a md5 digest of 1 bytes",
		"\x0a\x00\x00\x00" + strings.Repeat("\xff", 24):                       "bytes, at most 64",
	} {
		if _, err := parse([]byte(list)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.40q: %v, want %q", list, err, words)
		}
	}
	stop := errors.New("enough")
	if err := imalog.Parse(text(), func(imalog.Entry) error { return stop }); err != stop {
		t.Errorf("stopped with %v", err)
	}
}

// FuzzParse: what is read is within bounds, and every entry has a digest of its
// algorithm.
func FuzzParse(f *testing.F) {
	f.Add(text())
	f.Add(binaryList())
	f.Fuzz(func(t *testing.T, list []byte) {
		total := 0
		err := imalog.Parse(list, func(e imalog.Entry) error {
			if len(e.Digest) != e.Algo.Size() {
				t.Errorf("a %s digest of %d bytes", e.Algo, len(e.Digest))
			}
			total += len(e.Path) + len(e.Digest)
			return nil
		})
		if err == nil && total > 2*len(list) {
			t.Errorf("%d bytes out of %d", total, len(list))
		}
	})
}
