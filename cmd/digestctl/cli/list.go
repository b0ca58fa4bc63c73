// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/digestd/digestd/cmd/digestctl/terminal"

// Listing is the answer of a verb that lists items.
type Listing[T any] struct {
	Document any // for programs
	Items    []T
	None     string         // the line for people if there are no items
	Style    terminal.Style // of that line
	Print    func(*terminal.UI, []T)
}

// Show prints the document for programs, or the items for people.
func (l Listing[T]) Show(a *App) error {
	switch {
	case a.JSON:
		return a.UI.JSON(l.Document)
	case len(l.Items) == 0:
		a.UI.Say(l.Style, "%s", l.None)
	default:
		l.Print(a.UI, l.Items)
	}
	return nil
}
