// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
)

func TestMain(m *testing.M) { daemontest.Main(m) }

// wantCode fails the test if what was answered with err was not refused with this code.
func wantCode(t *testing.T, what string, err error, want api.Code) {
	t.Helper()
	if got := daemontest.Code(err); got != want {
		t.Errorf("%s: %q (%v), want %q", what, got, err, want)
	}
}

// pages gets all elements of a question page by page, and checks what each page says of
// the total.
func pages[T any](t *testing.T, size uint32, ask func(offset, limit uint32) ([]T, uint32, error)) (all []T) {
	t.Helper()
	for {
		page, total, err := ask(uint32(len(all)), size)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > int(size) {
			t.Fatalf("a page of %d has %d", size, len(page))
		}
		all = append(all, page...)
		if len(page) == 0 || len(all) > int(total) {
			if int(total) != len(all) {
				t.Errorf("the pages have %d, the total says %d", len(all), total)
			}
			return all
		}
	}
}
