// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// The methods below are methods of org.digestd1, which docs/dbus.md describes. For a paged
// method, want is the number of elements to read, 0 for all; fn receives them page by page;
// total is the number of all elements.

// Status returns the state of the daemon.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return get[api.Status](ctx, c, "Status")
}

// Lists reads the lists that a filter selects: "" for all, a state or a pattern.
func (c *Client) Lists(ctx context.Context, filter string, want uint32, fn func(page []api.List)) (total uint32, err error) {
	return pages(ctx, c, "Lists", 0, want, fn, filter)
}

// Show returns the lists of a package.
func (c *Client) Show(ctx context.Context, pkg string) ([]api.List, error) {
	var dicts []api.Dict
	if err := c.call(ctx, "Show", []any{pkg}, &dicts); err != nil {
		return nil, err
	}
	return api.DecodeAll[api.List](dicts)
}

// Files reads the entries of an active list.
func (c *Client) Files(ctx context.Context, list string, fn func(page []api.File)) (total uint32, err error) {
	return pages(ctx, c, "Files", 0, 0, fn, list)
}

// Why explains a file by its absolute path, which is UTF-8.
func (c *Client) Why(ctx context.Context, path string) (api.Why, error) {
	return get[api.Why](ctx, c, "Why", path)
}

// WhyBytes explains a file by its absolute path.
func (c *Client) WhyBytes(ctx context.Context, path []byte) (api.Why, error) {
	return get[api.Why](ctx, c, "WhyBytes", path)
}

// WhyContent explains a file that the caller has examined.
func (c *Client) WhyContent(ctx context.Context, path string, seen api.Content) (api.Why, error) {
	// An array is there even if it is empty.
	bytes := func(b []byte) []byte { return append([]byte{}, b...) }
	return get[api.Why](ctx, c, "WhyContent", []byte(path), []byte(seen.RealPath), seen.Found, seen.Label,
		bytes(seen.SHA256), bytes(seen.SHA384), bytes(seen.SHA512))
}

// Check predicts the decision about a package from its headers.
func (c *Client) Check(ctx context.Context, header, signatures []byte) (api.Check, error) {
	return get[api.Check](ctx, c, "Check", append([]byte{}, header...), append([]byte{}, signatures...))
}

// CheckVersion predicts the decision about a version from its NEVRA.
func (c *Client) CheckVersion(ctx context.Context, nevra string) (api.Check, error) {
	return get[api.Check](ctx, c, "CheckVersion", nevra)
}

// Log reads the entries of the log that a filter selects, newest first.
func (c *Client) Log(ctx context.Context, filter api.LogFilter, want uint32, fn func(page []api.Event)) (total uint32, err error) {
	return pages(ctx, c, "Log", 0, want, fn, filter.Dict())
}

// LogVerify checks the hash chain of the log; head is one that it must continue, or "".
func (c *Client) LogVerify(ctx context.Context, head string) (api.LogCheck, error) {
	return get[api.LogCheck](ctx, c, "LogVerify", head)
}

// RollbackLog reads the decisions about versions, newest first.
func (c *Client) RollbackLog(ctx context.Context, want uint32, fn func(page []api.Event)) (total uint32, err error) {
	return pages(ctx, c, "RollbackLog", 0, want, fn)
}

// RollbackGrant permits one older version once.
func (c *Client) RollbackGrant(ctx context.Context, nevra, reason string) (api.Grant, error) {
	return get[api.Grant](ctx, c, "RollbackGrant", nevra, reason)
}

// RollbackRevoke revokes an unused grant.
func (c *Client) RollbackRevoke(ctx context.Context, nevra string) error {
	return c.call(ctx, "RollbackRevoke", []any{nevra})
}

// Floors returns the floors in force, by package.
func (c *Client) Floors(ctx context.Context) ([]api.Floor, error) {
	return every[api.Floor](ctx, c, "Floors")
}

// FloorSet keeps all versions of a package below a version out.
func (c *Client) FloorSet(ctx context.Context, pkg, evr, reason string) error {
	return c.call(ctx, "FloorSet", []any{pkg, evr, reason})
}

// FloorClear removes the floor of a package.
func (c *Client) FloorClear(ctx context.Context, pkg, reason string) error {
	return c.call(ctx, "FloorClear", []any{pkg, reason})
}

// Denials returns the denials in force.
func (c *Client) Denials(ctx context.Context, want uint32, fn func(page []api.Denial)) (total uint32, err error) {
	return pages(ctx, c, "Denials", 0, want, fn)
}

