// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const recorded = `0fa6fe1a I------     1 perm 1f030000     0     0 asymmetri Debian Secure Boot CA: 6ccece7e4c6c0d1f6149f3dd27dfcc5cbb419ea1: X509.rsa bb419ea1 []
1de6525d I--Q---     2 perm 1f3f0000     0 65534 keyring   _uid.0: empty
2083eaa4 I------     1 perm 0f0b0000     0     0 keyring   .blacklist: 2
2083eaa5 I------     1   3d 0b0b0000     0     0 blacklist bin:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
25028a56 I------     1 perm 1f0b0000     0     0 keyring   .builtin_trusted_keys: empty
`

func procKeys(t *testing.T, text string) (keys []procKey) {
	t.Helper()
	if err := eachProcKey(strings.NewReader(text), func(k procKey) bool { keys = append(keys, k); return false }); err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestProcKeys(t *testing.T) {
	want := []procKey{
		{0x0fa6fe1a, "asymmetri", "Debian Secure Boot CA: 6ccece7e4c6c0d1f6149f3dd27dfcc5cbb419ea1: X509.rsa bb419ea1 []"},
		{0x1de6525d, "keyring", "_uid.0: empty"},
		{0x2083eaa4, "keyring", ".blacklist: 2"},
		{0x2083eaa5, "blacklist", "bin:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{0x25028a56, "keyring", ".builtin_trusted_keys: empty"},
	}
	opt := cmp.AllowUnexported(procKey{})
	if diff := cmp.Diff(want, procKeys(t, recorded), opt); diff != "" {
		t.Error(diff)
	}
	// Nonsense of any length is ignored, and hides nothing.
	for _, nonsense := range []string{"\n\n", "zz\n", "ffffffff I------ 1 perm 1f0b0000 0 0 keyring x\n", strings.Repeat("k", 3*maxProcLine) + "\n",
		"00000001 I------     1 perm 1f0b0000     0     0 keyring   " + strings.Repeat("1 ", 2*maxProcLine) + "\n"} {
		if diff := cmp.Diff(want, procKeys(t, nonsense+recorded), opt); diff != "" {
			t.Errorf("%.20q: %s", nonsense, diff)
		}
	}
}

func FuzzProcKeys(f *testing.F) {
	f.Add(recorded)
	f.Add("0fa6fe1a I------     1 perm 1f030000     0     0 user")
	f.Fuzz(func(t *testing.T, text string) {
		for _, k := range procKeys(t, text) {
			if k.id <= 0 || k.kind == "" || strings.ContainsAny(k.kind+k.rest, "\n") {
				t.Errorf("%+v", k)
			}
		}
	})
}

func FuzzDescription(f *testing.F) {
	f.Add("asymmetric;0;0;1f030000;Debian Secure Boot CA: 6ccece7e")
	f.Add("keyring;0;65534;1f3f0000;.ima")
	f.Add("user;1000;1000;3f010000;a;b;c\n")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseDescription(1, text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(text, k.Type+";") || !strings.HasSuffix(text, ";"+k.Description) {
			t.Errorf("%q is %+v", text, k)
		}
		if subject, keyID, ok := k.Certificate(); ok && (k.Description != subject+": "+keyID || keyID == "") {
			t.Errorf("%q is a certificate %q %q", text, subject, keyID)
		}
	})
}

// record makes a notification as the kernel writes it (watch_queue.h).
func record(kind, subtype, length uint32, rest ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, kind|subtype<<24)
	b = binary.NativeEndian.AppendUint32(b, length)
	return append(b, rest...)
}

func TestNotifications(t *testing.T) {
	key := record(watchTypeKey, 2, 16, 1, 2, 3, 4, 5, 6, 7, 8)
	removal := record(watchTypeMeta, 0, 8)
	for _, test := range []struct {
		name string
		data []byte
		want bool
	}{
		{"nothing", nil, false},
		{"a key was linked", key, true},
		{"the watch ends", removal, false},
		{"it ends after a change", append(append([]byte(nil), removal...), key...), true},
		{"some were lost", record(watchTypeMeta, watchMetaLoss, 8), true},
		{"of another kind", record(7, 0, 8), false},
		{"without a length", record(7, 0, 0), true},
		{"cut short", record(7, 0, 16), true},
	} {
		if got := changed(test.data); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
