// SPDX-License-Identifier: Apache-2.0

package daemon

func newLookup(entries []*entry) *lookup { return &lookup{entries: entries} }
