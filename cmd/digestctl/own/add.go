// SPDX-License-Identifier: Apache-2.0

package own

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/digestd/digestd/kernel"
	"github.com/spf13/cobra"
)

// ownOptions are the flags of those who hash.
type ownOptions struct {
	reason  string
	algo    string
	chroot  string
	imaLog  string
	maxSize int64
	null    bool
	skip    bool
	replace bool
}

func (o *ownOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.algo, "algo", "sha256", "hash by `ALGORITHM`: sha256, sha384 or sha512, as ima_hash= of the kernel says")
	f.Int64Var(&o.maxSize, "max-size", 4<<30, "hash files of at most `BYTES`")
	f.BoolVarP(&o.skip, "skip", "k", false, "list what can be hashed, also if some files cannot")
	cli.OptionalReason(cmd, &o.reason)
}

// maxPathList bounds the paths that are read from standard input, in bytes.
const maxPathList = 512 << 20

func ownAddCommand(a *cli.App) *cobra.Command {
	var o ownOptions
	cmd := &cobra.Command{
		Annotations: cli.Prints(ownDocument{}),
		Use:         "add NAME PATH...",
		Short:       "Make a list of files, or add to one",
		Long: `Add hashes files, on all processors, and makes a list of them that is signed,
published, and bound to the files: all that lies below each PATH, on the same file
system, without following links. If there is a list of that name, what it is made
of is hashed again and the new files are added; --replace begins anew. PATH - reads
paths, of files alone, from standard input. Files that a package's list has, with
the same content, stay bound to that.

With --root the paths are looked up inside of that directory, such as a container,
and no link leads out of it. With --ima-log the files that the kernel measured are
listed, if they are still what was measured; the list may be in either form that
securityfs offers.

If a file cannot be hashed, because it changes meanwhile, is too large or may not
be read, nothing is published, unless with --skip: then the rest is, and the exit
code is 3.`,
		Example: "  digestctl own add local /usr/local --reason 'our own tools'\n" +
			"  find /srv -name '*.so' -print0 | digestctl own add plugins -0 -\n" +
			"  digestctl own add web --root /var/lib/machines/web /\n" +
			"  digestctl own add boot --ima-log /sys/kernel/security/ima/ascii_runtime_measurements",
		Args: cli.AtLeast("NAME"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			name := args[0]
			if len(args) == 1 && o.imaLog == "" {
				return cli.Usage(fmt.Errorf("own add needs PATH or --ima-log FILE"), "digestctl own add")
			}
			old, err := c.Own(ctx, name)
			var missing *api.Error
			if err != nil && !(errors.As(err, &missing) && missing.Code == api.NotFound) {
				return err
			}
			if old.Key != "" && old.State != api.StateRemoved && !o.replace {
				return &api.Error{Code: api.InvalidArgument, Message: name + " was made and signed elsewhere", Advice: "import the next version, or begin anew with --replace"}
			}
			m := ownMaking{App: a, client: c, o: o, name: name, old: old}
			if o.replace || old.State == "" || old.State == api.StateRemoved {
				m.fresh = true
			}
			if err := m.arguments(args[1:], os.Stdin); err != nil {
				return err
			}
			if err := m.make(ctx); err != nil || !a.JSON {
				return err
			}
			return a.UI.JSON(m.doc)
		}),
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.null, "null", "0", false, "paths on standard input end with a NUL, not with a line")
	f.StringVar(&o.chroot, "root", "", "look paths up inside of `DIRECTORY`, and do not leave it")
	f.StringVar(&o.imaLog, "ima-log", "", "list what an IMA measurement list in `FILE` has")
	f.BoolVar(&o.replace, "replace", false, "forget what the list was made of before")
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
	return cmd
}

// ownMaking is one own list on its way.
type ownMaking struct {
	*cli.App
	client   *client.Client
	o        ownOptions
	name     string
	old      api.Own
	fresh    bool // nothing of old goes on
	trees    []scan.Tree
	real     map[string]string // directories with links followed
	listed   []string          // of this machine
	expected map[string]scan.Expectation
	doc      ownDocument
}

