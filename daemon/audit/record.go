// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

// Field is a field of a record, with journald's name for it.
type Field struct{ Name, Value string }

// maxField bounds a value, in bytes, so that a record always fits into one datagram.
const maxField = 4096

// Record returns the fields of e's record. Empty fields are left out.
func Record(e record.Event) []Field {
	k := Lookup(e.Kind)
	pkg, version := packageOf(e)
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	fields := []Field{
		{"MESSAGE", Message(e)},
		{"MESSAGE_ID", k.ID},
		{"PRIORITY", number(uint64(k.Priority))},
		{"SYSLOG_IDENTIFIER", "digestd"},
		{"DIGESTD_KIND", e.Kind},
		{"DIGESTD_SEQ", number(e.Seq)},
		{"DIGESTD_WHEN", e.When.UTC().Format(time.RFC3339Nano)},
		{"DIGESTD_PACKAGE", pkg},
		{"DIGESTD_NEVRA", version},
		{"DIGESTD_LIST", e.List},
		{"DIGESTD_KEY", e.Key},
		{"DIGESTD_REASON", e.Reason},
		{"DIGESTD_TEXT", e.Text},
		{"DIGESTD_ACTOR_UID", number(uint64(e.UID))},
		{"DIGESTD_ACTOR_UNIT", e.Unit},
	}
	if !e.Digest.IsZero() {
		fields = append(fields, Field{"DIGESTD_LIST_DIGEST", e.Digest.String()})
	}
	if e.Counter != 0 {
		fields = append(fields, Field{"DIGESTD_COUNTER", number(e.Counter)})
	}
	if e.PID != 0 {
		fields = append(fields, Field{"DIGESTD_ACTOR_PID", number(uint64(e.PID))})
	}
	kept := fields[:0]
	for _, f := range fields {
		if f.Value == "" {
			continue
		}
		if len(f.Value) > maxField {
			f.Value = strings.ToValidUTF8(f.Value[:maxField], "")
		}
		kept = append(kept, f)
	}
	return kept
}

// packageOf returns the name of the package that an event is about, and its version if the event
// is about one version.
func packageOf(e record.Event) (name, version string) {
	if n, err := nevra.Parse(e.Package); err == nil {
		return n.Name, e.Package
	}
	if i := strings.LastIndexByte(e.Package, '.'); i > 0 && strings.HasPrefix(e.Kind, "floor-") {
		return e.Package[:i], ""
	}
	return e.Package, ""
}

// Message describes a decision in one line, for people.
func Message(e record.Event) string {
	subject, phrase := Phrase(e)
	if subject != "" {
		phrase = subject + " " + phrase
	}
	return printable(phrase)
}

// Phrase returns the subject of an event and the phrase about it.
func Phrase(e record.Event) (subject, phrase string) {
	k := Lookup(e.Kind)
	switch k.Subject {
	case NEVRA, Package:
		subject = e.Package
	case Key:
		subject = e.Key
	case List:
		subject = e.List
	}
	if subject == "" {
		subject = e.Package
	}
	phrase = k.Says(e.Reason)
	text := e.Text
	if subject != "" {
		text = strings.TrimPrefix(text, subject+": ")
	}
	if text == "" && phrase == k.Words {
		text = e.Reason
	}
	if text != "" {
		phrase += ": " + text
	}
	return subject, phrase
}

// printable replaces characters that could do more than be displayed.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
