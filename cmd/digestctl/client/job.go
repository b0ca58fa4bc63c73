// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

// Progress is called with the progress of a job. If total is 0, it is unknown.
type Progress func(stage string, done, total uint64)

// The methods below start a job, wait for its end and return its result. If ctx ends first, they
// cancel the job.

// Sync brings the lists in step with rpm's database.
func (c *Client) Sync(ctx context.Context, report Progress) (api.SyncResult, error) {
	return run[api.SyncResult](ctx, c, "Sync", report)
}

// Verify compares the files on disk with the lists.
func (c *Client) Verify(ctx context.Context, req api.VerifyRequest, report Progress) (api.Verification, error) {
	return run[api.Verification](ctx, c, "Verify", report, verifyArguments(req)...)
}

// Fix is Verify, and fixes what can be fixed.
func (c *Client) Fix(ctx context.Context, req api.VerifyRequest, report Progress) (api.Verification, error) {
	return run[api.Verification](ctx, c, "Fix", report, verifyArguments(req)...)
}

// OwnPublish makes an upload the active version of an own list. The path of a
// source may be any bytes.
func (c *Client) OwnPublish(ctx context.Context, req api.OwnRequest, report Progress) (api.OwnResult, error) {
	sources := make([][]byte, len(req.Sources))
	for i, s := range req.Sources {
		sources[i] = []byte(s.Path)
	}
	return run[api.OwnResult](ctx, c, "OwnPublish", report, req.Upload, req.Name, req.Base, sources, req.Listed, req.Import, req.Reason)
}

// OwnRemove removes an own list.
func (c *Client) OwnRemove(ctx context.Context, name, reason string, report Progress) (api.OwnResult, error) {
	return run[api.OwnResult](ctx, c, "OwnRemove", report, name, reason)
}

// GuardLearn adds contents that the guard refused to an own list.
func (c *Client) GuardLearn(ctx context.Context, list string, digests []string, reason string, report Progress) (api.OwnResult, error) {
	return run[api.OwnResult](ctx, c, "GuardLearn", report, list, digests, reason)
}

// Cancel ends a job.
func (c *Client) Cancel(ctx context.Context, job uint64) error {
	return c.call(ctx, "Cancel", []any{job})
}

// verifyArguments are a request as it travels.
func verifyArguments(req api.VerifyRequest) []any {
	paths := make([][]byte, len(req.Paths))
	for i, p := range req.Paths {
		paths[i] = []byte(p)
	}
	options := []string{}
	for _, o := range []struct {
		on   bool
		word string
	}{{req.Idle, "idle"}, {req.Resume, "resume"}, {req.Unlabelled, "unlabelled"}} {
		if o.on {
			options = append(options, o.word)
		}
	}
	return []any{paths, append([]string{}, req.Packages...), options}
}

// jobRules are the signals a waiting job needs: its own, and the daemon leaving
// the bus.
var jobRules = [][]dbus.MatchOption{
	{dbus.WithMatchSender(api.BusName), dbus.WithMatchInterface(api.Interface), dbus.WithMatchMember("JobProgress")},
	{dbus.WithMatchSender(api.BusName), dbus.WithMatchInterface(api.Interface), dbus.WithMatchMember("JobFinished")},
	ownerRule,
}

// run calls a method that starts a job and waits for its end.
func run[T any](ctx context.Context, c *Client, method string, report Progress, args ...any) (result T, err error) {
	// Subscribed first: a short job may be over before its number is known here.
	signals := make(chan *dbus.Signal, 1024)
	if err := c.listen(ctx, signals, jobRules); err != nil {
		return result, err
	}
	// Not interrupted before its number is known, or nobody could cancel it.
	var job uint64
	if err := c.call(context.WithoutCancel(ctx), method, args, &job); err != nil {
		return result, err
	}
	for {
		select {
		case <-ctx.Done():
			return result, c.abandon(ctx, job)
		case sig, open := <-signals:
			if !open {
				return result, &Unreachable{Reason: dbus.ErrClosed}
			}
			d, over, err := jobSignal(sig, job, report)
			if err != nil {
				return result, err
			}
			if over {
				return result, api.Decode(d, &result)
			}
		}
	}
}

// jobSignal takes in one signal; over is true when it ended the job.
func jobSignal(sig *dbus.Signal, job uint64, report Progress) (result api.Dict, over bool, err error) {
	var of, done, total uint64
	var stage string
	var ok bool
	switch sig.Name {
	case busName + ".NameOwnerChanged":
		var name, from, to string
		if dbus.Store(sig.Body, &name, &from, &to) != nil || name != api.BusName || from == "" {
			return nil, false, nil // the call itself started this one
		}
		return nil, true, &Unreachable{Reason: errors.New("digestd left the bus before the job ended")}
	case api.Interface + ".JobProgress":
		if dbus.Store(sig.Body, &of, &stage, &done, &total) == nil && of == job {
			report(stage, done, total)
		}
	case api.Interface + ".JobFinished":
		if dbus.Store(sig.Body, &of, &ok, &result) != nil || of != job {
			return nil, false, nil
		}
		if !ok {
			failure := &api.Error{}
			if err := api.Decode(result, failure); err != nil {
				return nil, true, err
			}
			return nil, true, failure
		}
		return result, true, nil
	}
	return nil, false, nil
}

// abandon cancels a job after the user interrupted; why the user did is the
// error.
func (c *Client) abandon(ctx context.Context, job uint64) error {
	cause := ctx.Err()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := c.Cancel(ctx, job); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}
