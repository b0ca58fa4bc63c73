// SPDX-License-Identifier: Apache-2.0

package anchor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/store/durable"
	"github.com/spf13/cobra"
)

func quoteCommand(a *cli.App) *cobra.Command {
	var nonce string
	cmd := &cobra.Command{
		Annotations: a.Prints(attest.Quote{}),
		Use:         "quote --nonce HEX",
		Short:       "Prove the state of this machine to a verifier",
		Long: `Quote prints a signed statement for a verifier on another machine: the epoch of the index, a digest of the settings
that decide, the heads of the log, a digest of the active lists, and the mode and the exemptions of the guard. The TPM
signs the statement together with the value of the counter, with a key that signs only statements of the TPM itself. The
key that signs lists signs the statement, too; without an anchor, it is the only signature. The verifier chooses the
nonce, so that it notices an old quote.`,
		Example: "  digestctl anchor quote --nonce 5f1d0c3e9a7b4426 > quote.json",
		Args:    cli.Exactly(),
		PreRunE: func(*cobra.Command, []string) error {
			if nonce == "" {
				return errors.New("anchor quote needs --nonce HEX, which the verifier chooses")
			}
			return nil
		},
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			text, err := c.AnchorQuote(ctx, nonce)
			return printDocument[attest.Quote](a, text, err)
		}),
	}
	cmd.Flags().StringVar(&nonce, "nonce", "", "the verifier's nonce: 8 to 64 bytes as `HEX`adecimal digits")
	cmd.RegisterFlagCompletionFunc("nonce", cobra.NoFileCompletions)
	return cmd
}

func nonceCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(nonceDocument{}),
		Use:         "nonce",
		Short:       "Make a nonce for a quote",
		Long:        `Nonce prints a random nonce, for a verifier. It does not ask digestd.`,
		Args:        cli.Exactly(),
		RunE: func(*cobra.Command, []string) error {
			b := make([]byte, 16)
			rand.Read(b)
			if n := hex.EncodeToString(b); a.JSON {
				return a.UI.JSON(nonceDocument{n})
			} else {
				a.UI.Say(terminal.Plain, "%s", n)
			}
			return nil
		},
	}
}

// nonceDocument is what nonce prints for programs.
type nonceDocument struct {
	Nonce string `json:"nonce"`
}

// expected is what a verifier wants of a machine, besides that it continues what is known.
type expected struct {
	policy, guard, lists string
	enrolled             bool
}

func (e expected) check(r *attest.Result) {
	s := r.Statement
	for _, c := range []struct{ what, want, is string }{
		{"policy", e.policy, s.Policy}, {"mode of the guard", e.guard, s.Guard.Mode}, {"digest of the active lists", e.lists, s.Index.Lists},
	} {
		if c.want != "" && !strings.EqualFold(c.want, c.is) {
			r.Faults = append(r.Faults, fmt.Sprintf("the %s is %s, not %s", c.what, c.is, c.want))
		}
	}
	if e.enrolled && r.Enrolment.By == attest.ByFirstUse {
		r.Faults = append(r.Faults, "the keys are known by the first use: the TPM proved nothing of the attestation key")
	}
}

