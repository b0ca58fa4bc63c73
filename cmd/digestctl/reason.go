// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// reasonFlag adds the flag without which nothing is recorded.
func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVarP(reason, "reason", "r", "", "why, as `TEXT`: it is recorded with your user")
	cmd.MarkFlagRequired("reason")
	cmd.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
	// Before cobra, which would only say that the flag is required.
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if strings.TrimSpace(*reason) == "" {
			return fmt.Errorf("%s needs --reason TEXT: it is recorded with your user", verbName(cmd))
		}
		return nil
	}
}

func optionalReason(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVarP(reason, "reason", "r", "", "why, as `TEXT`: it is recorded with your user")
	cmd.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
}
