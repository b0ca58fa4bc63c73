// SPDX-License-Identifier: Apache-2.0

package man

import (
	"reflect"
	"testing"
	"time"
)

// TestShape: the manual describes a document as the command prints it.
func TestShape(t *testing.T) {
	type inner struct {
		N int `json:"n"`
	}
	type document struct {
		Data   []byte    `json:"data"`
		Inner  *inner    `json:"inner"`
		When   time.Time `json:"when"`
		Many   []inner   `json:"many"`
		Hidden inner     `json:"-"`
	}
	const want = `{"data": bytes, "inner": {"n": number}, "when": time, "many": [{"n": number}, ...]}`
	if got := shape(reflect.TypeFor[document]()); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}
