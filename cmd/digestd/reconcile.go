// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/daemon"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/rpmdb/pgp"
	"golang.org/x/sys/unix"
)

// reconcile brings the lists below root in step with its packages, once: on a
// root where no digestd runs. Somebody else may have made that root, so this
// process enters it before it reads anything there: the configuration, the keys
// and all links are the root's own, and nothing of this machine is within reach.
//
// With imageKeys it makes the lists of an image instead; see imageBuild.
func reconcile(ctx context.Context, path, root, imageKeys string, verbose bool) error {
	log := logger(verbose)
	var signs *identity.Identity
	if imageKeys != "" {
		var err error
		if signs, err = imageKey(ctx, imageKeys, log); err != nil {
			return err
		}
		defer signs.Key.Close()
	}
	image := root != "/"
	if err := pgp.CheckMode(); err != nil {
		return err
	}
	if image {
		_ = time.Now().Local().String() // reads the time zone of this machine, and not the root's later
		if err := kernel.Enter(root); err != nil {
			return err
		}
		path = filepath.Join("/", path)
	}
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	// The daemons of this machine have nothing to do with the other one.
	c.Bus, c.AuditTrail = "none", "none"
	if signs != nil {
		return imageBuild(ctx, c, root, signs, log)
	}
	if image {
		if err := checkImage(&c); err != nil {
			return fmt.Errorf("cannot use root %s: %w", root, err)
		}
	}
	// A root may be as empty as its first packages leave it.
	if err := os.MkdirAll(filepath.Dir(c.Lists), 0o755); err != nil {
		return err
	}
	d, err := daemon.New(c, log, func(...string) {})
	if err != nil {
		return err
	}
	defer d.Close()
	if image && !d.KeyInFile() {
		return fmt.Errorf("cannot use root %s: %w", root, errForeignKey)
	}
	r, err := d.Reconcile(ctx)
	if err != nil {
		return err
	}
	return report(root, r)
}

// report says what a comparison did.
func report(root string, r api.SyncResult) error {
	fmt.Printf("%s: %d installed, %d lists made, %d kept, %d taken away, %d packages without\n",
		root, r.Installed, r.Published, r.Kept, r.Withdrawn, r.Withheld)
	if r.Failed > 0 {
		return fmt.Errorf("%d packages could not be vouched for, see above", r.Failed)
	}
	return nil
}

// errForeignKey: what such a key needs is this machine's, and a PKCS#11 module is
// code of the root.
var errForeignKey = errors.New("its lists are signed by a key in a token or a TPM; run digestd there, or take the setting signing-key and the key file away")

// maxStateFiles bounds how many files a state directory may have.
const maxStateFiles = 1 << 20

// checkImage refuses a state directory in which reading may have effects, wait for
// ever, or reach what others can change. Only links in the path that leads to it are
// followed; they stay within the root.
func checkImage(c *config.Config) error {
	if c.SigningKey != "" {
		return errForeignKey
	}
	state, err := filepath.EvalSymlinks(c.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is made, where no link is in the way
	}
	if err != nil {
		return err
	}
	c.State = state
	files := 0
	return filepath.WalkDir(state, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if files++; files > maxStateFiles {
			return fmt.Errorf("%s has more than %d files", state, maxStateFiles)
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		switch kind := st.Mode & unix.S_IFMT; {
		case kind != unix.S_IFREG && kind != unix.S_IFDIR:
			return fmt.Errorf("%s is neither a regular file nor a directory", path)
		case int(st.Uid) != os.Geteuid():
			return fmt.Errorf("%s belongs to user %d", path, st.Uid)
		case st.Mode&0o022 != 0:
			return fmt.Errorf("%s can be changed by others than its owner: mode %04o", path, st.Mode&0o7777)
		case kind == unix.S_IFREG && st.Nlink != 1:
			return fmt.Errorf("%s has another name, which may lie outside", path)
		}
		return nil
	})
}
