// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/json"
	"strings"
)

// Content has all records of an index except the log.
type Content struct {
	Lists   []List
	Lines   []Line
	Keys    []Key
	Asides  []Aside
	Denials []Denial
	Own     []Own
	Retired map[Digest]Retirement
	NextSeq uint64 // of the log
	LogSize int
	Taken   map[string]uint64 // the last entry of the log that each carrier has delivered
	Meta    map[string][]byte
	Advice
}

// Advice has the records about advisories.
type Advice struct {
	Origins []Origin
	Advised []AdvisedFloor // by origin and package
}

// Leftovers returns the files that must still be removed, by name. A record that cannot be
// parsed still names its file.
func (c *Content) Leftovers() map[string]Leftover {
	all := map[string]Leftover{}
	for key, value := range c.Meta {
		if name, is := strings.CutPrefix(key, MetaLeftover); is {
			l := Leftover{Name: name}
			json.Unmarshal(value, &l)
			all[name] = l
		}
	}
	return all
}
