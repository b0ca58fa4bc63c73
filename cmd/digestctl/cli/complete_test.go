// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestFit(t *testing.T) {
	got := fit([]cobra.Completion{"bash", "bash", "bash-$(id)", "ba sh", "bad\x1b[2J", "zsh", "", "bat\twhat `it` is: $x"}, "ba")
	if diff := cmp.Diff([]cobra.Completion{"bash", "bat\twhat it is: x"}, got); diff != "" {
		t.Error(diff)
	}
}
