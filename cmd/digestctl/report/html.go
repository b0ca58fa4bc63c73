// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/digestd/digestd/daemon/api"
)

//go:embed page.html
var pageText string

//go:embed page.css
var styleText string

// maxPackages is how many packages with an active list are shown.
const maxPackages = 5000

// HTML writes the page.
func (r *Report) HTML(w io.Writer) error {
	style := styleText
	sum := sha256.Sum256([]byte(style))
	page, err := template.New("page").Funcs(template.FuncMap{
		"plain":  plain,
		"when":   when,
		"day":    func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
		"number": number,
		"kind":   Kind,
		"words":  words,
		"share":  percent,
	}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("cannot make the page: %w", err)
	}
	err = page.Execute(w, view{
		Report: r,
		// Text of ours: html/template lets it pass as it is, and the policy names it.
		Style: template.CSS(style),
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'",
	})
	if err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}

// view is a report as the page wants it.
type view struct {
	*Report
	Style  template.CSS
	Policy string
}

// Well reports whether digestd itself has no complaint.
func (v view) Well() bool { return v.Status.State == api.Healthy }

// Urgent are the steps that cannot wait.
func (v view) Urgent() int {
	n := 0
	for _, s := range v.Next {
		if s.Severity != api.SeverityNotice {
			n++
		}
	}
	return n
}

// Active are the lists that vouch, as many as are shown.
func (v view) Active() []api.List {
	active := v.in(api.StateActive)
	return active[:min(len(active), maxPackages)]
}

// MoreActive is how many are not.
func (v view) MoreActive() int { return len(v.in(api.StateActive)) - len(v.Active()) }

// Refused are the lists that do not vouch though a package or file is there.
func (v view) Refused() []api.List { return v.in(api.StateWithheld, api.StateQuarantined) }

func (v view) in(states ...string) []api.List {
	var list []api.List
	for _, l := range v.Lists {
		if slices.Contains(states, l.State) {
			list = append(list, l)
		}
	}
	return list
}

// few is how many rows of a long table are in plain view; the others are to be
// unfolded.
const few = 25

func first[T any](rows []T) []T { return rows[:min(len(rows), few)] }
func rest[T any](rows []T) []T  { return rows[min(len(rows), few):] }

func (v view) FirstUnnamed() []Unnamed     { return first(v.Coverage.Unnamed) }
func (v view) RestUnnamed() []Unnamed      { return rest(v.Coverage.Unnamed) }
func (v view) FirstRefused() []api.List    { return first(v.Refused()) }
func (v view) RestRefused() []api.List     { return rest(v.Refused()) }
func (v view) FirstFound() []api.Finding   { return first(v.Verified.Findings) }
func (v view) RestFound() []api.Finding    { return rest(v.Verified.Findings) }
func (v view) FirstDenials() []api.Denial  { return first(v.Denials) }
func (v view) RestDenials() []api.Denial   { return rest(v.Denials) }
func (v view) FirstDecisions() []api.Event { return first(v.Decisions) }
func (v view) RestDecisions() []api.Event  { return rest(v.Decisions) }

// MoreUnnamed is how many executables are in no active list and not shown.
func (v view) MoreUnnamed() int {
	return v.Coverage.Executables - v.Coverage.Named - len(v.Coverage.Unnamed)
}

// PackageKeys are those that sign packages.
func (v view) PackageKeys() []api.Key {
	return slices.DeleteFunc(slices.Clone(v.Keys), func(k api.Key) bool { return k.Use != "" })
}

// row is what one key's packages came to.
type row struct {
	Key, Fingerprint, State              string
	Active, Withheld, Quarantined, Empty int
}

// ownPrefix begins what stands for a package where a list is the owner's own.
const ownPrefix = "own:"

// ByKey are the packages by key and state, most first.
func (v view) ByKey() []row {
	states := map[string]string{}
	for _, k := range v.Keys {
		states[k.Fingerprint] = k.State
	}
	rows := map[string]*row{}
	for _, l := range v.Lists {
		id, name := l.Key, cmp.Or(l.KeyOwner, l.Key, "no key")
		if strings.HasPrefix(l.NEVRA, ownPrefix) {
			id, name = ownPrefix, "the owner's own lists"
		}
		r := rows[id]
		if r == nil {
			r = &row{Key: name, Fingerprint: l.Key, State: states[l.Key]}
			rows[id] = r
		}
		switch l.State {
		case api.StateActive:
			r.Active++
		case api.StateWithheld:
			r.Withheld++
		case api.StateQuarantined:
			r.Quarantined++
		case api.StateEmpty:
			r.Empty++
		}
	}
	list := make([]row, 0, len(rows))
	for _, r := range rows {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.Active+b.Withheld+b.Quarantined+b.Empty, a.Active+a.Withheld+a.Quarantined+a.Empty), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return list
}

// plain spells out what could do more than be read: escaping makes text of
// markup, but leaves what reorders or hides text.
func plain(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// number groups the digits of a number.
func number(v any) string {
	s := fmt.Sprint(v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// percent is a share, never rounded up to all.
func percent(part, whole int) string {
	switch {
	case whole == 0:
		return "–"
	case part == whole:
		return "100 %"
	}
	return strconv.FormatFloat(float64(int64(part)*1000/int64(whole))/10, 'f', 1, 64) + " %"
}
