// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"github.com/digestd/digestd/store/record"
	"strings"
)

// Leftovers returns the files that must still go, by name. A record that cannot be
// read still names its file.
func (c *Content) Leftovers() map[string]record.Leftover {
	all := map[string]record.Leftover{}
	for key, value := range c.Meta {
		if name, is := strings.CutPrefix(key, record.MetaLeftover); is {
			l := record.Leftover{Name: name}
			json.Unmarshal(value, &l)
			all[name] = l
		}
	}
	return all
}

// loadDenial adds one record to what was loaded.
func (c *Content) loadDenial(k, v []byte) error {
	d := record.Denial{ID: string(k)}
	err := json.Unmarshal(v, &d)
	c.Denials = append(c.Denials, d)
	return err
}
