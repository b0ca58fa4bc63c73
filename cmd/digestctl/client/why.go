// SPDX-License-Identifier: Apache-2.0

package client

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
)

// Ask asks about one file. digestd reads files for root only, so that digestctl
// of anybody else reads the file itself: what its user may not find or read, nobody
// tells. It passes on what it saw and not an open file, because the bus library would
// close that in digestd, and so drop digestd's locks on the same file.
func (c *Client) Ask(ctx context.Context, path string) (api.Why, error) {
	if os.Geteuid() != 0 {
		return c.askContent(ctx, path)
	}
	return c.askPath(ctx, path)
}

// askPath lets digestd look; a path that is no text travels as bytes.
func (c *Client) askPath(ctx context.Context, path string) (api.Why, error) {
	if utf8.ValidString(path) {
		return c.Why(ctx, path)
	}
	return c.WhyBytes(ctx, []byte(path))
}

// askContent looks at the file and asks what that means.
func (c *Client) askContent(ctx context.Context, path string) (api.Why, error) {
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
	why, err := c.WhyContent(ctx, path, api.Content{RealPath: string(file.Real), Found: file.Kind == look.Regular, Label: file.Label,
		SHA256: file.Digests[digestlist.SHA256], SHA384: file.Digests[digestlist.SHA384], SHA512: file.Digests[digestlist.SHA512]})
	if BusError(err) == "UnknownMethod" {
		return c.askPath(ctx, path) // a digestd older than this digestctl
	}
	return why, err
}