// Deny denies a content or versions of a package; a zero end is none.
func (c *Client) Deny(ctx context.Context, what, path, reason, ticket string, expires time.Time) (api.Denial, error) {
	us := uint64(0)
	if !expires.IsZero() {
		us = uint64(expires.UnixMicro())
	}
	return get[api.Denial](ctx, c, "Deny", what, path, reason, ticket, us)
}

// DenialLift lifts a denial.
func (c *Client) DenialLift(ctx context.Context, what, reason string) (api.Denial, error) {
	return get[api.Denial](ctx, c, "DenialLift", what, reason)
}

// DenialsImport imports a document of denials, or predicts the result of an import.
func (c *Client) DenialsImport(ctx context.Context, document []byte, dryRun bool) (api.DenialImport, error) {
	return get[api.DenialImport](ctx, c, "DenialsImport", document, dryRun)
}

// Anchor returns the relation between the index and the counter in the TPM.
func (c *Client) Anchor(ctx context.Context) (api.Anchor, error) {
	return get[api.Anchor](ctx, c, "Anchor")
}

// AnchorEnable makes a counter and binds the index to it. owner is the password of the TPM's
// owner, empty for none.
func (c *Client) AnchorEnable(ctx context.Context, owner []byte, reason string) (api.Anchor, error) {
	return get[api.Anchor](ctx, c, "AnchorEnable", append([]byte{}, owner...), reason)
}

// AnchorAccept continues with an older index.
func (c *Client) AnchorAccept(ctx context.Context, reason string) (api.Anchor, error) {
	return get[api.Anchor](ctx, c, "AnchorAccept", reason)
}

// AnchorRebind binds the index to another counter.
func (c *Client) AnchorRebind(ctx context.Context, owner []byte, reason string) (api.Anchor, error) {
	return get[api.Anchor](ctx, c, "AnchorRebind", append([]byte{}, owner...), reason)
}

// AnchorDisable binds the index to no counter.
func (c *Client) AnchorDisable(ctx context.Context, owner []byte, leave bool, reason string) (api.Anchor, error) {
	return get[api.Anchor](ctx, c, "AnchorDisable", append([]byte{}, owner...), leave, reason)
}

// AnchorQuote states to a verifier what the machine is, as a JSON document.
func (c *Client) AnchorQuote(ctx context.Context, nonce string) (document string, err error) {
	err = c.call(ctx, "AnchorQuote", []any{nonce}, &document)
	return document, err
}

// AnchorIdentity shows a verifier by which keys the TPM is known, as a JSON document.
func (c *Client) AnchorIdentity(ctx context.Context) (document string, err error) {
	err = c.call(ctx, "AnchorIdentity", nil, &document)
	return document, err
}

// AnchorProve answers the challenge of a verifier; both are JSON documents.
func (c *Client) AnchorProve(ctx context.Context, challenge []byte) (document string, err error) {
	err = c.call(ctx, "AnchorProve", []any{challenge}, &document)
	return document, err
}

// Policies returns the policies and the files that do not count, without their words.
func (c *Client) Policies(ctx context.Context) ([]api.Policy, error) {
	return every[api.Policy](ctx, c, "Policies")
}

// Policy returns one of them with its words.
func (c *Client) Policy(ctx context.Context, name string) (api.Policy, error) {
	return get[api.Policy](ctx, c, "Policy", name)
}

// PolicyForget lifts what stayed of a policy whose file is gone.
func (c *Client) PolicyForget(ctx context.Context, name, reason string) (api.Policy, error) {
	return get[api.Policy](ctx, c, "PolicyForget", name, reason)
}

// Keys returns every key that is known.
func (c *Client) Keys(ctx context.Context) ([]api.Key, error) {
	return every[api.Key](ctx, c, "Keys")
}

// Key returns one key.
func (c *Client) Key(ctx context.Context, key string) (api.Key, error) {
	return get[api.Key](ctx, c, "Key", key)
}

// KeyRevoke withdraws everything that a key vouches for.
func (c *Client) KeyRevoke(ctx context.Context, key, reason string) (api.Key, error) {
	return get[api.Key](ctx, c, "KeyRevoke", key, reason)
}

// KeyRestore lifts the revocation of a key.
func (c *Client) KeyRestore(ctx context.Context, key, reason string) (api.Key, error) {
	return get[api.Key](ctx, c, "KeyRestore", key, reason)
}

// SignerRotate changes the key that signs lists, or only makes the next one.
func (c *Client) SignerRotate(ctx context.Context, prepareOnly bool, reason string) (api.Certificate, error) {
	return get[api.Certificate](ctx, c, "SignerRotate", prepareOnly, reason)
}

