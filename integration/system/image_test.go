// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// image is a root that somebody else made, in which one signed package is installed.
type image struct {
	*machine
	root string
}

func newImage(t *testing.T) *image {
	t.Helper()
	m := newMachine(t)
	im := &image{m, m.In("root")}
	m.importKey("vendor")
	m.RPM("-U", "--noplugins", m.build("hello-1-1.noarch"))
	for _, dir := range []string{"etc/digestd", "var/lib"} {
		if err := os.MkdirAll(im.at(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return im
}

func (im *image) at(path string) string { return filepath.Join(im.root, path) }

// reconcile runs digestd on the image from outside. It must not wait for anybody.
func (im *image) reconcile() (string, error) {
	im.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), pkgtest.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(programs.Dir, "digestd"), "-reconcile", "-root", im.root).CombinedOutput()
	if ctx.Err() != nil {
		im.Errorf("it waits for ever")
	}
	return string(out), err
}

// fresh makes the image's state anew by a good run.
func (im *image) fresh() {
	im.Helper()
	for _, dir := range []string{"var/lib/digestd", "etc/digest_lists"} {
		if err := os.RemoveAll(im.at(dir)); err != nil {
			im.Fatal(err)
		}
	}
	if out, err := im.reconcile(); err != nil {
		im.Fatalf("%v\n%s", err, out)
	}
}

func do(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestHostileImage: nothing that lies in an image makes digestd run its code, use a
// key of this machine, or wait.
func TestHostileImage(t *testing.T) {
	im := newImage(t)
	im.fresh()
	host := t.TempDir() // stands for /var/lib/digestd of this machine
	for _, name := range []string{"signing.key", "signing.crt"} {
		data, err := os.ReadFile(im.at("var/lib/digestd/" + name))
		do(t, err, os.WriteFile(filepath.Join(host, name), data, 0o600))
	}
	proof := filepath.Join(t.TempDir(), "proof")
	source := filepath.Join(t.TempDir(), "evil.c")
	do(t, os.WriteFile(source, fmt.Appendf(nil, `#include <fcntl.h>
__attribute__((constructor)) static void run(void) { open("%s", O_CREAT | O_WRONLY, 0600); open("/proof", O_CREAT | O_WRONLY, 0600); }
`, proof), 0o600))
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", im.at("evil.so"), source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key := im.at("var/lib/digestd/signing.key")
	token := func(module string) func() error {
		return func() error {
			return os.WriteFile(key, []byte("pkcs11:token=t;object=x;id=%01?module-path="+module), 0o600)
		}
	}
	instead := func(path string, make func(path string) error) func() error {
		return func() error {
			os.Remove(im.at(path))
			return make(im.at(path))
		}
	}
	fifo := func(path string) error { return unix.Mkfifo(path, 0o600) }
	link := func(target string) func(string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	for name, test := range map[string]struct {
		harm func() error
		says string
	}{
		"a module of the image":            {token("/evil.so"), "token or a TPM"},
		"a module of the image, by a path": {token(im.at("evil.so")), "token or a TPM"},
		"new keys in a token":              {instead("etc/digestd/digestd.conf", conf(`signing-key = "pkcs11:token=t;object=x?module-path=/evil.so"`)), "token or a TPM"},
		"new keys in a TPM":                {instead("etc/digestd/digestd.conf", conf(`signing-key = "tpm:"`)), "token or a TPM"},
		"the key is a link":                {instead("var/lib/digestd/signing.key", link(filepath.Join(host, "signing.key"))), "neither a regular file"},
		"the key is a hard link": {instead("var/lib/digestd/signing.key", func(path string) error {
			return os.Link(filepath.Join(host, "signing.key"), path)
		}), "another name"},
		"the key is another user's":        {func() error { return os.Chown(key, 1234, 1234) }, "belongs to user 1234"},
		"the key is a FIFO":                {instead("var/lib/digestd/signing.key", fifo), "neither a regular file"},
		"the index is a FIFO":              {instead("var/lib/digestd/index.db", fifo), "neither a regular file"},
		"the index is a link":              {instead("var/lib/digestd/index.db", link("/etc/passwd")), "neither a regular file"},
		"a device":                         {instead("var/lib/digestd/commit", func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) }), "neither a regular file"},
		"others may change the state":      {func() error { return os.Chmod(im.at("var/lib/digestd"), 0o777) }, "can be changed by others"},
		"the configuration is a FIFO":      {instead("etc/digestd/digestd.conf", fifo), "not a regular file"},
		"the state is a link to elsewhere": {func() error { return replaceByLink(im.at("var/lib/digestd"), host) }, "cannot create the state directory"},
		"the configuration is a link out":  {instead("etc/digestd/digestd.conf", link(filepath.Join(host, "signing.key"))), ""},
		"the database's own log is a FIFO": {instead("var/lib/rpm/rpmdb.sqlite-wal", fifo), ""},
		"the database's journal is a FIFO": {instead("var/lib/rpm/rpmdb.sqlite-journal", fifo), ""},
		"the directory of keys has a FIFO": {func() error {
			os.MkdirAll(im.at("etc/digestd/keys.d"), 0o755)
			return fifo(im.at("etc/digestd/keys.d/x.asc"))
		}, ""},
		"a file of a package became a FIFO": {instead("usr/bin/hello", fifo), ""},
	} {
		before, err := os.ReadDir(host)
		do(t, err)
		do(t, test.harm())
		out, err := im.reconcile()
		if test.says != "" && (err == nil || !strings.Contains(out, test.says)) {
			t.Errorf("%s: it ended with %v and said:\n%s", name, err, out)
		}
		if _, err := os.Lstat(proof); err == nil {
			t.Errorf("%s: code of the image was run", name)
		}
		if _, err := os.Lstat(im.at("proof")); err == nil {
			t.Errorf("%s: code of the image was run", name)
		}
		if after, err := os.ReadDir(host); err != nil || len(after) != len(before) {
			t.Errorf("%s: outside are %v, %v", name, after, err)
		}
		for _, path := range []string{"etc/digestd/digestd.conf", "etc/digestd/keys.d", "var/lib/rpm/rpmdb.sqlite-wal", "var/lib/rpm/rpmdb.sqlite-journal"} {
			os.RemoveAll(im.at(path))
		}
		im.fresh()
	}
}

func conf(line string) func(path string) error {
	return func(path string) error { return os.WriteFile(path, []byte(line+"\n"), 0o644) }
}

func replaceByLink(path, target string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// TestImageWithAbsoluteLinks: links of an image mean what they mean when it runs.
func TestImageWithAbsoluteLinks(t *testing.T) {
	im := newImage(t)
	real := "/image-" + filepath.Base(filepath.Dir(im.root)) + fmt.Sprint(time.Now().UnixNano()) // not there outside
	do(t, os.Mkdir(im.at(real), 0o755), os.Rename(im.at("var"), im.at(real+"/var")), os.Symlink(real+"/var", im.at("var")),
		os.Rename(im.at("usr/bin"), im.at(real+"/bin")), os.Symlink(real+"/bin", im.at("usr/bin")))
	if out, err := im.reconcile(); err != nil || !strings.Contains(out, "1 installed, 1 lists made") {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(real); err == nil {
		t.Errorf("%s was made outside", real)
	}
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(im.at(real+"/bin/hello"), "security.digest_list", buf)
	if err != nil || string(bytes.TrimRight(buf[:n], "\x00")) != "tlv-hello-0:1-1.noarch" {
		t.Errorf("label %q, %v", buf[:max(n, 0)], err)
	}
	if _, err := os.Stat(im.at(real + "/var/lib/digestd/signing.key")); err != nil {
		t.Error(err)
	}
}
