// SPDX-License-Identifier: Apache-2.0

// Package check implements the verb that checks packages before they are installed.
package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/rpmfile"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// maxFiles bounds the package files of one call.
const maxFiles = 100000

// checked is one package with the prediction about it.
type checked struct {
	api.Check
	File      string               `json:"file,omitempty"`      // path of the package
	Compared  int                  `json:"compared,omitempty"`  // files of its payload that were compared with its header
	Different []rpmfile.Difference `json:"different,omitempty"` // files that differ from the header
	More      int                  `json:"more,omitempty"`      // number of further such files
	Error     string               `json:"error,omitempty"`     // why it could not be checked
	Next      string               `json:"next,omitempty"`      // what to do about the error
}

// good reports whether nothing speaks against the package.
func (c *checked) good() bool {
	return c.Error == "" && len(c.Different) == 0 && (c.Verdict == api.CheckAllowed || c.Verdict == api.CheckNeedless)
}

// checkDocument is what check prints for programs.
type checkDocument struct {
	Packages []checked `json:"packages"`
}

// Command is digestctl check.
func Command(a *cli.App) *cobra.Command {
	var root string
	var policies []string
	cmd := &cobra.Command{
		Annotations: a.Prints(checkDocument{}),
		Use:         "check FILE|DIRECTORY|NEVRA...",
		Short:       "Check packages before they are installed",
		Long: `Check shows for each package whether it would be installed with a list: the key that
signed it, whether policy admits its version, the floor, grant or denial that decides
this, and what to do next. It installs nothing and records nothing.

It compares the files in a package with the digests in the header, and names the files
that changed after the package was signed. An unprivileged process reads the package.
For a directory it checks all *.rpm files below it. For a version without a file, as
rpm -q prints it, it checks the version only, not the signature.

With --root or --policy it asks no digestd, so that it can be used where packages are
built and released: it judges by the keys and packages of rpm's database below that
root (by default /) and by the rules of policy files, as mode = "enforce" would.

It exits with 0 if every package would be installed with a list, with 3 if one would be
refused or get no list, is damaged or cannot be read, and with 4 if there is no such
file.`,
		Example: "  digestctl check ./bash-5.2-1.x86_64.rpm\n  digestctl check --json /var/cache/dnf\n  digestctl check bash-5.1-1.x86_64\n  digestctl check --root image --policy base.toml packages",
		Args:    cli.AtLeast("FILE|DIRECTORY|NEVRA"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if root == "" && len(policies) == 0 {
				return a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
					return checkAll(ctx, a, args, judge{
						version: func(text string) (api.Check, error) { return c.CheckVersion(ctx, text) },
						file:    func(p *rpmfile.Package) (api.Check, error) { return c.Check(ctx, p.Header, p.Signatures) },
					})
				})(cmd, args)
			}
			a.Started = true
			if root == "" {
				root = "/"
			}
			o, err := newOffline(cmd.Context(), root, policies)
			if err != nil {
				return err
			}
			return checkAll(cmd.Context(), a, args, judge{o.version, o.file})
		},
	}
	cmd.Flags().StringVar(&root, "root", "", "ask no digestd, and judge by the keys and packages below `DIRECTORY`")
	cmd.Flags().StringArrayVar(&policies, "policy", nil, "ask no digestd, and judge by a policy `FILE` as well")
	return cmd
}

// judge says what would become of packages.
type judge struct {
	version func(text string) (api.Check, error)
	file    func(p *rpmfile.Package) (api.Check, error)
}

func checkAll(ctx context.Context, a *cli.App, args []string, by judge) error {
	doc := checkDocument{Packages: []checked{}}
	for _, arg := range args {
		files, err := filesOf(arg)
		if err != nil {
			return err
		}
		if files == nil {
			one, err := by.version(arg)
			if err != nil {
				return err
			}
			doc.Packages = append(doc.Packages, checked{Check: one})
			continue
		}
		list, err := checkFiles(ctx, by, files)
		if err != nil {
			return err
		}
		doc.Packages = append(doc.Packages, list...)
	}
	for i := range doc.Packages {
		if !doc.Packages[i].good() {
			a.Code = cli.ExitBad
		}
		if !a.JSON {
			show(a.UI, &doc.Packages[i])
		}
	}
	if a.JSON {
		return a.UI.JSON(doc)
	}
	if len(doc.Packages) > 1 {
		sum(a.UI, doc.Packages)
	}
	return nil
}

// Reader is the hidden verb that reads a package for check, in a process of its own.
func Reader(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: rpmfile.Verb, Short: "Read a package from standard input, with no rights", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.Started = true
			return rpmfile.Serve(os.Stdin, os.Stdout)
		},
	}
}

