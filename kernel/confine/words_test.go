// SPDX-License-Identifier: Apache-2.0

package confine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for said, want := range map[string]string{"": "exit status 2", "\n panic: no\ngoroutine 1": "panic: no", strings.Repeat("x", 300): strings.Repeat("x", 200)} {
		w := &Words{Most: 250}
		if n, err := fmt.Fprint(w, said); n != len(said) || err != nil || len(w.said) > w.Most {
			t.Errorf("%d bytes, %v, %d kept", n, err, len(w.said))
		}
		if got := w.First(errors.New("exit status 2")); got != want {
			t.Errorf("%.20q: %q, want %q", said, got, want)
		}
	}
}
