// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/bpf"
)

const (
	keeper = "/digestd-guard"
	socket = "/t/guard.sock"
)

// startKeeper starts digestd-guard and waits until it answers.
func startKeeper(args ...string) (*exec.Cmd, *protocol.Client) {
	cmd := exec.Command(keeper, append([]string{"-socket", socket}, args...)...)
	cmd.Stderr = os.Stderr
	must(cmd.Start())
	for range 600 {
		if c, err := protocol.Dial(context.Background(), socket); err == nil {
			if _, err := c.Status(context.Background()); err == nil {
				return cmd, c
			}
			c.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	panic("digestd-guard does not answer")
}

// service: digestd-guard does what digestd says, and the kernel goes on without it.
func (m *machine) service() {
	if m.set != nil {
		m.events.Close()
		m.set.Close()
		m.set = nil
		must(bpf.Unload(bpf.DefaultDir))
	}
	ctx := context.Background()
	m.self = digestOf("/init")
	own, tool := digestOf(keeper), program("/t/tool", "service")
	cmd, c := startKeeper("-mode", "enforce")
	mode := func() string {
		s, err := c.Status(ctx)
		must(err)
		return s.Mode
	}
	m.equal("before a comparison it audits", "audit", mode())
	m.check("and lets everything run", nil, run("/t/tool"))
	must(c.Admit(ctx, []guard.Digest{m.self}))
	must(c.SetCommit(ctx, 1))
	m.equal("after it, it waits for a check", "audit", mode())
	checks := exec.Command(keeper, "-check", "-mode", "enforce", "-socket", socket)
	checks.Stderr = os.Stderr
	must(checks.Start())
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if s, err := c.Status(ctx); err == nil && s.Check != nil {
			break
		}
	}
	s, err := c.Status(ctx)
	must(err)
	m.equal("the check names what runs and is not listed", "audit 1 [/digestd-guard]", fmt.Sprint(s.Mode, " ", s.Check.Refused, " ", s.Check.First))
	must(c.Admit(ctx, []guard.Digest{own}))
	must(c.SetCommit(ctx, 1))
	m.check("another check ends well", nil, checks.Wait())
	m.equal("after it, it enforces", "enforce", mode())
	m.check("unlisted: refused", refused, run("/t/tool"))
	must(c.Admit(ctx, []guard.Digest{tool}))
	m.check("admitted: runs", nil, run("/t/tool"))
	must(c.Expel(ctx, []guard.Digest{tool}))
	m.check("expelled: refused", refused, run("/t/tool"))
	must(c.SetCommit(ctx, 2))
	time.Sleep(500 * time.Millisecond)
	d, err := c.Denials(ctx)
	must(err)
	found := ""
	for _, one := range d.All {
		if one.Digest == fmt.Sprintf("%x", tool) && one.Path == "/t/tool" {
			found = fmt.Sprint(one.Act, " ", one.Reason, " ", one.Count, " ", one.Refused)
		}
	}
	m.equal("it sums up what happened", "exec unlisted 3 2", found)

	// Killed in the middle of a withdrawal.
	var many []guard.Digest
	for i := range uint32(100_000) {
		many = append(many, guard.Digest{byte(i), byte(i >> 8), byte(i >> 16), 1})
	}
	must(c.Admit(ctx, append(many, tool)))
	must(c.SetCommit(ctx, 3))
	m.check("before the kill: runs", nil, run("/t/tool"))
	expelled := make(chan error, 1)
	go func() { expelled <- c.Expel(ctx, append(many, tool)) }()
	second, err := protocol.Dial(ctx, socket)
	must(err)
	for s, err := second.Status(ctx); s.Commit != 0; s, err = second.Status(ctx) {
		must(err) // until the withdrawal has begun
	}
	second.Close()
	must(cmd.Process.Kill())
	cmd.Wait()
	err = <-expelled
	m.fact("the withdrawal that was cut short: %v", err)
	if !errors.Is(err, protocol.ErrRefused) && err != nil {
		m.ok("a withdrawal that was cut short is no success")
	} else {
		m.failed("a withdrawal that was cut short is no success", fmt.Sprint(err))
	}
	c.Close()
	other := program("/t/other", "another service")
	m.check("killed: unlisted is refused", refused, run("/t/other"))
	m.check("killed: listed runs", nil, run("/init"))
	cmd, c = startKeeper("-mode", "enforce")
	s, err = c.Status(ctx)
	must(err)
	m.equal("started again: it enforces, and knows no commit", "enforce 0", fmt.Sprint(s.Mode, " ", s.Commit))
	must(c.Replace(ctx, 4, 2, func(yield func(guard.Digest, uint32) bool) { _ = yield(m.self, 1) && yield(own, 1) }))
	s, err = c.Status(ctx)
	must(err)
	m.equal("compared: commit and digests", "4 2", fmt.Sprint(s.Commit, " ", s.Digests))
	m.check("what was to be withdrawn is refused", refused, run("/t/tool"))

	must(c.Change(ctx, protocol.Change{Mode: "enforce", Trial: 2 * time.Second}))
	m.check("in a trial: refused", refused, run("/t/other"))
	time.Sleep(2 * time.Second)
	m.equal("the trial is over", "audit", mode())
	m.check("and everything runs", nil, run("/t/other"))
	must(c.Change(ctx, protocol.Change{Mode: "enforce"}))
	must(c.Admit(ctx, []guard.Digest{other}))
	must(cmd.Process.Signal(unix.SIGTERM))
	m.check("it ends with success", nil, cmd.Wait())
	c.Close()
	m.check("ended: unlisted is refused", refused, run("/t/tool"))
	m.check("ended: listed runs", nil, run("/t/other"))
	m.check("digestd-guard -off", nil, run(keeper, "-off"))
	m.check("off: everything runs", nil, run("/t/tool"))
}

// commandLine: digestd.guard=off on the kernel's command line wins.
func (m *machine) commandLine() {
	program("/t/tool", "line")
	m.check("digestd-guard ends with success", nil, run(keeper, "-socket", socket, "-mode", "enforce"))
	m.check("nothing is loaded", os.ErrNotExist, func() error { _, err := os.Stat(bpf.DefaultDir); return err }())
	m.check("everything runs", nil, run("/t/tool"))
}

// auditLine: digestd.guard=audit on the kernel's command line wins, too, and refuses nothing.
func (m *machine) auditLine() {
	ctx := context.Background()
	m.self = digestOf("/init")
	program("/t/tool", "line")
	cmd, c := startKeeper("-mode", "enforce")
	defer c.Close()
	must(c.Admit(ctx, []guard.Digest{m.self, digestOf(keeper)}))
	must(c.SetCommit(ctx, 1))
	m.check("a change to enforce is refused", protocol.ErrRefused, c.Change(ctx, protocol.Change{Mode: "enforce"}))
	s, err := c.Status(ctx)
	must(err)
	m.equal("it audits", "audit", s.Mode)
	m.equal("and says why", true, strings.Contains(s.Why, "digestd.guard=audit"))
	m.check("everything runs", nil, run("/t/tool"))
	must(cmd.Process.Signal(unix.SIGTERM))
	m.check("it ends with success", nil, cmd.Wait())
}