// SignerEnrol brings the certificate that signs lists to where the kernel looks.
func (c *Client) SignerEnrol(ctx context.Context, where string) (api.Enrolment, error) {
	return get[api.Enrolment](ctx, c, "SignerEnrol", where)
}

// Retired returns the lists that must not come back.
func (c *Client) Retired(ctx context.Context) ([]api.Retired, error) {
	return every[api.Retired](ctx, c, "Retired")
}

// Owns returns the owner's own lists, without their sources.
func (c *Client) Owns(ctx context.Context) ([]api.Own, error) {
	return every[api.Own](ctx, c, "Owns")
}

// Own returns one own list.
func (c *Client) Own(ctx context.Context, name string) (api.Own, error) {
	return get[api.Own](ctx, c, "Own", name)
}

// OwnAppend adds a piece to an upload, of which 0 begins one, and returns the
// number of that. Upload sends a whole file.
func (c *Client) OwnAppend(ctx context.Context, upload uint64, data []byte) (id uint64, err error) {
	err = c.call(ctx, "OwnAppend", []any{upload, base64.StdEncoding.EncodeToString(data)}, &id)
	return id, err
}

// Order returns how lists are ordered, and those that have a number.
func (c *Client) Order(ctx context.Context) (order api.Order, lists []api.Ordered, err error) {
	lists = []api.Ordered{}
	for {
		var dicts []api.Dict
		var total uint32
		var d api.Dict
		if err := c.call(ctx, "Order", []any{uint32(len(lists)), uint32(0)}, &dicts, &total, &d); err != nil {
			return order, lists, err
		}
		page, err := api.DecodeAll[api.Ordered](dicts)
		if err == nil {
			err = api.Decode(d, &order)
		}
		if err != nil {
			return order, lists, err
		}
		if lists = append(lists, page...); len(page) == 0 || uint32(len(lists)) >= total {
			return order, lists, nil
		}
	}
}

// OrderSet numbers lists by the first use of them among paths.
func (c *Client) OrderSet(ctx context.Context, paths [][]byte, reason string) (api.Order, error) {
	return get[api.Order](ctx, c, "OrderSet", paths, reason)
}

// OrderClear takes the numbers away.
func (c *Client) OrderClear(ctx context.Context, reason string) error {
	return c.call(ctx, "OrderClear", []any{reason})
}

// OrderPrefetch makes the kernel read the lists before the one it looks for, or not.
func (c *Client) OrderPrefetch(ctx context.Context, on bool) error {
	return c.call(ctx, "OrderPrefetch", []any{on})
}

// Verification returns the verification that runs, or the latest.
func (c *Client) Verification(ctx context.Context) (api.Verification, error) {
	return get[api.Verification](ctx, c, "Verification")
}

// Findings reads what that verification found so far, without the first ones.
func (c *Client) Findings(ctx context.Context, first, want uint32, fn func(page []api.Finding)) (total uint32, err error) {
	return pages(ctx, c, "Findings", first, want, fn)
}

// Guard says what the guard in the kernel does and knows.
func (c *Client) Guard(ctx context.Context) (api.Guard, error) {
	return get[api.Guard](ctx, c, "Guard")
}

// GuardDenials returns what the guard refused, the latest last.
func (c *Client) GuardDenials(ctx context.Context) ([]api.GuardDenial, error) {
	return every[api.GuardDenial](ctx, c, "GuardDenials")
}

// GuardCandidates returns what may be learned of that, or why not.
func (c *Client) GuardCandidates(ctx context.Context) ([]api.GuardCandidate, error) {
	return every[api.GuardCandidate](ctx, c, "GuardCandidates")
}

// GuardExempt exempts the containers of a cgroup, or ends that.
func (c *Client) GuardExempt(ctx context.Context, req api.GuardExemptRequest) (api.Guard, error) {
	options := []string{}
	if req.End {
		options = append(options, "end")
	}
	if req.Force {
		options = append(options, "force")
	}
	return get[api.Guard](ctx, c, "GuardExempt", req.Group, options, req.Reason)
}

// GuardSwitch puts the guard into a mode.
func (c *Client) GuardSwitch(ctx context.Context, req api.GuardRequest) (api.Guard, error) {
	options := []string{}
	for _, o := range []struct {
		on   bool
		word string
	}{{req.Confirm, "confirm"}, {req.Force, "force"}, {req.Checked, "checked"}} {
		if o.on {
			options = append(options, o.word)
		}
	}
	return get[api.Guard](ctx, c, "GuardSwitch", req.Mode, uint64(req.Trial), options, req.Reason)
}
