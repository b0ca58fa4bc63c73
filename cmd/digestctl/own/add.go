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
	f.StringVar(&o.algo, "algo", "sha256", "hash with `ALGORITHM`: sha256, sha384 or sha512, the one in the kernel's ima_hash=")
	f.Int64Var(&o.maxSize, "max-size", 4<<30, "hash only files of at most `BYTES`")
	f.BoolVarP(&o.skip, "skip", "k", false, "skip files that cannot be hashed")
	cli.OptionalReason(cmd, &o.reason)
}

func addCommand(a *cli.App) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Annotations: a.Prints(document{}),
		Use:         "add NAME PATH...",
		Short:       "Make a list of files, or add files to a list",
		Long: `Add hashes all files below each PATH, on the same file system and without following
symbolic links, makes a list of them, signs and publishes it, and binds the files to
it. If a list of that name exists, add hashes its files again and adds the new ones;
with --replace it starts from nothing. PATH - reads the paths of files from standard
input. Files that the list of a package has, with the same content, stay bound to it.

With --root add looks paths up inside that directory, such as a container, and follows
no symbolic link out of it. With --ima-log it lists the files that the kernel measured
and that have not changed since; it reads both forms of the log in securityfs.

If a file cannot be hashed, because it changes, is too large or cannot be read, add
publishes nothing. With --skip it publishes the other files and exits with 3.`,
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
				return &api.Error{Code: api.InvalidArgument, Message: name + " was made and signed elsewhere", Advice: "import the next version, or start again with --replace"}
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
	f.BoolVarP(&o.null, "null", "0", false, "paths on standard input end with NUL instead of a newline")
	f.StringVar(&o.chroot, "root", "", "look up paths inside `DIRECTORY` only")
	f.StringVar(&o.imaLog, "ima-log", "", "add the files in the IMA measurement list `FILE`")
	f.BoolVar(&o.replace, "replace", false, "discard the previous paths of the list")
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
	return cmd
}
