// SPDX-License-Identifier: Apache-2.0

// Package notes keeps what goes to the log of the service, which is not the log of
// decisions, until the event is over.
package notes

// Notes are what an event has to say. The zero Notes are none.
type Notes struct{ all []Note }

// Level is how grave a note is, as package slog numbers levels.
type Level int

const (
	levelInfo  Level = 0
	levelWarn  Level = 4
	levelError Level = 8
)

// Note is one line of the log of the service.
type Note struct {
	Level Level
	Text  string
	Args  []any // as package slog has them
}

// Info notes something good to know.
func (n *Notes) Info(text string, args ...any) {
	n.all = append(n.all, Note{levelInfo, text, args})
}

// Warn notes something that is not as it should be.
func (n *Notes) Warn(text string, args ...any) {
	n.all = append(n.all, Note{levelWarn, text, args})
}

// Error notes something that failed.
func (n *Notes) Error(text string, args ...any) {
	n.all = append(n.all, Note{levelError, text, args})
}

// Take returns the notes, and forgets them.
func (n *Notes) Take() (all []Note) {
	all, n.all = n.all, nil
	return all
}
