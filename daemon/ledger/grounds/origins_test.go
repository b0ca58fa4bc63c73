// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

const updates = "advisory:updates"

// advisedFloor is the word about a noarch package: advisedFloor("bash", "5-2").
func advisedFloor(t *testing.T, name, text string) record.AdvisedFloor {
	t.Helper()
	e, err := nevra.ParseEVR(text)
	if err != nil {
		t.Fatal(err)
	}
	return record.AdvisedFloor{Name: name, Arch: "noarch", EVR: e, Why: "VSA-1", Severity: "Important"}
}

// advised are grounds with the packages bash and zsh, by the key aa, of a repository whose
// packages aa signs.
func advised(entries ...*view.Entry) *Grounds {
	s := with(state.Settings{}, append([]*view.Entry{listOf("bash", "5-1", signedBy("aa")), listOf("zsh", "5-1", signedBy("aa"))}, entries...)...)
	s.Archs["noarch"] = true
	s.AdvisoriesBind = true
	s.SetOrigin(&s.Queue.Batch, record.Origin{Name: updates, Strength: "signed by aa", Keys: []string{"aa"}})
	return s
}

func never(*view.Entry) string { return "" }

func TestAdvise(t *testing.T) {
	s := advised()
	o := s.Origins[updates]
	if h := s.Advise(o, []record.AdvisedFloor{advisedFloor(t, "bash", "5-2"), advisedFloor(t, "absent", "7:1-1")}); h.Raised != 2 || len(h.Epochs) != 0 {
		t.Errorf("%+v", h)
	}
	// It only rises, and in no epoch that nothing here has.
	h := s.Advise(o, []record.AdvisedFloor{advisedFloor(t, "bash", "5-1.5"), advisedFloor(t, "zsh", "1:1-1"), advisedFloor(t, "absent", "8:1-1"), advisedFloor(t, "absent", "7:2-1")})
	if h.Raised != 1 || !slices.Equal(h.Epochs, []string{"absent.noarch", "zsh.noarch"}) {
		t.Errorf("%+v", h)
	}
	if got := fmt.Sprint(s.Advised["bash"][0].EVR, s.Advised["absent"][0].EVR, len(s.Advised["zsh"])); got != "0:5-2 7:2-1 0" {
		t.Error(got)
	}
	// A package that was active once has an epoch as well.
	s.SetLine(record.Line{Name: "gone", Arch: "noarch", High: nevra.EVR{Epoch: 1, Version: "1", Release: "1"}})
	if h := s.Advise(o, []record.AdvisedFloor{advisedFloor(t, "gone", "2:1-1"), advisedFloor(t, "gone", "1:3-1")}); h.Raised != 1 || len(h.Epochs) != 1 {
		t.Errorf("%+v", h)
	}
	// Another origin has its own word.
	s.SetOrigin(&s.Queue.Batch, record.Origin{Name: "advisory:others"})
	s.Advise(s.Origins["advisory:others"], []record.AdvisedFloor{advisedFloor(t, "bash", "4-1")})
	if len(s.Advised["bash"]) != 2 {
		t.Errorf("%+v", s.Advised["bash"])
	}
	if n := s.ForgetOrigin(updates, record.Act{UID: 7, Reason: "why"}); n != 3 || len(s.Advised["bash"]) != 1 || s.Origins[updates].Name != "" {
		t.Errorf("%d forgotten: %+v", n, s.Advised)
	}
	if last := s.Queue.Events[len(s.Queue.Events)-1]; last.Kind != audit.KindOriginForgotten || last.UID != 7 || last.Reason != updates {
		t.Errorf("%+v", last)
	}
}

func names(entries []*view.Entry) (n []string) {
	for _, e := range entries {
		n = append(n, e.Package.Name)
	}
	return n
}

