// SPDX-License-Identifier: Apache-2.0

package listdir

import (
	"errors"
	"path/filepath"
	"testing"
)

// TestInheritedChanges: what a process before may have left is not durable until the
// first Sync, which tells of an error once and then tries itself.
func TestInheritedChanges(t *testing.T) {
	for _, failure := range []error{nil, errors.New("no medium")} {
		d, err := Open(filepath.Join(t.TempDir(), "lists"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		d.inherited.group.Wait()
		if !d.inherited.done || d.inherited.err != nil {
			t.Fatalf("the directory was not synced when it was opened: %v", d.inherited.err)
		}
		if failure != nil {
			d.inherited.done, d.inherited.err = false, failure
		}
		if !d.Dirty() {
			t.Error("a directory that was just opened counts as synced")
		}
		if err := d.Sync(); !errors.Is(err, failure) {
			t.Errorf("the first sync: %v, not %v", err, failure)
		}
		if d.Dirty() != (failure != nil) {
			t.Errorf("dirty after the first sync: %v", d.Dirty())
		}
		if err := d.Sync(); err != nil || d.Dirty() {
			t.Errorf("the second sync: %v, dirty %v", err, d.Dirty())
		}
		d.changes.Add(1)
		if !d.Dirty() {
			t.Error("a change counts as synced")
		}
		if err := d.Sync(); err != nil || d.Dirty() {
			t.Errorf("the sync of a change: %v, dirty %v", err, d.Dirty())
		}
	}
}