// arguments reads what the command line names.
func (m *ownMaking) arguments(args []string, stdin io.Reader) (err error) {
	if m.o.chroot != "" {
		if m.o.chroot, err = filepath.Abs(m.o.chroot); err != nil {
			return err
		}
		if m.o.chroot, err = filepath.EvalSymlinks(m.o.chroot); err != nil {
			return fmt.Errorf("cannot use --root: %w", err)
		}
	}
	for _, arg := range args {
		switch {
		case arg == "-":
			paths, err := readPaths(stdin, m.o.null)
			if err != nil {
				return err
			}
			for _, p := range paths {
				if p, err = m.file(p); err != nil {
					return err
				}
				m.listed = append(m.listed, p)
			}
		case m.o.chroot != "":
			m.trees = append(m.trees, scan.Tree{Path: arg, Chroot: m.o.chroot})
		default:
			path, err := userfile.Absolute(arg)
			if err != nil {
				return err
			}
			m.trees = append(m.trees, scan.Tree{Path: path})
		}
	}
	if m.o.imaLog != "" {
		return m.readLog()
	}
	return nil
}

// file makes the path of a single file one of this machine, without links in its
// directories.
func (m *ownMaking) file(path string) (_ string, err error) {
	if m.o.chroot != "" {
		path = filepath.Join(m.o.chroot, filepath.Join("/", path))
	} else if path, err = userfile.Absolute(path); err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	real, known := m.real[dir]
	if !known {
		if real, err = realDir(m.o.chroot, dir); err != nil {
			real = dir // whoever opens the file says what is wrong
		}
		if m.real == nil {
			m.real = map[string]string{}
		}
		m.real[dir] = real
	}
	return filepath.Join(real, filepath.Base(path)), nil
}

// realDir follows the links in a directory. An absolute link inside of chroot leads to
// a place inside of it, as for whoever runs there, and not to one of this machine.
func realDir(chroot, dir string) (string, error) {
	if chroot == "" {
		return filepath.EvalSymlinks(dir)
	}
	root, err := kernel.OpenRoot(chroot)
	if err != nil {
		return "", err
	}
	defer root.Close()
	inside, err := root.Inside(dir)
	if err == nil {
		inside, err = root.RealDir(inside)
	}
	return filepath.Join(chroot, inside), err
}

