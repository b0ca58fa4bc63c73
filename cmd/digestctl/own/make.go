// SPDX-License-Identifier: Apache-2.0

package own

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/scan"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
)

// making is the work on one own list.
type making struct {
	app    *cli.App
	client *client.Client
	options
	inputs inputs
	name   string
	old    api.Own  // the list before
	fresh  bool     // the previous files of the list are discarded
	doc    document // the result
}

// make scans, sends and publishes the list.
func (m *making) make(ctx context.Context) error {
	status, err := m.client.Status(ctx)
	if err != nil {
		return err
	}
	h := hashing{making: m, progress: &terminal.Progress{UI: m.app.UI, Off: m.app.JSON || m.app.Quiet}}
	o, err := h.plan(status)
	if err != nil {
		return err
	}
	body, roots, err := h.scan(ctx, o)
	if err != nil {
		return err
	}
	defer body.Close()
	defer os.Remove(body.Name())
	upload, err := m.client.Upload(ctx, body)
	if err != nil {
		return err
	}
	req := m.request(upload, roots)
	m.doc.OwnResult, err = job(m.app, func(report client.Progress) (api.OwnResult, error) { return m.client.OwnPublish(ctx, req, report) })
	if err != nil {
		return err
	}
	if len(m.doc.Skipped) > 0 {
		m.app.Code = cli.ExitBad
	}
	if !m.app.JSON {
		printOwned(m.app.UI, m.doc)
	}
	return nil
}

// goesOn reports whether the single files that the list has are made into it again.
func (m *making) goesOn() bool { return m.old.Listed && !m.fresh }

// request asks for an upload to become the next version.
func (m *making) request(upload uint64, roots []string) api.OwnRequest {
	req := api.OwnRequest{Name: m.name, Upload: upload, Listed: len(m.inputs.listed) > 0 || m.goesOn(), Reason: m.reason}
	if m.old.State != "" && m.old.State != api.StateRemoved {
		req.Base = m.old.Version
	}
	if len(roots) > api.MaxSources {
		req.Listed = true
		return req
	}
	for _, r := range roots {
		req.Sources = append(req.Sources, api.OwnSource{Path: r})
	}
	return req
}

// hashing is one scan of the files of a list, with the files that it left out.
type hashing struct {
	*making
	progress *terminal.Progress
	before   map[string]bool // files of the former version, which may be gone
	gone     int             // number of these that are gone
	first    error           // why the first of them could not be hashed
}

// plan says what to hash: what is named, and what the version before is made of.
func (h *hashing) plan(status api.Status) (o scan.Options, err error) {
	in := h.inputs
	o = scan.Options{Root: status.Root, Trees: in.trees, Listed: in.listed, MaxSize: h.maxSize, Expected: in.expected, Report: h.report, Skipped: h.skipped(status.Root)}
	if o.Algo, err = algoOf(h.algo); err != nil {
		return o, cli.Usage(err, "digestctl own")
	}
	if !h.fresh {
		for _, s := range h.old.Sources {
			o.Trees = append(o.Trees, scan.Tree{Path: filepath.Join(status.Root, terminal.PathOf(s.Path, s.RawPath))})
		}
	}
	if !h.goesOn() {
		return o, nil
	}
	files, err := filesOf(filepath.Join(status.ListDirectory, h.old.List))
	if err != nil {
		return o, err
	}
	h.before = make(map[string]bool, len(files))
	for _, f := range files {
		path := filepath.Join(status.Root, f)
		o.Listed = append(o.Listed, path)
		h.before[path] = true
	}
	return o, nil
}

// scan writes the body of the list into a file, and returns the paths it is made of.
func (h *hashing) scan(ctx context.Context, o scan.Options) (body *os.File, roots []string, err error) {
	if body, err = os.CreateTemp("", "digestctl-own-"); err != nil {
		return nil, nil, err
	}
	result, err := scan.Write(ctx, o, body)
	h.progress.End()
	switch empty := errors.Is(err, digestlist.ErrEmpty); {
	case (empty || err == nil) && h.first != nil && !h.skip:
		message := fmt.Sprintf("%s could not be hashed, so nothing was published", terminal.Count(result.Skipped-h.gone, "file", "files"))
		if h.app.JSON { // programs do not read the lines
			message += ": " + h.first.Error()
		}
		err = &api.Error{Code: api.Failed, Message: message, Advice: "fix the cause, or skip these files with --skip"}
	case empty:
		err = &api.Error{Code: api.Failed, Message: "there is no file to list", Advice: "name files, or directories that contain files"}
	}
	if err != nil {
		body.Close()
		os.Remove(body.Name())
		return nil, nil, err
	}
	if h.gone > 0 && !h.app.JSON {
		h.app.UI.Say(terminal.Plain, "%s missing", terminal.Count(h.gone, "file is", "files are"))
	}
	return body, result.Roots, nil
}

// report shows how many files are hashed.
func (h *hashing) report(files int, _ int64) {
	if files%256 == 0 {
		h.progress.Show("hashing", uint64(files), 0)
	}
}

// skipped takes in that a file below root could not be hashed, unless it may be gone.
func (h *hashing) skipped(root string) func(path string, err error) {
	const most = 10_000
	return func(path string, err error) {
		if errors.Is(err, os.ErrNotExist) && h.before[filepath.Join(root, path)] {
			h.gone++
			return
		}
		if errors.Is(err, digestlist.ErrEmpty) {
			return
		}
		s := skippedFile{Path: path, Error: err.Error()}
		if !utf8.ValidString(path) {
			s.RawPath = []byte(path)
		}
		if len(h.doc.Skipped) < most {
			h.doc.Skipped = append(h.doc.Skipped, s)
		}
		if h.first == nil {
			h.first = fmt.Errorf("cannot hash %s: %w", terminal.Safe(path), err)
		}
		if !h.app.JSON {
			h.progress.End()
			fmt.Fprintf(h.app.UI.Err, "digestctl: cannot hash %s: %s\n", terminal.Safe(path), terminal.Safe(err.Error()))
		}
	}
}

// algoOf finds an algorithm by its name.
func algoOf(name string) (digestlist.Algo, error) {
	for _, a := range []digestlist.Algo{digestlist.SHA256, digestlist.SHA384, digestlist.SHA512} {
		if a.String() == strings.ToLower(name) {
			return a, nil
		}
	}
	return 0, fmt.Errorf("--algo is %q: want sha256, sha384 or sha512", name)
}

// filesOf returns the paths that a published list has.
func filesOf(path string) (files []string, err error) {
	_, body, err := userfile.ReadList(path)
	if err != nil {
		return nil, err
	}
	err = digestlist.WalkTLV(body.Content, func(_ digestlist.Algo, _, p []byte) error {
		files = append(files, string(p))
		return nil
	})
	return slices.Clip(files), err
}
