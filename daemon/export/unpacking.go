// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/store/record"
)

// SignBudget bounds how long one transaction of a package manager waits for
// signatures on files in all; what is left then is signed when it is over. With the
// signature of a list it stays below what the plugin waits for one answer.
const SignBudget = 3 * time.Second

// SignaturesFor makes the signatures that the plugin puts on a package's files
// while they are unpacked, before a scriptlet can run one: of those that the list of that
// name vouches for. It returns those that are ready when budget is over, whatever the key
// does, and with an error those that were ready before it.
func (x *Exporter) SignaturesFor(ctx context.Context, h *header.Header, list string, budget time.Duration) (sigs []wire.FileSignature, err error) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	e := x.Snapshot().List(list)
	if e == nil {
		e = &view.Entry{List: record.List{Name: list}}
	}
	files, err := x.vouched(e)
	if err != nil {
		return nil, fmt.Errorf("cannot sign files of %s: %w", list, err)
	}
	type toSign struct {
		index uint32
		file  identity.Vouched
	}
	var todo []toSign
	err = h.Files(func(f header.File) error {
		if v := files[f.Path()]; executable(f) && v.Digest == string(f.Digest) {
			todo = append(todo, toSign{uint32(f.Index), v})
		}
		return nil
	})
	if err != nil || len(todo) == 0 {
		return nil, err
	}
	id := x.Builder.Load().Identity
	made := make(chan wire.FileSignature)
	failed := make(chan error, 1)
	go func() {
		for _, f := range todo {
			if ctx.Err() != nil {
				break
			}
			value, err := id.IMASignature(f.file, x.Config.IMASignatureVersion)
			if err != nil && f.file.Algo != digestlist.SHA256 {
				continue // the key cannot; the content is needed, which is not there yet
			}
			if err != nil {
				failed <- err
				return
			}
			select {
			case made <- wire.FileSignature{File: f.index, Value: value}:
			case <-ctx.Done():
			}
		}
		failed <- nil
	}()
	for room := wire.MaxList - wire.MaxControl; ; {
		select {
		case s := <-made:
			if room -= 4 + 4 + len(s.Value); room < 0 {
				return sigs, nil // what is left is signed when the transaction is over
			}
			sigs = append(sigs, s)
		case err := <-failed:
			return sigs, err
		case <-ctx.Done():
			return sigs, nil
		}
	}
}
