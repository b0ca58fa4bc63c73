// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
)

// maxInput bounds what a package manager may tell of a transaction.
const maxInput = 64 << 20

// pkg is a package of a transaction, as both package managers describe it.
type pkg struct {
	Action  string `json:"action"` // a letter of libdnf5-actions(8)
	Name    string `json:"name"`
	Epoch   string `json:"epoch"`
	Version string `json:"version"`
	Release string `json:"release"`
	Arch    string `json:"arch"`

	File     string `json:"file"`     // where it is, once downloaded; from dnf
	Repo     string `json:"repo_id"`  // from dnf5, as is:
	Location string `json:"location"` // within the repository
}

// element is what p is in a Begin; its type is 0 if nothing happens to it.
func (p pkg) element() (e wire.Element, err error) {
	switch p.Action {
	case "I", "U", "D", "R":
		e.Type = wire.Added
	case "E", "O":
		e.Type = wire.RemovedElement
	case "?": // why it is installed changes
		return e, nil
	default:
		return e, fmt.Errorf("cannot tell what happens to %s: action %q is unknown", p.Name, p.Action)
	}
	epoch := uint64(0)
	if p.Epoch != "" {
		if epoch, err = strconv.ParseUint(p.Epoch, 10, 32); err != nil {
			return e, fmt.Errorf("cannot read epoch of %s: %w", p.Name, err)
		}
	}
	e.NEVRA = nevra.NEVRA{Name: p.Name, Arch: p.Arch, EVR: nevra.EVR{Epoch: uint32(epoch), Version: p.Version, Release: p.Release}}
	return e, nil
}

// readPackages reads an array of them.
func readPackages(in io.Reader) (all []pkg, err error) {
	if err = json.NewDecoder(io.LimitReader(in, maxInput)).Decode(&all); err != nil {
		err = fmt.Errorf("cannot read the transaction: %w", err)
	}
	return all, err
}

// actions is the JSON mode of libdnf5's actions plugin: requests go out, replies
// come in.
type actions struct {
	in  io.Reader
	out io.WriteCloser
}

type request struct {
	Op     string `json:"op"`
	Domain string `json:"domain,omitempty"`
	Args   any    `json:"args"`
}

// packages asks for the transaction.
func (a actions) packages() ([]pkg, error) {
	fields := map[string][]string{"output": {"action", "name", "epoch", "version", "release", "arch", "repo_id", "location"}}
	if err := a.send(request{Op: "get", Domain: "trans_packages", Args: fields}); err != nil {
		return nil, err
	}
	var reply struct {
		Status  string `json:"status"`
		Message string `json:"message"`
		Return  struct {
			Packages []pkg `json:"trans_packages"`
		} `json:"return"`
	}
	if err := json.NewDecoder(io.LimitReader(a.in, maxInput)).Decode(&reply); err != nil {
		return nil, fmt.Errorf("cannot read the transaction: %w", err)
	}
	if reply.Status != "OK" {
		return nil, errors.New("cannot read the transaction: " + reply.Message)
	}
	return reply.Return.Packages, nil
}

// partingTime bounds waiting for the plugin to hang up.
const partingTime = 5 * time.Second

// finish says that no more requests come, and reads what is on its way: the
// plugin writes a reply in pieces, and would be killed by SIGPIPE if nobody took
// the last one.
func (a actions) finish() {
	a.out.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, a.in)
	}()
	select {
	case <-done:
	case <-time.After(partingTime):
	}
}

// stop ends the transaction. There is no reply.
func (a actions) stop(why string) error {
	return a.send(request{Op: "stop", Args: map[string]string{"message": why}})
}

func (a actions) send(r request) error {
	data, err := json.Marshal(r)
	if err == nil {
		_, err = a.out.Write(append(data, '\n'))
	}
	if err != nil {
		err = fmt.Errorf("cannot ask the actions plugin: %w", err)
	}
	return err
}
