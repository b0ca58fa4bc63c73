// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

// jobRules are the signals a waiting job needs: its own, and the daemon leaving
// the bus.
var jobRules = [][]dbus.MatchOption{
	{dbus.WithMatchSender(api.BusName), dbus.WithMatchInterface(api.Interface), dbus.WithMatchMember("JobProgress")},
	{dbus.WithMatchSender(api.BusName), dbus.WithMatchInterface(api.Interface), dbus.WithMatchMember("JobFinished")},
	ownerRule,
}

// runJob calls a method that starts a job and waits for its end. When ctx ends
// first the job is cancelled.
func (c *client) runJob(ctx context.Context, method string, args []any, report func(stage string, done, total uint64)) (api.Dict, error) {
	// Subscribed first: a short job may be over before its number is known here.
	signals := make(chan *dbus.Signal, 1024)
	if err := c.listen(ctx, signals, jobRules); err != nil {
		return nil, err
	}
	// Not interrupted before its number is known, or nobody could cancel it.
	var job uint64
	if err := c.call(context.WithoutCancel(ctx), method, args, &job); err != nil {
		return nil, err
	}
	for {
		select {
		case <-ctx.Done():
			return nil, c.cancelJob(ctx, job)
		case sig, open := <-signals:
			if !open {
				return nil, unreachableError{reason: dbus.ErrClosed}
			}
			result, over, err := jobSignal(sig, job, report)
			if over || err != nil {
				return result, err
			}
		}
	}
}

// jobSignal takes in one signal; over is true when it ended the job.
func jobSignal(sig *dbus.Signal, job uint64, report func(stage string, done, total uint64)) (result api.Dict, over bool, err error) {
	var of, done, total uint64
	var stage string
	var ok bool
	switch sig.Name {
	case busName + ".NameOwnerChanged":
		var name, from, to string
		if dbus.Store(sig.Body, &name, &from, &to) != nil || name != api.BusName || from == "" {
			return nil, false, nil // the call itself started this one
		}
		return nil, true, unreachableError{reason: errors.New("it left the bus before the job ended")}
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

// cancelJob cancels a job after the user interrupted; why the user did is the
// error.
func (c *client) cancelJob(ctx context.Context, job uint64) error {
	cause := ctx.Err()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := c.call(ctx, "Cancel", []any{job}); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}
