// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/kernel/guard"
)

// denialsDocument is what denials prints for programs.
type denialsDocument struct {
	Denials []api.GuardDenial `json:"denials"`
	Lost    uint64            `json:"lost"`    // refusals that the kernel had no room to report
	Dropped uint64            `json:"dropped"` // summaries that made room for later ones
}

func (g *app) denialsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Annotations: g.Prints(denialsDocument{}, api.GuardDenial{}),
		Use:         "denials",
		Short:       "List what the guard refused, grouped by content",
		Long: `Denials lists the files that the guard refused, or in mode audit would have refused, since
digestd-guard started: each content once, with the latest process that used it and the
reason that digestctl why gives for it now. With --follow it continues with new refusals.`,
		Args: cobra.NoArgs,
		RunE: g.verb(func(ctx context.Context, c *protocol.Client, d *client.Client) error {
			src := &source{guard: c, digestd: d}
			if d == nil {
				src.meetDigestd(ctx, g.Bus)
				defer src.close()
			}
			all, missing, err := src.denials(ctx)
			if err != nil {
				return err
			}
			if follow {
				return g.follow(ctx, src, all)
			}
			for i := range all {
				if err := src.explain(ctx, &all[i]); err != nil {
					return err
				}
			}
			if g.JSON {
				return g.UI.JSON(denialsDocument{append([]api.GuardDenial{}, all...), missing.Lost, missing.Dropped})
			}
			if len(all) == 0 {
				g.UI.Say(terminal.Good, "the guard refused nothing")
			}
			for _, one := range all {
				g.printDenial(one)
			}
			if n := missing.Lost + missing.Dropped; n > 0 {
				g.UI.Say(terminal.Warn, "%d refusals are missing from this list", n)
			}
			g.sayUnexplained(src)
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "continue with new entries")
	return cmd
}

// source reads denials: from digestd-guard, with explanations of digestd if it answers, or from
// digestd alone, whose answer has both.
type source struct {
	guard   *protocol.Client // nil: digestd answers all questions
	digestd *client.Client   // nil: digestd cannot be reached
	absent  error            // why it cannot be reached
}

// meetDigestd looks for a digestd that runs.
func (s *source) meetDigestd(ctx context.Context, bus string) {
	if s.digestd, s.absent = client.Dial(ctx, bus); s.absent == nil {
		s.digestd.StartNothing()
	}
}

func (s *source) close() {
	if s.digestd != nil {
		s.digestd.Close()
	}
}

// denials returns all there are, the latest last, and counts those that are missing.
func (s *source) denials(ctx context.Context) (all []api.GuardDenial, missing api.GuardCounts, err error) {
	if s.guard == nil {
		g, err := s.digestd.Guard(ctx)
		if err != nil {
			return nil, missing, err
		}
		all, err = s.digestd.GuardDenials(ctx)
		return all, g.Counts, err
	}
	d, err := s.guard.Denials(ctx)
	for _, one := range d.All {
		all = append(all, one.Describe())
	}
	return all, api.GuardCounts{Lost: d.Lost, Dropped: d.Dropped}, err
}

// explain completes a denial by why it is one. A digestd that cannot be reached, or is too
// slow, leaves it with what the kernel said.
func (s *source) explain(ctx context.Context, d *api.GuardDenial) error {
	if s.guard == nil {
		return nil
	}
	was := protocol.Denial{Reason: d.Reason, Digest: d.Digest, Path: d.Path, RawPath: d.RawPath}
	var why api.Why
	listed := false
	if sum, err := hex.DecodeString(d.Digest); err == nil && len(sum) == len(guard.Digest{}) && was.ByLists() {
		answer, err := s.guard.Listed(ctx, []guard.Digest{guard.Digest(sum)})
		if err != nil {
			return err
		}
		listed = answer[0]
		if s.digestd != nil {
			path := was.ExactPath()
			if !strings.HasPrefix(path, "/") {
				path = "/" // no list has it; only the content counts
			}
			if why, err = s.digestd.WhyContent(ctx, path, api.Content{Found: true, SHA256: sum}); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				s.absent = err
				s.close()
				s.digestd = nil
			}
		}
	}
	d.Why = was.Explain(why, listed)
	return nil
}

// sayUnexplained says why reasons are short, if they are.
func (g *app) sayUnexplained(s *source) {
	if s.absent != nil {
		g.UI.Say(terminal.Warn, "cannot look these up in the lists: %v", s.absent)
	}
}

// pace is how often follow asks.
const pace = time.Second / 2

// follow prints what is new until ctx ends.
func (g *app) follow(ctx context.Context, src *source, all []api.GuardDenial) error {
	seen := map[string]uint64{}
	for {
		for _, one := range all {
			key := fmt.Sprint(one.Act, one.Reason, one.Digest, one.File)
			if one.Digest != "" {
				key = one.Act + one.Reason + one.Digest
			}
			if one.Count == seen[key] {
				continue
			}
			seen[key] = one.Count
			if err := src.explain(ctx, &one); err != nil {
				return ended(ctx, err)
			}
			if !g.JSON {
				g.printDenial(one)
			} else if err := g.UI.JSON(one); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pace):
		}
		var err error
		if all, _, err = src.denials(ctx); err != nil {
			return ended(ctx, err)
		}
	}
}

// ended is no error where its user ended it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// nameOf is what a denial is about: a path, or a file without one.
func nameOf(d api.GuardDenial) string {
	if path := terminal.PathOf(d.Path, d.RawPath); path != "" {
		return path
	}
	return fmt.Sprintf("a file of device %d:%d, inode %d", d.File.Device>>20, d.File.Device&(1<<20-1), d.File.Inode)
}

// processOf says who wanted to use the file.
func processOf(by api.GuardProcess) string {
	text := fmt.Sprintf("%s (PID %d, user %d)", by.Command, by.PID, by.UID)
	if by.Unit != "" {
		text += " of " + by.Unit
	}
	return text
}

// wayOut is named beside every refusal.
const wayOut = "digestctl guard off, or digestd.guard=off on the kernel's command line"

func (g *app) printDenial(d api.GuardDenial) {
	style, verb := terminal.Bad, "refused"
	if d.Refused == 0 {
		style, verb = terminal.Warn, "allowed"
	}
	g.UI.Say(style, "%s: %s %s, %s", nameOf(d), d.Act, verb, strings.TrimPrefix(d.Why.Text, "not vouched for: "))
	for _, r := range d.Why.Reasons {
		g.UI.Fact("because", "%s", terminal.Without(d.Why.Owner, r))
	}
	g.UI.Fact("digest", "%s", d.Digest)
	g.UI.Fact("by", "%s", processOf(d.By))
	g.UI.Fact("last", "%s, %s", d.Last.Local().Format(time.DateTime), terminal.Count(int(min(d.Count, 1<<31)), "time", "times"))
	g.UI.Fact("next", "%s", d.Why.Advice)
	if d.Refused > 0 {
		g.UI.Fact("way out", "%s", wayOut)
	}
}