// filesOf returns the package files that an argument names, nil if it names a version.
func filesOf(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.ContainsRune(arg, '/') && !strings.HasSuffix(arg, ".rpm"):
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, userfile.NoFile(fmt.Errorf("there is no file %s", arg))
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{arg}, nil
	}
	files := []string{}
	err = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.HasSuffix(path, ".rpm") {
			files = append(files, path)
		}
		if len(files) > maxFiles {
			return fmt.Errorf("%s has more than %d packages", arg, maxFiles)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = &api.Error{Code: api.NotFound, Message: "there is no *.rpm file below " + arg, Advice: "name the directory that contains the packages"}
	}
	return files, err
}

// checkFiles checks package files, several at once, and returns them in their order.
func checkFiles(ctx context.Context, by judge, files []string) ([]checked, error) {
	const program = "/proc/self/exe" // however it was reached
	list := make([]checked, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, file := range files {
		group.Go(func() error {
			one, err := checkFile(ctx, by, program, file)
			var told *api.Error
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.As(err, &told) && told.Code == api.InvalidArgument:
				one.Error, one.Next = told.Message, told.Advice
			case errors.As(err, &told):
				return err // it would be the same of the next
			case err != nil:
				one.Error, one.Next = err.Error(), "download the package again"
			}
			one.File = file
			list[i] = one
			return nil
		})
	}
	return list, group.Wait()
}

func checkFile(ctx context.Context, by judge, program, file string) (one checked, err error) {
	f, err := os.Open(file)
	if err != nil {
		return one, err
	}
	defer f.Close()
	if !rpmfile.Is(f) {
		return one, errors.New("cannot read package: it is not an rpm package")
	}
	p, err := rpmfile.Read(ctx, program, f)
	if err != nil {
		return one, err
	}
	if p.Source {
		name := strings.TrimSuffix(p.NEVRA, filepath.Ext(p.NEVRA)) + ".src" // its architecture is that of its builder
		one.Check = api.Check{NEVRA: name, Verdict: api.CheckNeedless, Text: name + " is a source package: rpm installs nothing of it, and it needs no list"}
	} else if one.Check, err = by.file(p); err != nil {
		return one, err
	}
	one.Compared, one.Different, one.More = p.Compared, p.Different, p.More
	return one, nil
}

// show prints one package.
func show(t *terminal.UI, c *checked) {
	name := c.NEVRA
	if c.File != "" {
		name = c.File
	}
	style, text := terminal.Bad, c.Text
	switch {
	case c.Error != "":
		text = c.Error
	case len(c.Different) > 0:
		text = fmt.Sprintf("%s from the header", terminal.Count(len(c.Different)+c.More, "file differs", "files differ"))
	case c.Verdict == api.CheckRefused:
		text = "would be refused: " + c.Text
	case c.Verdict == api.CheckWithheld:
		style, text = terminal.Warn, "would be installed without a list: "+c.Text
	default:
		style = terminal.Good
	}
	t.Say(style, "%s: %s", name, text)
	for _, d := range c.Different {
		t.Fact(d.Kind, "%s", d.Path)
	}
	if c.More > 0 {
		t.Fact("and", "%d more", c.More)
	}
	if len(c.Different) > 0 {
		t.Fact("package", "%s", c.NEVRA)
		t.Fact("next", "do not install it; download the package again")
		return
	}
	if c.Verdict == api.CheckAllowed {
		t.Fact("list", "%s", c.List)
	}
	if c.Key != "" {
		t.Fact("signed by", "%s", terminal.Joined(c.KeyOwner, c.Key))
	}
	if !c.Installed {
		t.Fact("active now", "%s", strings.Join(c.Active, ", "))
	}
	for _, path := range c.Denied {
		t.Fact("left out", "%s", path)
	}
	t.Fact("next", "%s", c.Advice)
	t.Fact("next", "%s", c.Next)
}

// sum says how many packages there were of each kind.
func sum(t *terminal.UI, list []checked) {
	good, different, refused, withheld, failed := 0, 0, 0, 0, 0
	for i := range list {
		switch c := &list[i]; {
		case c.Error != "":
			failed++
		case len(c.Different) > 0:
			different++
		case c.Verdict == api.CheckRefused:
			refused++
		case c.Verdict == api.CheckWithheld:
			withheld++
		default:
			good++
		}
	}
	text := terminal.Count(len(list), "package", "packages")
	for _, part := range []struct {
		n    int
		what string
	}{{good, "good"}, {refused, "refused"}, {withheld, "without a list"}, {different, "damaged"}, {failed, "not checked"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	t.Say(terminal.Plain, "%s", text)
}
