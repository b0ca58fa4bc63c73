// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The process that Run starts is this very program. It does what the spec's root says.
func TestMain(m *testing.M) {
	if len(os.Args) != 2 || os.Args[1] != Argument {
		os.Exit(m.Run())
	}
	var spec Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		os.Exit(1)
	}
	say := func(m Message) { json.NewEncoder(os.Stdout).Encode(m) }
	say(Message{Total: &Total{Files: len(spec.Entries)}})
	switch spec.Root {
	case "dies":
		os.Exit(7)
	case "fails":
		say(Message{Error: "the disk is on fire"})
	case "hangs":
		select {}
	case "raves":
		fmt.Println("no message")
	default:
		for _, e := range spec.Entries {
			say(Message{Unit: &Unit{Cursor: Cursor{List: e.Name}, Files: 1}})
		}
		say(Message{Done: true})
	}
	os.Exit(0)
}

func TestRun(t *testing.T) {
	spec := Spec{Root: "works", Entries: []Entry{{Name: "a"}, {Name: "b"}}}
	var heard []string
	hear := func(m Message) error {
		switch {
		case m.Total != nil:
			heard = append(heard, fmt.Sprint("total ", m.Total.Files))
		case m.Unit != nil:
			heard = append(heard, m.Unit.Cursor.List)
		}
		return nil
	}
	if err := Run(t.Context(), spec, hear); err != nil || strings.Join(heard, ", ") != "total 2, a, b" {
		t.Errorf("heard %q, %v", heard, err)
	}
	for root, want := range map[string]string{"dies": "the process that does it ended: exit status 7", "fails": "the disk is on fire", "raves": "invalid character"} {
		if err := Run(t.Context(), Spec{Root: root}, hear); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", root, err, want)
		}
	}
	enough := errors.New("enough")
	if err := Run(t.Context(), Spec{Root: "hangs"}, func(Message) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("it went on after %v", err)
	}
}

// The process that verifies ends with its caller's context.
func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Spec{Root: "hangs"}, func(Message) error { began <- struct{}{}; return nil })
	}()
	<-began
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it hangs")
	}
}
