// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/kernel"
	"github.com/spf13/cobra"
)

// imaPolicyDocument is what ima-policy prints for programs.
type imaPolicyDocument struct {
	DigestCache bool            `json:"digest_cache"`
	Rules       []imaPolicyRule `json:"rules"`
}

type imaPolicyRule struct {
	Rule string `json:"rule"`
	Why  string `json:"why,omitzero"`
}

// IMAPolicy is digestctl ima-policy.
func IMAPolicy(a *cli.App) *cobra.Command {
	var p kernel.IMAPolicy
	var kind string
	cmd := &cobra.Command{
		Annotations: a.Prints(imaPolicyDocument{}),
		Use:         "ima-policy",
		Short:       "Print an IMA policy that makes the kernel enforce the lists",
		Long: `Ima-policy prints the rules that make this machine's kernel refuse files without a list, each with its reason.
Review them and put them into /etc/ima/ima-policy. Ima-policy changes nothing, and works without a running
digestd. Without --kernel it prints the rules for the running kernel.`,
		Args: cli.Exactly(),
		RunE: func(*cobra.Command, []string) error {
			switch kind {
			case "digest-cache":
				p.DigestCache = true
			case "stock":
			case "":
				p.DigestCache = kernel.HasDigestCache("/") == kernel.Yes
			default:
				return fmt.Errorf("ima-policy: --kernel is digest-cache or stock, not %q", kind)
			}
			rules, err := p.Rules()
			if err != nil {
				return err
			}
			a.Started = true
			if a.JSON {
				doc := imaPolicyDocument{DigestCache: p.DigestCache}
				for _, r := range rules {
					doc.Rules = append(doc.Rules, imaPolicyRule{Rule: r.Text, Why: r.Why})
				}
				return a.UI.JSON(doc)
			}
			text, err := p.Text()
			if err == nil {
				_, err = a.UI.Out.Write([]byte(text))
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kind, "kernel", "", "for a kernel with the Integrity Digest Cache (`digest-cache`), or without (stock)")
	cmd.RegisterFlagCompletionFunc("kernel", cobra.FixedCompletions([]cobra.Completion{"digest-cache", "stock"}, cobra.ShellCompDirectiveNoFileComp))
	flags.StringVar(&p.Usage, "usage", "data", "the value of digest_cache= that the kernel knows: data or `content`")
	flags.IntVar(&p.PCR, "measure", 0, "also measure lists and files, into this `PCR`: 8 to 14, but not 10")
	cmd.RegisterFlagCompletionFunc("usage", cobra.FixedCompletions([]cobra.Completion{"data", "content"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
