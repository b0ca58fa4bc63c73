// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// ReasonFlag adds the required flag for a reason.
func ReasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVarP(reason, "reason", "r", "", "reason, as `TEXT`; it is recorded with your user")
	cmd.MarkFlagRequired("reason")
	cmd.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
	// cobra's own message would say only that the flag is required.
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if strings.TrimSpace(*reason) == "" {
			return fmt.Errorf("%s needs --reason TEXT, which is recorded with your user", VerbName(cmd))
		}
		return nil
	}
}

// OptionalReason adds the optional flag for a reason.
func OptionalReason(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVarP(reason, "reason", "r", "", "reason, as `TEXT`; it is recorded with your user")
	cmd.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
}
