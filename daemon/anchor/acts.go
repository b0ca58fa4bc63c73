// SPDX-License-Identifier: Apache-2.0

package anchor

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/policy"
)

// errOff is the answer where no anchor is asked for.
var errOff = &api.Error{Code: api.Failed, Message: "the configuration asks for no anchor",
	Advice: `set anchor = "tpm:" in digestd.conf, then: systemctl restart digestd`}

// AnchorStatus says how the index and the counter stand to each other. It asks no TPM.
func (a *Anchor) AnchorStatus() api.Anchor {
	p := a.Snapshot().Past
	out := api.Anchor{Where: "off", Standing: api.AnchorNone, Bound: p.Anchor.Name != "", Counter: p.Anchor.Name, Epoch: p.Anchor.Epoch, Since: p.Anchor.Bound, Due: p.Anchor.Due}
	if !a.On() {
		return out
	}
	out.Where = a.Config.Anchor
	a.last.mu.Lock()
	defer a.last.mu.Unlock()
	if !a.last.read.IsZero() {
		out.Value, out.Read = a.last.counter, a.last.read
	}
	switch {
	case p.Doubt == policy.OlderState:
		out.Standing = api.AnchorOlder
	case p.Doubt == policy.OtherState:
		out.Standing = api.AnchorOther
	case p.Anchor.Name == "":
	case a.last.err != nil:
		out.Standing, out.Text = api.AnchorUnreachable, api.Clean(a.last.err.Error())
	case a.last.read.IsZero():
		out.Standing, out.Text = api.AnchorUnreachable, "the TPM was not read yet"
	case p.Anchor.Due || a.last.counter != p.Anchor.Epoch:
		out.Standing = api.AnchorPending
	default:
		out.Standing = api.AnchorDone
	}
	return out
}

// exclusive has fn use the counter and its file, for as long as an administrator waits.
func (a *Anchor) exclusive(ctx context.Context, fn func(context.Context) error) (api.Anchor, error) {
	if !a.On() {
		return api.Anchor{}, errOff
	}
	ctx, cancel := context.WithTimeout(ctx, 3*passPatience)
	defer cancel()
	a.busy.Lock()
	err := fn(ctx)
	a.busy.Unlock()
	if err != nil {
		return api.Anchor{}, explain(err)
	}
	if err := a.Pass(ctx); err != nil {
		a.Logger.Warn("not anchored yet", "error", err)
	}
	return a.AnchorStatus(), nil
}

// explain gives an error of the TPM its advice.
func explain(err error) error {
	e := &api.Error{Code: api.Failed, Message: err.Error()}
	var told *api.Error
	switch {
	case errors.As(err, &told):
		return err
	case errors.Is(err, tpm.ErrFull):
		e.Advice = "see what is in the TPM, and remove what nobody needs: tpm2_getcap handles-nv-index; tpm2_nvundefine INDEX"
	case errors.Is(err, tpm.ErrTaken):
		e.Advice = `see what it is: tpm2_nvreadpublic; remove it, or name another index in digestd.conf: anchor = "tpm:index=NUMBER"`
	case errors.Is(err, tpm.ErrEndorsement):
		e.Advice = "write the password into a file that only root can read, and name the file in digestd.conf: anchor-endorsement-password-file; then: systemctl restart digestd"
	case errors.Is(err, tpm.ErrOwner):
		e.Advice = "give the owner's password: --owner-password-file FILE"
	}
	return e
}

