// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestGone: a program that is replaced is there, one that is removed for good is gone.
func TestGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(name, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(path)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- gone(ctx, path, 500*time.Millisecond) }()
	still := func(what string) {
		t.Helper()
		select {
		case err := <-ended:
			t.Fatalf("%s: gone, %v", what, err)
		case <-time.After(700 * time.Millisecond):
		}
	}
	write(path + ".new")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	still("replaced")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	write(path)
	still("removed and written anew")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody noticed that it is gone")
	}
	cancel()
	if err := gone(ctx, path, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	if err := gone(t.Context(), filepath.Join(path, "none", "program"), time.Hour); err == nil {
		t.Error("a directory that is not there is watched")
	}
}
