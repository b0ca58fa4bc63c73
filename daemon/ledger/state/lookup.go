// SPDX-License-Identifier: Apache-2.0

package state

import "github.com/digestd/digestd/daemon/view"

func NewLookup(entries []*view.Entry) *view.Lookup { return &view.Lookup{Entries: entries} }
