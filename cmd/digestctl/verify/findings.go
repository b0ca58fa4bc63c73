// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/nevra"
)

// findings prints the findings of a verification while it runs.
type findings struct {
	app       *cli.App
	client    *client.Client
	progress  *terminal.Progress
	taken     uint32
	open      bool     // the JSON document has begun
	reinstall []string // names of packages whose reinstallation restores files
	own       []string // own lists whose files have changed
	nowhere   int      // number of named paths that do not exist
}

// maxReinstall bounds the packages that advice names.
const maxReinstall = 12

// fetch prints what was found since the last time.
func (f *findings) fetch(ctx context.Context) error {
	var trouble error
	_, err := f.client.Findings(ctx, f.taken, 0, func(page []api.Finding) {
		f.taken += uint32(len(page))
		for _, found := range page {
			if trouble == nil {
				trouble = f.print(found)
			}
		}
	})
	return cmp.Or(trouble, err)
}

func (f *findings) print(found api.Finding) error {
	f.advise(found)
	if !f.app.JSON {
		f.progress.End()
		printFinding(f.app.UI, found)
		return nil
	}
	separator := ",\n    "
	if !f.open {
		separator, f.open = "{\n  \"findings\": [\n    ", true
	}
	text, err := terminal.Compact(found)
	if err == nil {
		_, err = fmt.Fprintf(f.app.UI.Out, "%s%s", separator, text)
	}
	return err
}

// ownName finds the name of an own list in that of a version of it, which is
// written as a package's.
func ownName(pkg string) (name string, own bool) {
	rest, own := strings.CutPrefix(pkg, "own:")
	n, err := nevra.Parse(rest)
	return n.Name, own && err == nil
}

// advise remembers what would help.
func (f *findings) advise(found api.Finding) {
	if found.Severity == api.SeverityNotice || found.Fixed {
		return
	}
	switch found.Kind {
	case api.FindingMissing, api.FindingChanged:
		if found.Package == "" {
			f.nowhere++
		} else if name, own := ownName(found.Package); own {
			if !slices.Contains(f.own, name) {
				f.own = append(f.own, name)
			}
		} else if n, err := nevra.Parse(found.Package); err == nil && !slices.Contains(f.reinstall, n.Name) {
			f.reinstall = append(f.reinstall, n.Name)
		}
	}
}

// failed closes what was begun.
func (f *findings) failed(err error) error {
	if !f.open {
		return err
	}
	trouble := cli.Explain(err)
	text, jerr := terminal.Compact(trouble.Error)
	if jerr != nil {
		return jerr
	}
	fmt.Fprintf(f.app.UI.Out, "\n  ],\n  \"error\": %s\n}\n", text)
	f.app.Code = trouble.Exit
	return nil
}

// ended prints what it came to.
func (f *findings) ended(v api.Verification) error {
	switch {
	case v.Errors == 0:
	case v.Errors == f.nowhere:
		f.app.Code = cli.ExitNoFile
	default:
		f.app.Code = cli.ExitBad
	}
	if !f.app.JSON {
		f.progress.End()
		printVerified(f.app.UI, v, f.reinstall, f.own)
		return nil
	}
	if !f.open {
		return f.app.UI.JSON(verifyDocument{[]api.Finding{}, v})
	}
	text, err := terminal.Indented(v, "  ")
	if err == nil {
		_, err = fmt.Fprintf(f.app.UI.Out, "\n  ],\n  \"verification\": %s\n}\n", text)
	}
	return err
}

// printFinding prints one in a line.
func printFinding(t *terminal.UI, f api.Finding) {
	about := f.Path
	if f.RawPath != nil {
		about = string(f.RawPath)
	}
	if about == "" {
		about = f.Package
	}
	style, after := terminal.Bad, ""
	switch {
	case f.Fixed:
		style, after = terminal.Good, ": fixed"
	case f.Severity == api.SeverityNotice:
		style = terminal.Plain
	}
	if f.Severity == api.SeverityNotice {
		// A color alone would not say that nothing has to be done.
		if after = " (notice)"; f.Role != "" {
			after = " (notice: " + f.Role + ")"
		}
	}
	t.Say(style, "%s %s%s", about, f.Text, after)
}

// printVerified prints a sum, then what to do.
func printVerified(t *terminal.UI, v api.Verification, reinstall, own []string) {
	what := fmt.Sprintf("%s of %s, %s, %s", terminal.Count(v.Files, "file", "files"), terminal.Count(v.Packages, "package", "packages"), terminal.Size(v.Bytes), terminal.Seconds(v.Duration))
	switch v.State {
	case api.VerifyRunning:
		what += " so far, still running"
	case api.VerifyInterrupted:
		what += " until it was interrupted"
	}
	style, outcome := terminal.Good, "no differences"
	if v.Errors > 0 {
		style, outcome = terminal.Bad, strings.Join(kinds(v.Counts), ", ")
	}
	t.Say(style, "%s: %s", what, outcome)
	if v.Fixed > 0 {
		t.Say(terminal.Good, "%d fixed", v.Fixed)
	}
	if v.Notices > 0 {
		t.Say(terminal.Plain, "%s", terminal.Count(v.Notices, "notice that needs no action", "notices that need no action"))
	}
	if v.Moved > 0 {
		t.Say(terminal.Warn, "%s changed during the verification and must be verified again", terminal.Count(v.Moved, "package", "packages"))
	}
	if v.Dropped > 0 {
		t.Say(terminal.Warn, "%s not stored: the limit was reached", terminal.Count(v.Dropped, "finding", "findings"))
	}
	c := v.Counts
	if !v.Fix && c.Label+c.List > 0 {
		t.Fact("next", "to bind files to the right lists and publish missing lists: digestctl fix")
	}
	if len(reinstall) > 0 {
		more := ""
		if n := len(reinstall) - maxReinstall; n > 0 {
			more = fmt.Sprintf(", and %d more", n)
			reinstall = reinstall[:maxReinstall]
		}
		t.Fact("next", "if the change was not intended, reinstall: %s%s", strings.Join(reinstall, " "), more)
	}
	if len(own) > 0 {
		t.Fact("next", "if the change was intended: digestctl own update %s", own[0])
	}
	if c.Unvouched > 0 {
		t.Fact("next", "executables without a list: remove them, install them from a signed package, or vouch for them: digestctl own add")
	}
	if c.Withheld > 0 {
		t.Fact("next", "packages that are not vouched for: digestctl list withheld")
	}
}

// kinds are the errors by kind, in words.
func kinds(c api.VerifyCounts) (words []string) {
	for _, k := range []struct {
		n         int
		one, many string
	}{
		{c.Changed, "file changed", "files changed"},
		{c.Missing, "file missing", "files missing"},
		{c.Unvouched, "executable without a list", "executables without a list"},
		{c.Label, "file with a wrong label", "files with a wrong label"},
		{c.List, "list missing", "lists missing"},
		{c.Withheld, "package not vouched for", "packages not vouched for"},
		{c.Unreadable, "item unreadable", "items unreadable"},
	} {
		if k.n > 0 {
			words = append(words, terminal.Count(k.n, k.one, k.many))
		}
	}
	return words
}
