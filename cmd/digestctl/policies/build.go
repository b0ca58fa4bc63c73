// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy/fleet"
	"github.com/spf13/cobra"
)

// builtDocument is what policy build prints for programs.
type builtDocument struct {
	Spec    string   `json:"spec"`
	Package string   `json:"package,omitempty"` // "" with --spec
	Files   []string `json:"files"`
}

// order describes the package to build.
type order struct {
	Name, Version, Release string
	Files                  []string // names of policy files
	Changed                string   // time for the changelog
}

func buildCommand(a *cli.App) *cobra.Command {
	var o order
	var output string
	var specOnly bool
	cmd := &cobra.Command{
		Annotations: a.Prints(builtDocument{}),
		Use:         "build DIRECTORY",
		Short:       "Build the package of a directory of policy files",
		Long: `Build checks all files *.toml of a directory, writes the spec of a package that contains
them, and makes the package with rpmbuild. The package is not signed: sign it with one of the keys
of policy-signers, for example with rpmsign. The default version is the present date and time, so
that it rises: machines that had a higher version refuse a lower one.

It exits with 3 if a file has an error, and then writes nothing.`,
		Example: "  digestctl policy build policies --name site-policy --output out\n  rpmsign --addsign out/site-policy-*.noarch.rpm",
		Args:    cli.Exactly("DIRECTORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Started = true
			now := time.Now().UTC()
			if o.Version == "" {
				o.Version = now.Format("20060102.1504")
			}
			o.Changed = now.Format("Mon Jan 02 2006")
			doc, err := build(cmd.Context(), a, args[0], output, o, specOnly)
			if err != nil || a.Code != 0 {
				return err
			}
			if a.JSON {
				return a.UI.JSON(doc)
			}
			a.UI.Say(terminal.Good, "%s of %s", doc.Spec, terminal.Count(len(doc.Files), "file", "files"))
			if doc.Package != "" {
				a.UI.Say(terminal.Good, "%s", doc.Package)
				a.UI.Fact("next", "rpmsign --addsign %s", doc.Package)
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Name, "name", "fleet-policy", "name of the package, as `NAME`")
	flags.StringVar(&o.Version, "version", "", "version of the package, as `VERSION`")
	flags.StringVar(&o.Release, "release", "1", "release of the package, as `RELEASE`")
	flags.StringVarP(&output, "output", "o", ".", "write into `DIRECTORY`")
	flags.BoolVar(&specOnly, "spec", false, "write only the spec")
	return cmd
}

// tagForm is what may be in a spec without quotes.
var tagForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~^-]*$`)

func (o order) check() error {
	for _, part := range []struct{ what, text string }{{"name", o.Name}, {"version", o.Version}, {"release", o.Release}} {
		if !tagForm.MatchString(part.text) || part.what != "name" && strings.Contains(part.text, "-") {
			return &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("%q is no %s of a package", part.text, part.what)}
		}
	}
	return nevra.NEVRA{Name: o.Name, EVR: nevra.EVR{Version: o.Version, Release: o.Release}, Arch: "noarch"}.Valid()
}

func build(ctx context.Context, a *cli.App, dir, output string, o order, specOnly bool) (doc builtDocument, err error) {
	if err := o.check(); err != nil {
		return doc, err
	}
	files, err := filepath.Glob(filepath.Join(globbed(dir), "*"+fleet.Suffix))
	if err != nil {
		return doc, err
	}
	if info, serr := os.Stat(dir); errors.Is(serr, fs.ErrNotExist) || serr == nil && !info.IsDir() {
		return doc, userfile.NoFile(fmt.Errorf("there is no directory %s", dir))
	}
	slices.Sort(files)
	switch {
	case len(files) == 0:
		return doc, &api.Error{Code: api.NotFound, Message: "there is no file *.toml in " + dir}
	case len(files) > fleet.MaxFiles:
		return doc, &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("%s has %d policy files, and at most %d can be on a machine", dir, len(files), fleet.MaxFiles)}
	}
	contents := map[string][]byte{}
	for _, path := range files {
		one, _, err := readFile(ctx, path, false)
		if err != nil {
			return doc, err
		}
		if one.Error != "" {
			a.Code = cli.ExitBad
			a.UI.Say(terminal.Bad, "%s: %s", path, one.Error)
			continue
		}
		name := filepath.Base(path)
		if contents[name], err = userfile.ReadBounded(ctx, path, fleet.MaxSize); err != nil {
			return doc, err
		}
		o.Files = append(o.Files, name)
	}
	if a.Code != 0 {
		return doc, nil
	}
	var spec strings.Builder
	if err := specText.Execute(&spec, o); err != nil {
		return doc, err
	}
	doc = builtDocument{Spec: filepath.Join(output, o.Name+".spec"), Files: o.Files}
	if err := userfile.Write(doc.Spec, []byte(spec.String()), 0o644); err != nil {
		return doc, fmt.Errorf("cannot write the spec: %w", err)
	}
	if !specOnly {
		doc.Package, err = rpmbuild(ctx, spec.String(), contents, output, o)
	}
	return doc, err
}

// globbed is a path as a pattern that means it alone.
func globbed(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// rpmbuild builds the package of a spec in a directory of its own.
func rpmbuild(ctx context.Context, spec string, contents map[string][]byte, output string, o order) (string, error) {
	program, err := exec.LookPath("rpmbuild")
	if err != nil {
		return "", &api.Error{Code: api.Failed, Message: "there is no rpmbuild to build the package with", Advice: "install it, or take the spec: --spec"}
	}
	dir, err := os.MkdirTemp("", "digestctl-policy-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	for name, data := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return "", err
		}
	}
	file := filepath.Join(dir, o.Name+".spec")
	if err := os.WriteFile(file, []byte(spec), 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, "-bb", "--quiet", "--define", "_topdir "+dir, "--define", "_sourcedir "+dir,
		"--define", "_rpmdir "+dir, "--define", "_rpmfilename %%{NAME}.rpm", "--define", "_build_id_links none", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the package: %w: %s", err, api.Clean(string(said[:min(len(said), 2000)])))
	}
	data, err := os.ReadFile(filepath.Join(dir, o.Name+".rpm"))
	if err != nil {
		return "", fmt.Errorf("cannot build the package: %w", err)
	}
	path := filepath.Join(output, fmt.Sprintf("%s-%s-%s.noarch.rpm", o.Name, o.Version, o.Release))
	return path, userfile.Write(path, data, 0o644)
}

// specText is the spec of a package of policy files.
var specText = template.Must(template.New("spec").Parse(`# Written by digestctl policy build.
%global debug_package %{nil}
%global __os_install_post %{nil}
Name:      {{.Name}}
Version:   {{.Version}}
Release:   {{.Release}}
Summary:   Policy for digestd
License:   Unspecified
BuildArch: noarch
{{range $i, $file := .Files}}Source{{$i}}:   {{$file}}
{{end}}
%description
The policy that digestd applies on each machine with this package: digestctl policy show.

%prep

%build

%install
install -d -m 0755 %{buildroot}/usr/lib/digestd/policy.d
{{range .Files}}install -m 0644 %{_sourcedir}/{{.}} %{buildroot}/usr/lib/digestd/policy.d/{{.}}
{{end}}
%files
%dir /usr/lib/digestd/policy.d
{{range .Files}}/usr/lib/digestd/policy.d/{{.}}
{{end}}
%changelog
* {{.Changed}} digestctl - {{.Version}}-{{.Release}}
- Files of this release: {{len .Files}}
`))
