// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/digestd/digestd/daemon"
	"github.com/digestd/digestd/daemon/config"
)

// reconcile brings the lists below root in step with its packages, once: on a
// root where no digestd runs. The configuration is the root's own.
func reconcile(ctx context.Context, path, root string, verbose bool) error {
	c, err := configOf(path, root)
	if err != nil {
		return err
	}
	// A root may be as empty as its first packages leave it.
	if err := os.MkdirAll(filepath.Dir(c.Lists), 0o755); err != nil {
		return err
	}
	d, err := daemon.New(c, logger(verbose), func(...string) {})
	if err != nil {
		return err
	}
	defer d.Close()
	r, err := d.Reconcile(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d installed, %d lists made, %d kept, %d taken away, %d packages without\n",
		c.Root, r.Installed, r.Published, r.Kept, r.Withdrawn, r.Withheld)
	if r.Failed > 0 {
		return fmt.Errorf("%d packages could not be vouched for, see above", r.Failed)
	}
	return nil
}

// configOf reads the configuration of a root, with its paths as they are seen
// from here.
func configOf(path, root string) (config.Config, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return config.Config{}, err
	}
	if path, err = within(root, path); err != nil {
		return config.Config{}, err
	}
	c, err := config.Load(path)
	if err != nil {
		return c, err
	}
	for _, p := range []*string{&c.Root, &c.State, &c.Lists, &c.Keys, &c.Revoked, &c.Blacklist, &c.Fapolicyd, &c.Keylime} {
		if *p == "" {
			continue
		}
		if *p, err = within(root, *p); err != nil {
			return c, err
		}
	}
	// What it is told about this machine's daemons would be wrong, and the other way round.
	c.Bus, c.AuditTrail = "none", "none"
	return c, nil
}

// within names a path of the root. Where a link leads out of the root, what is
// there is not the root's: that is an error.
func within(root, path string) (string, error) {
	whole := filepath.Join(root, path)
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", fmt.Errorf("cannot use root: %w", err)
	}
	for at := whole; ; at = filepath.Dir(at) {
		target, err := filepath.EvalSymlinks(at)
		if errors.Is(err, fs.ErrNotExist) && at != root {
			continue // what is absent is made below what is there
		}
		if err != nil {
			return "", err
		}
		if target != real && !strings.HasPrefix(target, strings.TrimSuffix(real, "/")+"/") {
			return "", fmt.Errorf("cannot use %s: it leads out of %s", whole, root)
		}
		return whole, nil
	}
}