// AnchorEnable makes a counter, and binds the index to it. owner is the password of the TPM's
// owner, "" for none. After an error there is no counter, but for one that the TPM did not
// let go: the next attempt removes that. [api.Unchanged] says that the anchor is enabled.
func (a *Anchor) AnchorEnable(ctx context.Context, by api.Actor, owner, reason string) (api.Anchor, error) {
	return a.exclusive(ctx, func(ctx context.Context) error {
		_, err := a.secret()
		switch bound := a.bound(); {
		case err == nil && bound != "":
			return api.Errorf(api.Unchanged, "the anchor is enabled already")
		case err == nil:
			return &api.Error{Code: api.InvalidArgument, Message: "the anchor was enabled, and the index knows nothing of it: the state directory is older than that, or was lost",
				Advice: "see digestctl anchor status; to go on by this state directory: digestctl anchor accept --reason WHY"}
		case bound != "":
			return &api.Error{Code: api.InvalidArgument, Message: "the index is bound to a counter, and " + a.path() + " cannot be used: " + err.Error(),
				Advice: "put the file back; or, if it is lost: digestctl anchor rebind --reason WHY"}
		case !errors.Is(err, errNone):
			return err
		}
		return a.make(ctx, by, owner, reason, false)
	})
}

// AnchorRebind makes another counter, and binds the index to it. [api.Unchanged] says that
// there is no need.
func (a *Anchor) AnchorRebind(ctx context.Context, by api.Actor, owner, reason string) (api.Anchor, error) {
	return a.exclusive(ctx, func(ctx context.Context) error {
		s, err := a.secret()
		if err == nil {
			if _, _, err = a.compare(ctx, s); err != nil && !errors.Is(err, tpm.ErrAuth) {
				return err
			}
		}
		switch p := a.Snapshot().Past; {
		case p.Doubt == policy.OtherState, err != nil && p.Anchor.Name != "":
		case p.Doubt == policy.OlderState:
			return &api.Error{Code: api.InvalidArgument, Message: "the counter is the one that the index was bound to; it is the index that is older",
				Advice: "digestctl anchor accept --reason WHY"}
		case p.Anchor.Name == "":
			return &api.Error{Code: api.InvalidArgument, Message: "the anchor is not enabled", Advice: "digestctl anchor enable"}
		default:
			return api.Errorf(api.Unchanged, "the index is bound to the counter that is in the TPM")
		}
		if err := a.clean(ctx, owner); err != nil {
			return err
		}
		// The old counter may still be there; it is of no use.
		old := tpm.Counter{Index: a.place.Index}
		if old.Name, err = hex.DecodeString(a.bound()); err != nil {
			return err
		}
		if err := a.Chip.Remove(ctx, []byte(owner), old, s.Mark); err != nil {
			return err
		}
		return a.make(ctx, by, owner, reason, true)
	})
}

// make makes a counter and binds the index to it. A crash on the way leaves a draft: the
// counter of it is removed by the next attempt, or, once the index is bound to it, is the
// one that counts.
func (a *Anchor) make(ctx context.Context, by api.Actor, owner, reason string, again bool) (err error) {
	if err := a.clean(ctx, owner); err != nil {
		return err
	}
	s, err := newSecret(a.place.Index)
	if err == nil {
		err = writeSecret(a.draft(), s)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		// If the caller stopped waiting, the act is undone all the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), passPatience)
		defer cancel()
		if cerr := a.clean(ctx, owner); cerr != nil {
			a.Logger.Error("a counter is left in the TPM", "error", cerr)
		}
	}()
	failpoint.Hit("bind", "after-draft")
	if err := a.Chip.Define(ctx, []byte(owner), s.counter(), s.Mark); err != nil {
		return err
	}
	failpoint.Hit("bind", "after-define")
	value, err := a.Chip.Begin(ctx, s.counter(), s.Mark)
	if err != nil {
		return err
	}
	err = a.Exec.Decide(ctx, "bind", func(l *ledger.Ledger) error {
		act, err := ledger.Act(l, by, reason)
		if err == nil {
			l.Bind(again, hex.EncodeToString(s.Name), value, act)
		}
		return err
	})
	if err != nil {
		return err
	}
	a.last.rose(value, a.Now())
	// The index is bound: the next reader of the file does what is left to do.
	if err := renameSecret(a.draft(), a.path()); err != nil {
		a.Logger.Error("the anchor's secret is not in its place yet", "error", err)
	}
	failpoint.Hit("bind", "after-name")
	return nil
}

