// SPDX-License-Identifier: Apache-2.0

package object

import (
	"testing"
	"time"
)

func TestQueueIsBounded(t *testing.T) {
	q := newQueue()
	for range maxQueued + 10 {
		q.push(signal{name: "a"})
	}
	waiting, dropped, open := q.take()
	if len(waiting) != maxQueued || dropped != 10 || !open {
		t.Errorf("%d waiting, %d dropped, open %v", len(waiting), dropped, open)
	}
	time.AfterFunc(time.Millisecond, q.close)
	if waiting, dropped, open := q.take(); len(waiting) != 0 || dropped != 0 || open {
		t.Errorf("after the end: %d waiting, %d dropped, open %v", len(waiting), dropped, open)
	}
}
