// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/digestlist"
)

// imageKey loads the key of a builder of images, and makes it if there is none: before
// the image is entered, from which nothing else can be reached.
func imageKey(ctx context.Context, dir string, log *slog.Logger) (*identity.Identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	loaded, err := identity.Files{Dir: dir}.Load(ctx, log, time.Now())
	if err != nil {
		return nil, err
	}
	if !signer.InFile(loaded.Identity.Key) {
		loaded.Identity.Key.Close()
		return nil, fmt.Errorf("cannot use the key in %s: it is in a token or a TPM, which cannot be reached from within an image", dir)
	}
	return loaded.Identity, nil
}

// imageBuild makes the lists of an image, in the directory where a machine that starts
// from it looks for them. Nothing else of digestd's is left in the image: no key, for that
// would be every machine's, and no index, for each machine has a past of its own. It needs
// no extended attributes, and changes nothing outside of the directory of its lists.
func imageBuild(ctx context.Context, c config.Config, root string, signs *identity.Identity, log *slog.Logger) (err error) {
	if c.ImageLists == "" {
		return errors.New("cannot make the lists of an image: the setting image-lists names no directory")
	}
	if err := os.MkdirAll(filepath.Dir(c.ImageLists), 0o755); err != nil {
		return err
	}
	if err := removeLists(c.ImageLists); err != nil {
		return fmt.Errorf("cannot remove the former lists of the image: %w", err)
	}
	if c.State, err = os.MkdirTemp(filepath.Dir(c.ImageLists), ".state-"); err != nil {
		return err
	}
	c.Lists = c.ImageLists
	defer func() {
		for _, rest := range []string{c.State, c.Lists + ".staging", c.Lists + ".quarantine"} {
			err = errors.Join(err, os.RemoveAll(rest))
		}
	}()
	c.Sign, c.Labels, c.IMASignatures = "pkcs7", false, false
	// What an image has inherited is made again, and what machines use is theirs.
	c.ImageLists, c.Guard, c.Anchor, c.Advisories, c.Fapolicyd, c.Keylime = "", "off", "off", config.AdvisoriesOff, "", ""
	d, err := daemon.NewSigning(c, log, identity.Fixed{Identity: signs})
	if err != nil {
		return err
	}
	r, err := d.Reconcile(ctx)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	fmt.Printf("%s: signed by %s (%s), which machines must have in the directory %s\n",
		root, signs.SKI(), strings.TrimSuffix(signs.Path, filepath.Ext(signs.Path))+".der", c.Keys)
	return report(root, r)
}

// removeLists removes the lists in a directory, which has nothing else: what digestd did not
// make may be anything, and the comparison would remove it. After such an error, all is as it
// was.
func removeLists(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, _, _, _, perr := digestlist.ParseName(e.Name()); perr != nil || !e.Type().IsRegular() {
			return fmt.Errorf("%q in %s is not a list; move it elsewhere, or set image-lists to another directory", e.Name(), dir)
		}
	}
	for _, e := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
	}
	return err
}
