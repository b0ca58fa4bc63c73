// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/preflight"
)

// lookGuard looks at the guard in the kernel, where it is configured.
func lookGuard(ctx context.Context, p *patient) {
	if p.conf.Guard == api.GuardOff {
		p.skip(`the guard is off (guard = "off")`)
		return
	}
	g, err := p.guard(ctx)
	if err != nil {
		p.noGuard(ctx, err)
		return
	}
	p.tellOfGuard(g)
}

// tellOfGuard says what of the guard is as it should be, and what is not.
func (p *patient) tellOfGuard(g api.Guard) {
	switch {
	case g.Why != "":
		p.warn("digestctl guard check", "the guard is in mode %s, not in mode %s: %s", g.Mode, g.Wanted, g.Why)
	case g.Mode != p.conf.Guard:
		p.warn("", "the guard is in mode %s; the configuration says %s", g.Mode, p.conf.Guard)
		p.advise("that lasts until the next boot; to apply the configuration: systemctl restart digestd-guard")
	default:
		p.ok("the guard is in mode %s with %d digests, and refused %d checks", g.Mode, g.Digests, g.Counts.Refused)
	}
	if g.Doubt != "" && g.Doubt != g.Why {
		p.warn("journalctl -u digestd-guard", "mode enforce is not available: %s", g.Doubt)
	}
	if n := g.Counts.Missed; g.Mode == api.GuardAudit && n > 0 {
		p.warn("digestctl guard denials", "mode enforce would have refused something %d times", n)
		p.advise("before you enforce, vouch for what may run: digestctl guard learn")
	}
	if n := g.Counts.Lost + g.Counts.Dropped; n > 0 {
		p.warn("", "%d refusals were not logged", n)
	}
}

// guard asks digestd-guard, or digestd where only root may do that.
func (p *patient) guard(ctx context.Context) (api.Guard, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Patience/2)
	defer cancel()
	c, err := protocol.Dial(ctx, p.at(protocol.DefaultSocket))
	if err != nil {
		if st, serr := p.status(); errors.Is(err, fs.ErrPermission) && serr == nil && st.Guard.Mode != "" && st.Guard.Mode != api.GuardUnknown {
			return st.Guard, nil
		}
		return api.Guard{}, err
	}
	defer c.Close()
	s, err := c.Status(ctx)
	if err != nil {
		return api.Guard{}, err
	}
	d, err := c.Denials(ctx)
	return protocol.Describe(s, d), err
}

// noGuard says why the guard does not answer, as far as that can be seen.
func (p *patient) noGuard(ctx context.Context, err error) {
	if errors.Is(err, fs.ErrPermission) && !p.Root {
		p.skip("only root may query digestd-guard")
		return
	}
	lacks := false
	for _, c := range (preflight.Machine{Top: p.Top}).Conditions() {
		if !c.OK {
			lacks = true
			p.fail("", "the guard is not available: %s", c.Text)
			p.advise("%s", c.Advice)
		}
	}
	if lacks {
		return
	}
	var slow net.Error
	fix := "systemctl enable --now digestd-guard"
	if errors.As(err, &slow) && slow.Timeout() {
		fix = "systemctl restart digestd-guard"
	}
	p.fail(fix, "%s", fmt.Sprintf("digestd-guard does not answer: %v", err))
	p.advise("if it does not start, see the last lines of its log: journalctl -u digestd-guard")
}
