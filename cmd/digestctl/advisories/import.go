// SPDX-License-Identifier: Apache-2.0

package advisories

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/repo/updateinfo"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// advisoriesDocument is what advisories import prints for programs.
type advisoriesDocument struct {
	DryRun     bool            `json:"dryRun"`
	Advisories int             `json:"advisories"` // number of advisories in the file
	Chosen     int             `json:"chosen"`     // number of these, selected by type and severity
	Floors     []advisoryFloor `json:"floors"`
	Modular    int             `json:"modular"`
	Unreadable int             `json:"unreadable"`
}

// advisoryFloor is a floor that the advisories ask for.
type advisoryFloor struct {
	Package   string   `json:"package"` // name.arch
	Installed []string `json:"installed"`
	EVR       string   `json:"evr"`
	Was       string   `json:"was"`    // the floor that stands, "" for none
	Action    string   `json:"action"` // set, or none if the floor is high enough already
	Loses     []string `json:"loses"`  // installed versions that lose their lists
	Advisory  string   `json:"advisory"`
	Severity  string   `json:"severity"`
	CVEs      []string `json:"cves"`
	Reason    string   `json:"reason"` // the reason that is recorded
	Done      bool     `json:"done"`
}

func importCommand(a *cli.App) *cobra.Command {
	var types, severities []string
	var dry, yes bool
	cmd := &cobra.Command{
		Annotations: a.Prints(advisoriesDocument{}),
		Use:         "import FILE",
		Short:       "Set floors for what is installed, from an updateinfo.xml",
		Long: `Import reads the advisories of a dnf repository (an updateinfo.xml, plain or
compressed with gzip, bzip2, xz or zstd) and raises the floor of each installed
package they name to the newest fixed version: versions with the flaw cannot come
back. It first shows what it would do, and asks. An installed version below its
new floor loses its list until it is updated. Import never lowers a floor. By
default it uses security advisories only.

digestctl reads the file with the rights of its user. It skips packages of module streams,
because versions of two streams cannot be compared.`,
		Example: "  digestctl advisories import --dry-run updateinfo.xml.gz\n" +
			"  digestctl advisories import --yes --severity critical,important updateinfo.xml.zst",
		Args: cli.Exactly("FILE"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			plan, err := planAdvisories(a, ctx, c, args[0], choice(types), choice(severities))
			if err != nil {
				return err
			}
			plan.DryRun = dry
			pending := slices.ContainsFunc(plan.Floors, func(f advisoryFloor) bool { return f.Action == floorSet })
			if !a.JSON {
				printAdvisories(a.UI, plan)
			}
			if pending && !dry {
				if !yes {
					if err := confirm(a, ctx); err != nil {
						return err
					}
				}
				err = setFloors(a, ctx, c, plan)
			}
			if err == nil && a.JSON {
				err = a.UI.JSON(plan)
			}
			return err
		}),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&types, "type", []string{"security"}, "advisories of these `TYPES`: security, bugfix, enhancement, newpackage, all")
	flags.StringSliceVar(&severities, "severity", nil, "advisories of these `SEVERITIES` only, such as critical,important")
	flags.BoolVarP(&dry, "dry-run", "n", false, "show what would change, and change nothing")
	flags.BoolVarP(&yes, "yes", "y", false, "do not ask for confirmation")
	return cmd
}

// choice returns a predicate for these words. No word, or all, selects everything.
func choice(words []string) func(string) bool {
	if len(words) == 0 || slices.Contains(words, "all") {
		return func(string) bool { return true }
	}
	return func(s string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, s) })
	}
}