func verifyCommand(a *cli.App) *cobra.Command {
	var nonce, memory string
	var first bool
	var want expected
	cmd := &cobra.Command{
		Annotations: a.Prints(attest.Result{}),
		Use:         "verify QUOTE --nonce HEX --memory FILE",
		Short:       "Verify a quote, on another machine",
		Long: `Verify verifies a quote on any machine: it uses no TPM, no network and no digestd. QUOTE is a file; - is standard input.

FILE is the verifier's memory of the machine: its attestation key, the key that signs its lists, the highest
value of the counter and the heads of the log. digestctl anchor enrol writes FILE for a machine whose TPM proved that it
has the attestation key. With --first-use verify creates FILE if it does not exist, and trusts the keys that signed the
quote: use it only when you are sure that this is the right machine. Verify prints how it knows the keys; --enrolled
requires that the TPM proved them. Later quotes must be signed with the same keys and continue the log and the counter in
FILE: if the counter fell, even the state of the TPM was restored from a copy. Verify updates FILE if it finds no fault.
After anchor rebind, remove FILE and begin again.

The exit code is 3 if the quote proves a fault, and 1 if it proves nothing.`,
		Example: "  digestctl anchor verify quote.json --nonce 5f1d0c3e9a7b4426 --memory web1.json --first-use\n" +
			"  digestctl anchor verify quote.json --nonce 5f1d0c3e9a7b4426 --memory web1.json --guard enforce",
		Args: cli.Exactly("QUOTE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if nonce == "" || memory == "" {
				return cli.Usage(errors.New("anchor verify needs --nonce HEX and --memory FILE"), cmd.CommandPath())
			}
			a.Started = true
			quote, err := userfile.ReadBounded(cmd.Context(), args[0], attest.MaxQuote)
			if err != nil {
				return err
			}
			known, err := remembered(cmd.Context(), memory, first)
			if err != nil {
				return err
			}
			r, err := attest.Verify(quote, nonce, known)
			if err != nil {
				return err
			}
			want.check(&r)
			if len(r.Faults) > 0 {
				a.Code = cli.ExitBad
			} else if err := remember(memory, r.Memory); err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(r)
			}
			printResult(a.UI, r, known == nil)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&nonce, "nonce", "", "the nonce that the quote was made for, as `HEX`adecimal digits")
	flags.StringVar(&memory, "memory", "", "keep the knowledge about the machine in `FILE`")
	flags.BoolVar(&first, "first-use", false, "trust the keys of the quote if the memory does not exist yet")
	flags.BoolVar(&want.enrolled, "enrolled", false, "require an attestation key that the TPM proved")
	flags.StringVar(&want.policy, "policy", "", "require the policy with this `DIGEST`")
	flags.StringVar(&want.guard, "guard", "", "require the guard to be in this `MODE`")
	flags.StringVar(&want.lists, "lists", "", "require the active lists with this `DIGEST`")
	for _, name := range []string{"nonce", "policy", "lists"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	cmd.RegisterFlagCompletionFunc("guard", cobra.FixedCompletions([]cobra.Completion{"off", "audit", "enforce"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// maxMemory bounds what is remembered.
const maxMemory = 64 << 10

// remembered reads what is known of a machine, nil at the first use.
func remembered(ctx context.Context, path string, first bool) (*attest.Memory, error) {
	data, err := userfile.ReadBounded(ctx, path, maxMemory)
	if errors.As(err, new(userfile.NoFileError)) && first {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot know the machine: %w", err)
	}
	m, err := attest.ReadMemory(data)
	if err != nil {
		return nil, fmt.Errorf("cannot know the machine by %s: %w", path, err)
	}
	return &m, nil
}

// remember writes what is known of a machine from now on.
func remember(path string, m attest.Memory) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = durable.WriteFile(path, append(data, '\n'), os.FileMode(0o600))
	}
	if err != nil {
		return fmt.Errorf("cannot remember the machine: %w", err)
	}
	return nil
}

func printResult(t *terminal.UI, r attest.Result, first bool) {
	for _, f := range r.Faults {
		t.Say(terminal.Bad, "%s", f)
	}
	switch {
	case len(r.Faults) > 0:
	case first:
		t.Say(terminal.Warn, "the quote is valid if its keys belong to the machine; verify trusts them from now on")
	default:
		t.Say(terminal.Good, "the quote is good, and continues what was known")
	}
	s := r.Statement
	t.Fact("made", "%s", terminal.Moment(s.When))
	if r.Key != "" {
		t.Fact("TPM", "attestation key %s", r.Key)
		t.Fact("counter", "%d", r.Value)
	}
	printEnrolment(t, r.Enrolment)
	if r.Machine != "" {
		t.Fact("lists", "signed by the key with SHA-256 %s", r.Machine)
	}
	t.Fact("anchor", "%s, epoch %d", s.Anchor.Standing, s.Anchor.Epoch)
	t.Fact("policy", "%s", s.Policy)
	t.Fact("active", "%s", s.Index.Lists)
	t.Fact("guard", "mode %s, %s exempt", s.Guard.Mode, terminal.Count(len(s.Guard.Exempt)+s.Guard.More, "cgroup", "cgroups"))
	for _, h := range s.Index.Log {
		t.Fact("log", "%s %d:%s", h.Room, h.Seq, h.Hash)
	}
}
