// SPDX-License-Identifier: Apache-2.0

package daemon

import "github.com/digestd/digestd/daemon/view"

func newLookup(entries []*view.Entry) *view.Lookup { return &view.Lookup{Entries: entries} }
