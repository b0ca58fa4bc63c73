// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/digestd/digestd/hooks/wire"
)

// macroTime bounds asking rpm for its macros, which takes milliseconds: it
// opens no database and takes no lock.
const macroTime = 5 * time.Second

// maxBudget is more than anybody waits.
const maxBudget = time.Hour

// budget is that of the plugin.
const budget = 30 * time.Second

// options are those of the rpm plugin, so that one macro file sets up all hooks.
type options struct {
	socket string
	budget time.Duration // for everything; one exchange has wire.ExchangeTimeout
	refuse bool          // when the daemon does not answer
}

// readOptions asks rpm how its plugin is set up, and whether it is at all.
func readOptions(ctx context.Context) (o options, loaded bool) {
	ctx, cancel := context.WithTimeout(ctx, macroTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "rpm", "--eval", "%{?__transaction_digestd}", "--eval", "%{?_digestd_on_unreachable}").Output()
	if err != nil {
		return o, false
	}
	return parseOptions(string(out))
}

// parseOptions reads the two macros, a line each. The plugin reports mistakes in them.
func parseOptions(macros string) (o options, loaded bool) {
	plugin, unreachable, _ := strings.Cut(macros, "\n")
	words := strings.Fields(plugin)
	if len(words) == 0 {
		return o, false
	}
	unreachable = strings.TrimSpace(unreachable)
	o = options{socket: wire.DefaultSocket, budget: budget, refuse: unreachable != "" && unreachable != "proceed"}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "socket":
			o.socket = value
		case "timeout":
			if n, err := strconv.Atoi(value); err == nil && n > 0 {
				o.budget = min(time.Duration(n)*time.Second, maxBudget)
			}
		case "on-unreachable":
			switch value {
			case "proceed":
				o.refuse = false
			case "refuse":
				o.refuse = true
			}
		}
	}
	return o, true
}