// clean removes what an attempt left that was not completed.
func (a *Anchor) clean(ctx context.Context, owner string) error {
	s, err := readSecret(a.draft())
	if errors.Is(err, errNone) {
		return nil
	}
	if err == nil {
		err = a.Chip.Remove(ctx, []byte(owner), s.counter(), s.Mark)
		if err != nil && !errors.Is(err, tpm.ErrTaken) { // by something else
			return fmt.Errorf("cannot remove what an earlier attempt left: %w", err)
		}
	}
	return removeSecret(a.draft())
}

// AnchorAccept goes on by an index that is older than the counter. [api.Unchanged] says that
// it is not.
func (a *Anchor) AnchorAccept(ctx context.Context, by api.Actor, reason string) (api.Anchor, error) {
	return a.exclusive(ctx, func(ctx context.Context) error {
		s, err := a.secret()
		if err != nil {
			return err
		}
		standing, value, err := a.compare(ctx, s)
		switch {
		case err != nil:
			return err
		case standing.Doubt() == policy.OtherState:
			return &api.Error{Code: api.InvalidArgument, Message: "the TPM does not have the counter that the index was bound to", Advice: "digestctl anchor rebind --reason WHY"}
		case standing.Doubt() != policy.OlderState:
			return api.Errorf(api.Unchanged, "the index is of the epoch that the counter has")
		}
		grants := 0
		err = a.Exec.Decide(ctx, "accept", func(l *ledger.Ledger) error {
			act, err := ledger.Act(l, by, reason)
			if err == nil {
				grants = l.Accept(hex.EncodeToString(s.Name), value, act)
			}
			return err
		})
		if err == nil {
			a.Logger.Warn("an older index was accepted", "uid", by.UID, "reason", reason, "grants dropped", grants)
			a.WantSync("an older index was accepted")
		}
		return err
	})
}

// AnchorDisable removes the counter, and binds the index to none; with leave it does not
// reach for the TPM, and the counter stays there. [api.Unchanged] says that the anchor is
// not enabled.
func (a *Anchor) AnchorDisable(ctx context.Context, by api.Actor, owner string, leave bool, reason string) (api.Anchor, error) {
	return a.exclusive(ctx, func(ctx context.Context) error {
		s, err := a.secret()
		bound := a.bound()
		switch {
		case errors.Is(err, errNone) && bound == "":
			return api.Errorf(api.Unchanged, "the anchor is not enabled")
		case err == nil:
			// A draft counts only while the index is bound to it.
			if err := renameSecret(a.path(), a.draft()); err != nil {
				return err
			}
		case !leave:
			return &api.Error{Code: api.Failed, Message: err.Error(), Advice: "to leave the counter in the TPM: digestctl anchor disable --leave-counter"}
		}
		if !leave {
			if err := a.Chip.Remove(ctx, []byte(owner), s.counter(), s.Mark); err != nil && !errors.Is(err, tpm.ErrTaken) {
				return errors.Join(err, a.restore(bound, s))
			}
			failpoint.Hit("bind", "after-remove")
		}
		err = a.Exec.Decide(ctx, "bind", func(l *ledger.Ledger) error {
			act, err := ledger.Act(l, by, reason)
			if err == nil {
				l.Unbind(act)
			}
			return err
		})
		if err != nil {
			return errors.Join(err, a.restore(bound, s))
		}
		if err := removeSecret(a.draft()); err != nil {
			a.Logger.Warn("the anchor's secret is left", "error", err)
		}
		return removeSecret(a.path())
	})
}

// restore puts the file back, unless the index was not bound to its counter: there is no
// telling such a file from a draft.
func (a *Anchor) restore(bound string, s secret) error {
	if len(s.Name) == 0 {
		return nil
	}
	return renameSecret(a.draft(), a.path())
}
