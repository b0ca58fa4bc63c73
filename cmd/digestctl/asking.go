// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/godbus/dbus/v5"
)

// askWhy asks about one file. digestd reads files for root only, so that digestctl
// of anybody else reads the file itself: what its user may not find or read, nobody
// tells. It passes on what it saw and not an open file, because the bus library would
// close that in digestd, and so drop digestd's locks on the same file.
func askWhy(ctx context.Context, c *client, path string) (api.Why, error) {
	if os.Geteuid() != 0 {
		return askContent(ctx, c, path)
	}
	return askPath(ctx, c, path)
}

// askPath lets digestd look; a path that is no text travels as bytes.
func askPath(ctx context.Context, c *client, path string) (api.Why, error) {
	if utf8.ValidString(path) {
		return get[api.Why](ctx, c, "Why", path)
	}
	return get[api.Why](ctx, c, "WhyBytes", []byte(path))
}

// askContent looks at the file and asks what that means.
func askContent(ctx context.Context, c *client, path string) (api.Why, error) {
	w := api.Why{Path: path, RealPath: path, Lists: []api.WhyList{}, Reasons: []string{}}
	root, err := kernel.OpenRoot("/")
	if err != nil {
		return w, err
	}
	defer root.Close()
	file, err := look.At(ctx, root, path, digestlist.SHA256, digestlist.SHA384, digestlist.SHA512)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return w, &api.Error{Code: api.AccessDenied, Message: "you may not read " + path + " yourself", Advice: "ask as root"}
	case err != nil:
		return w, err
	case file.Kind == look.NotRegular:
		w.Verdict, w.Text = api.VerdictNotRegular, "only regular files are vouched for; this is none"
		return w, nil
	case file.Kind == look.MadeUp:
		w.Verdict, w.Text = api.VerdictNotRegular, "only files on disks are vouched for; the kernel makes this one up"
		return w, nil
	}
	sum := func(algo digestlist.Algo) []byte { return append([]byte{}, file.Digests[algo]...) }
	why, err := get[api.Why](ctx, c, "WhyContent", []byte(path), append([]byte{}, file.Real...), file.Kind == look.Regular, file.Label,
		sum(digestlist.SHA256), sum(digestlist.SHA384), sum(digestlist.SHA512))
	var remote dbus.Error
	if errors.As(err, &remote) && remote.Name == busName+".Error.UnknownMethod" {
		return askPath(ctx, c, path) // a digestd older than this digestctl
	}
	return why, err
}
