// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/digestd/digestd/daemon/failpoint"
)

// instants are those that executors have passed, and the first that is not in the table.
type instants struct {
	mu     sync.Mutex
	passed map[string]map[failpoint.Instant]int
	err    error
}

func (p *instants) pass(event string, instant failpoint.Instant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passed == nil {
		p.passed = map[string]map[failpoint.Instant]int{}
	}
	if p.passed[event] == nil {
		p.passed[event] = map[failpoint.Instant]int{}
	}
	if p.passed[event][instant]++; p.err == nil && p.passed[event][instant] == 1 {
		p.err = failpoint.Check(event, instant)
	}
}

// unknown returns an error if an instant was passed that is not in the table.
func (p *instants) unknown() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// missing returns the instants of an event that no executor has passed.
func (p *instants) missing(event string) (never []failpoint.Instant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, _ := failpoint.Find(event)
	return slices.DeleteFunc(e.AtEffects(), func(i failpoint.Instant) bool { return p.passed[event][i] > 0 })
}

// TestEventsAreInTheTable: the source brings the events of the table, and no other.
func TestEventsAreInTheTable(t *testing.T) {
	brought := map[string]string{}
	instants := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			called, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"decide", "enter", "event", "step", "pass", "hit"}, strings.ToLower(called.Sel.Name)) {
				return true
			}
			words := texts(call.Args[:min(2, len(call.Args))])
			if len(words) == 0 {
				return true
			}
			brought[words[0]] = files.Position(call.Pos()).String()
			if len(words) == 2 { // an instant beside the executor
				instants++
				if err := failpoint.Check(words[0], failpoint.Instant(words[1])); err != nil {
					t.Errorf("%s: %v", brought[words[0]], err)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(brought) < 40 || instants < 6 {
		t.Fatalf("the source has only %d events and %d instants beside the executor", len(brought), instants)
	}
	for event, where := range brought {
		if _, known := failpoint.Find(event); !known {
			t.Errorf("%s: the table has no event %q", where, event)
		}
	}
	names := map[string]bool{}
	for _, e := range failpoint.Events {
		if brought[e.Name] == "" {
			t.Errorf("nothing brings the event %q of the table", e.Name)
		}
		if names[e.Name] || e.What == "" {
			t.Errorf("the event %q is there twice, or says nothing", e.Name)
		}
		names[e.Name] = true
	}
}

func texts(args []ast.Expr) (texts []string) {
	for _, arg := range args {
		if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// simInstants are those of all simulated machines.
var simInstants instants

// TestInstantsOfEvents: the instants that the table has for the events of packages, keys
// and denials are passed by simulated machines, and no others are. That somebody's act sets aside
// what another program left before it is rare: a known history shows it for the event deny.
func TestInstantsOfEvents(t *testing.T) {
	tryHistories(t, 150, 0, false)
	tryKnown(t, "testdata/histories/image-of-another-system.txt", false)
	for _, event := range []string{"mark", "deny", "revoke", "floor", "grant", "restore", "keys", "sync", "probe", "rotate", "remove"} {
		never := simInstants.missing(event)
		if event != "deny" {
			never = slices.DeleteFunc(never, func(i failpoint.Instant) bool { return i == failpoint.BeforeAside || i == failpoint.AfterAside })
		}
		if len(never) > 0 {
			t.Errorf("no machine has passed %q of the event %s", never, event)
		}
	}
}
