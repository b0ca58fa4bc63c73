// SPDX-License-Identifier: Apache-2.0

package ownlist

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
)

// taker is a keeper that takes in uploads, and does nothing else.
func taker(t *testing.T) *Keeper {
	t.Helper()
	return New(&host.Host{Config: config.Config{State: t.TempDir()}}, nil, nil, nil)
}

// send sends a piece of an upload, which must be taken.
func send(t *testing.T, k *Keeper, sender string, id uint64, piece []byte) uint64 {
	t.Helper()
	got, err := k.OwnAppend(t.Context(), api.Actor{Sender: sender}, id, piece)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// refused fails the test if a piece is not refused with this code.
func refused(t *testing.T, k *Keeper, sender string, id uint64, piece []byte, want api.Code) {
	t.Helper()
	_, err := k.OwnAppend(t.Context(), api.Actor{Sender: sender}, id, piece)
	if err == nil || api.AsError(err).Code != want {
		t.Errorf("a piece for upload %d is answered %v, want %s", id, err, want)
	}
}

// left are the files of uploads.
func left(t *testing.T, k *Keeper) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(k.Config.State, ledger.OwnDir))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Pieces make up one file, which is taken once, and only by the connection that sent it.
func TestUploadInPieces(t *testing.T) {
	k := taker(t)
	mine := send(t, k, ":1.1", 0, []byte("one "))
	other := send(t, k, ":1.2", 0, []byte("else"))
	if again := send(t, k, ":1.1", mine, []byte("two")); again != mine || mine == other || mine == 0 {
		t.Errorf("uploads %d and %d; a second piece went to %d", mine, other, again)
	}
	refused(t, k, ":1.1", other, []byte("forged"), api.NotFound)
	refused(t, k, ":1.1", 77, []byte("lost"), api.NotFound)
	if _, err := k.uploads.take(api.Actor{Sender: ":1.1"}, other); err == nil {
		t.Error("the upload of another connection was taken")
	}
	for id, want := range map[uint64]string{mine: "one two", other: "else"} {
		sender := map[uint64]string{mine: ":1.1", other: ":1.2"}[id]
		file, err := k.uploads.take(api.Actor{Sender: sender}, id)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		info, err := file.Stat()
		data, rerr := os.ReadFile(file.Name())
		if err != nil || rerr != nil || string(data) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("upload %d has %q, mode %v; %v, %v", id, data, info.Mode(), err, rerr)
		}
		if _, err := k.uploads.take(api.Actor{Sender: sender}, id); err == nil || api.AsError(err).Code != api.NotFound {
			t.Errorf("upload %d was taken twice: %v", id, err)
		}
		refused(t, k, sender, id, []byte("late"), api.NotFound)
	}
}

// An upload is bounded: a piece, a list, and the lists that are sent at a time.
func TestUploadIsBounded(t *testing.T) {
	k := taker(t)
	refused(t, k, ":1.1", 0, make([]byte, api.MaxUpload+1), api.InvalidArgument)
	if names := left(t, k); len(names) > 0 {
		t.Errorf("a piece that was refused left %v", names)
	}
	id := send(t, k, ":1.1", 0, make([]byte, api.MaxUpload))
	k.uploads.open[id].size = api.MaxOwnList - 1 // as if that much had come
	send(t, k, ":1.1", id, []byte("x"))
	refused(t, k, ":1.1", id, []byte("x"), api.InvalidArgument)
	refused(t, k, ":1.1", id, []byte("x"), api.NotFound) // all of it is given up
	if names := left(t, k); len(names) > 0 {
		t.Errorf("a list that is too large left %v", names)
	}
	var last uint64
	for range ledger.MaxUploads {
		last = send(t, k, ":1.1", 0, []byte("x"))
	}
	refused(t, k, ":1.2", 0, []byte("x"), api.Busy)
	if _, err := k.uploads.take(api.Actor{Sender: ":1.1"}, last); err != nil {
		t.Fatal(err)
	}
	send(t, k, ":1.2", 0, []byte("x"))
}

// An upload that rests is forgotten, so that others can send; one that continues is not.
func TestUploadThatRests(t *testing.T) {
	k := taker(t)
	synctest.Test(t, func(t *testing.T) {
		rests, goesOn := send(t, k, ":1.1", 0, []byte("x")), send(t, k, ":1.2", 0, []byte("x"))
		for range 3 {
			time.Sleep(ledger.UploadRest - time.Second)
			send(t, k, ":1.2", goesOn, []byte("y"))
		}
		synctest.Wait()
		refused(t, k, ":1.1", rests, []byte("x"), api.NotFound)
		file, err := k.uploads.take(api.Actor{Sender: ":1.2"}, goesOn)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		time.Sleep(2 * ledger.UploadRest) // what was taken has no time to keep
		synctest.Wait()
		if data, err := os.ReadFile(file.Name()); err != nil || !bytes.Equal(data, []byte("xyyy")) {
			t.Errorf("the upload that went on has %q, %v", data, err)
		}
		if names := left(t, k); len(names) != 1 {
			t.Errorf("the files are %v", names)
		}
	})
}

// A file that somebody put in the place of an upload is not written to.
func TestUploadFollowsNoLink(t *testing.T) {
	k := taker(t)
	victim := filepath.Join(t.TempDir(), "victim")
	dir := filepath.Join(k.Config.State, ledger.OwnDir)
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, ledger.UploadPrefix+"1")); err != nil {
		t.Fatal(err)
	}
	refused(t, k, ":1.1", 0, []byte("evil"), api.Failed)
	if data, err := os.ReadFile(victim); err != nil || string(data) != "precious" {
		t.Errorf("it has %q, %v", data, err)
	}
}