// readPaths reads paths that end with a NUL or a line.
func readPaths(in io.Reader, null bool) ([]string, error) {
	data, err := io.ReadAll(io.LimitReader(bufio.NewReader(in), maxPathList+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read paths: %w", err)
	}
	if len(data) > maxPathList {
		return nil, fmt.Errorf("cannot read paths: more than %d bytes", maxPathList)
	}
	end := []byte("\n")
	if null {
		end = []byte{0}
	}
	var paths []string
	for part := range bytes.SplitSeq(data, end) {
		if len(part) > 0 {
			paths = append(paths, string(part))
		}
	}
	return paths, nil
}

// make scans, sends and publishes the list.
func (m *ownMaking) make(ctx context.Context) error {
	status, err := m.client.Status(ctx)
	if err != nil {
		return err
	}
	algo, err := algoOf(m.o.algo)
	if err != nil {
		return cli.Usage(err, "digestctl own")
	}
	o := scan.Options{Root: status.Root, Trees: m.trees, Listed: m.listed, Algo: algo, MaxSize: m.o.maxSize, Expected: m.expected}
	listed := len(m.listed) > 0
	var base uint64
	if m.old.State != "" && m.old.State != api.StateRemoved {
		base = m.old.Version
	}
	if !m.fresh {
		for _, s := range m.old.Sources {
			o.Trees = append(o.Trees, scan.Tree{Path: filepath.Join(status.Root, terminal.PathOf(s.Path, s.RawPath))})
		}
		if m.old.Listed {
			listed = true
			files, err := filesOf(filepath.Join(status.ListDirectory, m.old.List))
			if err != nil {
				return err
			}
			for _, f := range files {
				o.Listed = append(o.Listed, filepath.Join(status.Root, f))
			}
		}
	}
	gone := map[string]bool{}
	if m.old.Listed && !m.fresh {
		for _, f := range o.Listed[len(m.listed):] {
			gone[f] = true
		}
	}
	body, result, err := m.scan(ctx, o, gone)
	if err != nil {
		return err
	}
	defer body.Close()
	defer os.Remove(body.Name())
	upload, err := m.client.Upload(ctx, body)
	if err != nil {
		return err
	}
	req := api.OwnRequest{Name: m.name, Upload: upload, Base: base, Listed: listed, Reason: m.o.reason}
	if len(result.Roots) > api.MaxSources {
		req.Listed = true
	} else {
		for _, r := range result.Roots {
			req.Sources = append(req.Sources, api.OwnSource{Path: r})
		}
	}
	m.doc.OwnResult, err = ownJob(m.App, func(report client.Progress) (api.OwnResult, error) { return m.client.OwnPublish(ctx, req, report) })
	if err != nil {
		return err
	}
	if len(m.doc.Skipped) > 0 {
		m.Code = cli.ExitBad
	}
	if !m.JSON {
		printOwned(m.UI, m.doc)
	}
	return nil
}

// scan writes the body of the list into a file. Files in may may be gone.
func (m *ownMaking) scan(ctx context.Context, o scan.Options, may map[string]bool) (*os.File, scan.Result, error) {
	body, err := os.CreateTemp("", "digestctl-own-")
	if err != nil {
		return nil, scan.Result{}, err
	}
	p := &terminal.Progress{UI: m.UI, Off: m.JSON || m.Quiet}
	var first error
	lost := 0
	o.Report = func(files int, _ int64) {
		if files%256 == 0 {
			p.Show("hashing", uint64(files), 0)
		}
	}
	o.Skipped = func(path string, err error) {
		if errors.Is(err, os.ErrNotExist) && may[filepath.Join(o.Root, path)] {
			lost++
			return
		}
		if errors.Is(err, digestlist.ErrEmpty) {
			return
		}
		s := skippedFile{Path: path, Error: err.Error()}
		if !utf8.ValidString(path) {
			s.RawPath = []byte(path)
		}
		const most = 10_000
		if len(m.doc.Skipped) < most {
			m.doc.Skipped = append(m.doc.Skipped, s)
		}
		if first == nil {
			first = fmt.Errorf("cannot hash %s: %w", terminal.Safe(path), err)
		}
		if !m.JSON {
			p.End()
			fmt.Fprintf(m.UI.Err, "digestctl: cannot hash %s: %s\n", terminal.Safe(path), terminal.Safe(err.Error()))
		}
	}
	result, err := scan.Write(ctx, o, body)
	p.End()
	switch {
	case errors.Is(err, digestlist.ErrEmpty) && first != nil && !m.o.skip, err == nil && first != nil && !m.o.skip:
		err = &api.Error{Code: api.Failed, Message: fmt.Sprintf("%s could not be hashed, so nothing is published", terminal.Count(result.Skipped-lost, "file", "files")) + m.why(first),
			Advice: "mend that, or leave them out with --skip"}
	case errors.Is(err, digestlist.ErrEmpty):
		err = &api.Error{Code: api.Failed, Message: "there is no file to list", Advice: "give files, or directories that have some"}
	}
	if err == nil && lost > 0 && !m.JSON {
		m.UI.Say(terminal.Plain, "%s gone since", terminal.Count(lost, "file is", "files are"))
	}
	if err != nil {
		body.Close()
		os.Remove(body.Name())
		return nil, result, err
	}
	return body, result, nil
}

// why repeats the first error for programs, which do not read the lines.
func (m *ownMaking) why(first error) string {
	if !m.JSON {
		return ""
	}
	return ": " + first.Error()
}

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