func TestMarkBelow(t *testing.T) {
	s := advised(listOf("ksh", "5-1", signedBy("bb")))
	s.Advise(s.Origins[updates], []record.AdvisedFloor{advisedFloor(t, "bash", "5-2"), advisedFloor(t, "zsh", "5-1"), advisedFloor(t, "ksh", "5-2")})
	if got := names(s.MarkBelow(0, nil)); !slices.Equal(got, []string{"bash"}) {
		t.Errorf("below: %v", got)
	}
	e := func() *view.Entry { return s.ByName["tlv-bash-0:5-1.noarch"] }
	if !e().Below.Equal(s.Now()) || !e().Due.IsZero() {
		t.Errorf("since %v, due %v", e().Below, e().Due)
	}
	s.MarkBelow(time.Hour, func(*view.Entry) string { return "it must stay" })
	if !e().Due.IsZero() || len(s.Queue.Events) != 0 {
		t.Errorf("due %v, %v", e().Due, s.Queue.Events)
	}
	s.MarkBelow(time.Hour, never)
	s.MarkBelow(time.Hour, never)
	if want := s.Now().Add(time.Hour); !e().Due.Equal(want) || len(s.Queue.Events) != 1 || !strings.Contains(s.Queue.Events[0].Text, "VSA-1 (Important) fixes it") {
		t.Errorf("due %v, %+v", e().Due, s.Queue.Events)
	}
	if len(s.DueLists()) != 0 {
		t.Error("it is due before its day")
	}
	// Without an origin that wants a floor, it is as it was.
	s.DropOrigin(&s.Queue.Batch, updates)
	if s.MarkBelow(time.Hour, never); !e().Below.IsZero() || !e().Due.IsZero() {
		t.Errorf("since %v, due %v", e().Below, e().Due)
	}
}

func TestRetract(t *testing.T) {
	s := advised(listOf("ksh", "5-1", signedBy("aa")), listOf("csh", "5-1", signedBy("aa")))
	s.Advise(s.Origins[updates], []record.AdvisedFloor{advisedFloor(t, "bash", "5-2"), advisedFloor(t, "zsh", "5-2"), advisedFloor(t, "ksh", "5-2")})
	s.MarkBelow(time.Hour, never)
	keep := func(e *view.Entry) string { return map[string]string{"ksh": "it must stay"}[e.Package.Name] }
	if gone, waiting := s.Retract(Retraction{Most: 9, Keep: keep}); gone+waiting != 0 {
		t.Errorf("before the day: %d, %d", gone, waiting)
	}
	s.Clock = s.Clock.Add(2 * time.Hour)
	s.AdvisoriesBind = false
	if gone, waiting := s.Retract(Retraction{Most: 9, Keep: keep}); gone+waiting != 0 {
		t.Errorf("while they are only reported: %d, %d", gone, waiting)
	}
	s.AdvisoriesBind = true
	if gone, waiting := s.Retract(Retraction{Most: 1, Keep: keep}); gone != 1 || waiting != 1 {
		t.Errorf("%d, %d", gone, waiting)
	}
	if gone, waiting := s.Retract(Retraction{Most: 1, Keep: keep}); gone != 0 || waiting != 1 {
		t.Errorf("again on the same day: %d, %d", gone, waiting)
	}
	s.Clock = s.Clock.Add(25 * time.Hour)
	if gone, waiting := s.Retract(Retraction{Most: 1, Keep: keep}); gone != 1 || waiting != 0 {
		t.Errorf("on the next day: %d, %d", gone, waiting)
	}
	for name, want := range map[string]record.State{"bash": record.Withheld, "zsh": record.Withheld, "ksh": record.Active, "csh": record.Active} {
		e := s.ByName["tlv-"+name+"-0:5-1.noarch"]
		if e.State != want || want == record.Withheld && (e.Reason != string(policy.ReasonAdvisory) || !strings.Contains(e.Text, "VSA-1")) {
			t.Errorf("%s is %s: %s", name, e.State, e.Text)
		}
	}
	// A version that left may not come back while the advisory stands.
	if d := s.Admit(parsed("bash-0:5-1.noarch"), false); d.Reason != policy.ReasonAdvisory {
		t.Errorf("%+v", d)
	}
	s.DropOrigin(&s.Queue.Batch, updates)
	if d := s.Admit(parsed("bash-0:5-1.noarch"), false); d.Verdict != policy.Allow {
		t.Errorf("%+v", d)
	}
}
