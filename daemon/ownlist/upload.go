// SPDX-License-Identifier: Apache-2.0

package ownlist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"golang.org/x/sys/unix"
)

// uploads are lists that are being sent, piece by piece: over a bus that carries
// messages, not files. Each belongs to the connection that began it.
type uploads struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*upload
}

type upload struct {
	sender string
	file   *os.File
	size   int64
	rest   *time.Timer
}

// OwnAppend adds a piece of at most [api.MaxUpload] bytes to an upload, which has at most
// [api.MaxOwnList], and returns its number; upload 0 begins one. [api.NotFound] says that the
// caller's connection has no such upload, or that it rested for [ledger.UploadRest];
// [api.Busy], that [ledger.MaxUploads] are being sent. A list that becomes too large is given
// up.
func (ol *Keeper) OwnAppend(_ context.Context, by api.Actor, id uint64, data []byte) (uint64, error) {
	u := &ol.uploads
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(data) > api.MaxUpload {
		return 0, api.Errorf(api.InvalidArgument, "a piece has at most %d bytes", api.MaxUpload)
	}
	if id == 0 {
		var err error
		if id, err = u.begin(ol.Host, by.Sender); err != nil {
			return 0, err
		}
	}
	up := u.open[id]
	if up == nil || up.sender != by.Sender {
		return 0, api.Errorf(api.NotFound, "there is no upload %d: it timed out or never existed", id)
	}
	if up.size+int64(len(data)) > api.MaxOwnList {
		u.drop(id)
		return 0, &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("the list has more than %d bytes", api.MaxOwnList), Advice: "divide it into several lists"}
	}
	if _, err := up.file.Write(data); err != nil {
		u.drop(id)
		return 0, fmt.Errorf("cannot take in the list: %w", err)
	}
	up.size += int64(len(data))
	up.rest.Reset(ledger.UploadRest)
	return id, nil
}

// begin begins an upload of a connection, and returns its number.
func (u *uploads) begin(h *host.Host, sender string) (uint64, error) {
	if len(u.open) >= ledger.MaxUploads {
		return 0, &api.Error{Code: api.Busy, Message: "too many uploads are in progress", Advice: "wait until others have finished"}
	}
	dir := filepath.Join(h.Config.State, ledger.OwnDir)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return 0, err
	}
	u.last++
	id := u.last
	file, err := os.OpenFile(filepath.Join(dir, ledger.UploadPrefix+strconv.FormatUint(id, 10)), os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return 0, fmt.Errorf("cannot take in the list: %w", err)
	}
	if u.open == nil {
		u.open = map[uint64]*upload{}
	}
	u.open[id] = &upload{sender: sender, file: file, rest: time.AfterFunc(ledger.UploadRest, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.drop(id)
	})}
	return id, nil
}

// drop forgets an upload and its file.
func (u *uploads) drop(id uint64) {
	if up := u.open[id]; up != nil {
		up.rest.Stop()
		up.file.Close()
		os.Remove(up.file.Name())
		delete(u.open, id)
	}
}

// take returns the file of an upload, which is the caller's from now on.
func (u *uploads) take(by api.Actor, id uint64) (*os.File, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up := u.open[id]
	if up == nil || up.sender != by.Sender {
		return nil, api.Errorf(api.NotFound, "there is no upload %d: it timed out or never existed", id)
	}
	up.rest.Stop()
	delete(u.open, id)
	return up.file, nil
}
