// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// ReasonFlag adds the flag without which nothing is recorded.
func ReasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVarP(reason, "reason", "r", "", "reason, as `TEXT`; it is recorded with your user")
	cmd.MarkFlagRequired("reason")
	cmd.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
	// Before cobra, which would only say that the flag is required.
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if strings.TrimSpace(*reason) == "" {
			return fmt.Errorf("%s needs --reason TEXT, which is recorded with your user", VerbName(cmd))
		}
		return nil
	}
}

// OptionalReason adds the flag for what is recorded with a reason or without.
func OptionalReason(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVarP(reason, "reason", "r", "", "reason, as `TEXT`; it is recorded with your user")
	cmd.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
}