// planAdvisories reads a file of advisories and computes the floors for installed packages.
func planAdvisories(a *cli.App, ctx context.Context, c *client.Client, file string, types, severities func(string) bool) (*advisoriesDocument, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, userfile.NoFile(fmt.Errorf("there is no file %s", file))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, errors.Unwrap(err))
	}
	defer f.Close()
	w, err := readWanted(ctx, c)
	if err != nil {
		return nil, err
	}
	plan := &advisoriesDocument{Floors: []advisoryFloor{}}
	err = updateinfo.Read(userfile.Interruptible{Ctx: ctx, R: f}, w.has, func(adv *updateinfo.Advisory) error {
		plan.Advisories++
		if !types(adv.Type) || !severities(adv.Severity) {
			return nil
		}
		plan.Chosen++
		plan.Unreadable += adv.Unreadable
		plan.Modular += w.take(adv)
		return nil
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &api.Error{Code: api.InvalidArgument, Message: file + ": " + err.Error(),
			Advice: "it must be the updateinfo.xml of a dnf repository; nothing was changed"}
	}
	plan.Floors = w.floors()
	return plan, nil
}

// confirm asks the user at the terminal.
func confirm(a *cli.App, ctx context.Context) error {
	if !terminal.Is(os.Stdin) || a.JSON || a.Quiet {
		return &api.Error{Code: api.InvalidArgument, Message: "nothing was changed: cannot ask, standard input is not a terminal", Advice: "to set these floors, add --yes"}
	}
	fmt.Fprint(a.UI.Err, "set these floors? [y/N] ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-answer:
		if line != "y" && line != "yes" {
			return fmt.Errorf("nothing was changed")
		}
	}
	return nil
}

// setFloors sets the floors of a plan, one package after the other. After a failure the next
// attempt continues.
func setFloors(a *cli.App, ctx context.Context, c *client.Client, plan *advisoriesDocument) error {
	n := 0
	for i := range plan.Floors {
		f := &plan.Floors[i]
		if f.Action != floorSet {
			continue
		}
		if err := c.FloorSet(ctx, f.Package, f.EVR, f.Reason); err != nil {
			if n > 0 {
				a.UI.Say(terminal.Warn, "%s set before it failed", terminal.Count(n, "floor was", "floors were"))
			}
			return err
		}
		f.Done = true
		n++
	}
	if !a.JSON {
		a.UI.Say(terminal.Good, "%s set", terminal.Count(n, "floor is", "floors are"))
	}
	return nil
}

func printAdvisories(t *terminal.UI, plan *advisoriesDocument) {
	rows := make([][]terminal.Cell, 0, len(plan.Floors))
	set, lose := 0, 0
	for _, f := range plan.Floors {
		does := terminal.Cell{Text: "has a floor as high"}
		if f.Action == floorSet {
			set++
			does = terminal.Cell{Text: "keeps older ones out", Style: terminal.Good}
		}
		if f.Action == floorSet && len(f.Loses) > 0 {
			lose += len(f.Loses)
			does = terminal.Cell{Text: "loses its list until it is updated", Style: terminal.Bad}
		}
		rows = append(rows, []terminal.Cell{{Text: f.Package}, {Text: strings.Join(f.Installed, ", ")}, {Text: f.EVR}, does, {Text: f.Severity}, {Text: f.Reason}})
	}
	if len(rows) > 0 {
		t.Table([]terminal.Column{{Title: "PACKAGE"}, {Title: "INSTALLED"}, {Title: "FLOOR"}, {Title: "THEN"}, {Title: "SEVERITY"}, {Title: "ADVISORY"}}, rows)
	}
	if plan.Modular > 0 {
		t.Say(terminal.Warn, "%s of module streams skipped", terminal.Count(plan.Modular, "package", "packages"))
	}
	if plan.Unreadable > 0 {
		t.Say(terminal.Warn, "%s skipped: their versions are malformed", terminal.Count(plan.Unreadable, "package", "packages"))
	}
	text := fmt.Sprintf("%s read, %d chosen: %s to set, %s to lose", terminal.Count(plan.Advisories, "advisory", "advisories"), plan.Chosen,
		terminal.Count(set, "floor", "floors"), terminal.Count(lose, "list", "lists"))
	if plan.DryRun {
		text += "; nothing was changed"
	}
	t.Say(terminal.Plain, "%s", text)
}
