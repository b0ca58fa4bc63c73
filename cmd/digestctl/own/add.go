// SPDX-License-Identifier: Apache-2.0

package own

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// options are the flags of those who hash.
type options struct {
	reason  string
	algo    string
	chroot  string
	imaLog  string
	maxSize int64
	null    bool
	skip    bool
	replace bool
}

func (o *options) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.algo, "algo", "sha256", "hash by `ALGORITHM`: sha256, sha384 or sha512, as ima_hash= of the kernel says")
	f.Int64Var(&o.maxSize, "max-size", 4<<30, "hash files of at most `BYTES`")
	f.BoolVarP(&o.skip, "skip", "k", false, "list what can be hashed, also if some files cannot")
	cli.OptionalReason(cmd, &o.reason)
}

func addCommand(a *cli.App) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Annotations: cli.Prints(document{}),
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
			m := making{app: a, client: c, options: o, name: name, old: old}
			if o.replace || old.State == "" || old.State == api.StateRemoved {
				m.fresh = true
			}
			if err := m.inputs.read(args[1:], o, os.Stdin); err != nil {
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
