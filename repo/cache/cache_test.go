// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/needs"
)

// put writes a file below a root, with the directories that lead there.
func put(t *testing.T, root, path, text string) {
	t.Helper()
	needs.Root(t) // to whom caches must belong
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	if found, errs := Find(root); len(found) != 0 || len(errs) != 0 {
		t.Errorf("%v, %v in an empty root", found, errs)
	}
	put(t, root, "var/cache/dnf/updates-0123456789abcdef/repodata/repomd.xml", "one")
	put(t, root, "var/cache/dnf/updates-0123456789abcdef/repodata/repomd.xml.asc", "signature")
	put(t, root, "var/cache/libdnf5/fedora-0123456789abcdef/repodata/repomd.xml", "two")
	put(t, root, "var/cache/zypp/raw/repo-oss/repodata/repomd.xml", "three")
	put(t, root, "var/cache/dnf/expired_repos.json", "{}")
	put(t, root, "var/cache/dnf/empty-0123456789abcdef/mirrorlist", "")
	found, errs := Find(root)
	var got []string
	for _, r := range found {
		data, sig, err := r.Repomd(100)
		check(t, err)
		got = append(got, r.Manager+" "+r.ID+" "+string(data)+" "+string(sig))
		if r.Stamp == "" || r.Changed == 0 {
			t.Errorf("%+v", r)
		}
		if _, _, err := r.Repomd(2); err == nil || !strings.Contains(err.Error(), "larger") {
			t.Error(err)
		}
	}
	if want := []string{"dnf updates one signature", "dnf5 fedora two ", "zypper repo-oss three "}; !slices.Equal(got, want) || len(errs) != 0 {
		t.Errorf("%q, %v", got, errs)
	}
	stamp := found[0].Stamp
	put(t, root, "var/cache/dnf/updates-0123456789abcdef/repodata/repomd.xml", "another")
	for _, r := range found {
		r.Close()
	}
	if found, _ = Find(root); found[0].Stamp == stamp {
		t.Error("a change has the same stamp")
	}
}

// Nothing is opened outside of a cache, or that others can change.
func TestUntrusted(t *testing.T) {
	const dir = "var/cache/dnf/updates-0123456789abcdef/repodata/"
	for name, spoil := range map[string]func(root string) error{
		"a link to a repository": func(root string) error {
			return os.Rename(root+"/var/cache/dnf/updates-0123456789abcdef", root+"/real")
		},
		"writable":           func(root string) error { return os.Chmod(root+"/"+dir, 0o777) },
		"writable above":     func(root string) error { return os.Chmod(root+"/var/cache", 0o775) },
		"of another user":    func(root string) error { return os.Chown(root+"/var/cache/dnf", 1000, 0) },
		"repomd is writable": func(root string) error { return os.Chmod(root+"/"+dir+"repomd.xml", 0o646) },
		"repomd is a pipe": func(root string) error {
			return os.Rename(root+"/"+dir+"repomd.xml", root+"/x")
		},
	} {
		root := t.TempDir()
		put(t, root, dir+"repomd.xml", "one")
		check(t, spoil(root))
		if name == "a link to a repository" {
			check(t, os.Symlink(root+"/real", root+"/var/cache/dnf/updates-0123456789abcdef"))
		}
		if name == "repomd is a pipe" {
			check(t, os.Mkdir(root+"/"+dir+"repomd.xml", 0o755))
		}
		found, errs := Find(root)
		for _, r := range found {
			if data, _, err := r.Repomd(100); err == nil {
				t.Errorf("%s: %q is read", name, data)
			}
		}
		if len(found)+len(errs) == 0 {
			t.Errorf("%s: nothing is said", name)
		}
	}
}

func TestOpen(t *testing.T) {
	root := t.TempDir()
	const dir = "var/cache/zypp/raw/x/repodata/"
	put(t, root, dir+"repomd.xml", "one")
	put(t, root, "var/cache/zypp/raw/secret", "secret")
	check(t, os.Symlink("../../secret", filepath.Join(root, dir, "link")))
	found, _ := Find(root)
	r := found[0]
	defer r.Close()
	for _, name := range []string{"../../secret", "link", "..", ".", "/", "/etc/passwd", "", "absent"} {
		if f, err := r.Open(name); err == nil {
			f.Close()
			t.Errorf("%q is opened", name)
		}
	}
	f, err := r.Open("repomd.xml")
	check(t, err)
	if data, _ := io.ReadAll(f); string(data) != "one" {
		t.Errorf("%q", data)
	}
	f.Close()
}

func TestKeyFiles(t *testing.T) {
	root := t.TempDir()
	put(t, root, "etc/yum.repos.d/a.repo", "# [no]\n[updates]\nname=x\ngpgkey = file:///etc/pki/one.asc, https://vendor.example/k\n\tfile:///etc/pki/two-$releasever.asc\nenabled=1\n  file:///etc/pki/none.asc\n[b]\ngpgkey=file://relative\n")
	put(t, root, "etc/zypp/repos.d/z.repo", "[oss]\ngpgkey=file:///etc/pki/one.asc\n")
	put(t, root, "etc/yum.repos.d/loose.repo", "[loose]\ngpgkey=file:///etc/pki/one.asc\n")
	check(t, os.Chmod(filepath.Join(root, "etc/yum.repos.d/loose.repo"), 0o666))
	found := KeyFiles(root)
	if len(found) != 2 || !slices.Equal(found["updates"], []string{"/etc/pki/one.asc", "/etc/pki/two-$releasever.asc"}) || !slices.Equal(found["oss"], []string{"/etc/pki/one.asc"}) {
		t.Errorf("%q", found)
	}
	put(t, root, "etc/pki/one.asc", "1")
	put(t, root, "etc/pki/two-41.asc", "2")
	put(t, root, "etc/pki/two-42.asc", "3")
	check(t, os.Symlink("/etc/pki/one.asc", filepath.Join(root, "etc/pki/linked.asc")))
	for path, want := range map[string]string{"/etc/pki/one.asc": "1", "/etc/pki/linked.asc": "1", "/etc/pki/two-$releasever.asc": "23", "/etc/pki/absent.asc": "", "/etc/$x/one.asc": ""} {
		data, _ := ReadKeys(root, path)
		text := ""
		slices.SortFunc(data, func(a, b []byte) int { return strings.Compare(string(a), string(b)) })
		for _, d := range data {
			text += string(d)
		}
		if text != want {
			t.Errorf("%s: %q, want %q", path, text, want)
		}
	}
	check(t, os.Chmod(filepath.Join(root, "etc/pki/one.asc"), 0o666))
	if data, err := ReadKeys(root, "/etc/pki/one.asc"); err == nil {
		t.Errorf("%q is read, which others can write", data)
	}
}
