// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"regexp"
	"strings"
)

// index finds the lines of keys. The decoder reports lines only for invalid TOML; errors about
// valid TOML need the index.
type index struct {
	tables map[string][]int            // lines of [[table]]
	keys   map[string][]map[string]int // of each of these, the lines of its keys; of "" there is one
}

var (
	tableLine = regexp.MustCompile(`^\s*\[\[\s*"?([A-Za-z0-9_-]+)"?\s*\]\]`)
	keyLine   = regexp.MustCompile(`^\s*["']?([A-Za-z0-9_-]+)["']?\s*[.=]`)
)

// positions makes the index of a file.
func positions(data []byte) *index {
	at := &index{tables: map[string][]int{}, keys: map[string][]map[string]int{"": {{}}}}
	table, n, open := "", 0, ""
	for line := range strings.Lines(string(data)) {
		n++
		if open != "" { // inside a text of several lines
			if strings.Contains(line, open) {
				open = ""
			}
			continue
		}
		if m := tableLine.FindStringSubmatch(line); m != nil {
			table = m[1]
			at.tables[table] = append(at.tables[table], n)
			at.keys[table] = append(at.keys[table], map[string]int{})
			continue
		}
		if m := keyLine.FindStringSubmatch(line); m != nil {
			keys := at.keys[table][len(at.keys[table])-1]
			if keys[m[1]] == 0 {
				keys[m[1]] = n
			}
		}
		for _, quotes := range []string{`"""`, `'''`} {
			if strings.Count(line, quotes) == 1 && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				open = quotes
			}
		}
	}
	return at
}

// lineOf returns the line of a key in the nth table of that name, or in the first one that has
// it if n is negative. If the key is not found it returns the line of the table, or 0.
func (at *index) lineOf(table string, n int, key string) int {
	tables := at.keys[table]
	for i, keys := range tables {
		if (n < 0 || i == n) && keys[key] > 0 {
			return keys[key]
		}
	}
	if lines := at.tables[table]; n >= 0 && n < len(lines) {
		return lines[n]
	}
	if table != "" {
		return at.lineOf("", 0, table) // floor = [ { ... } ]
	}
	return 0
}

// failure returns an error about a key of the nth table of that name.
func (at *index) failure(table string, n int, key string, err error) error {
	name := key
	if table != "" {
		name = table + "." + key
	}
	return &Error{Line: at.lineOf(table, n, key), Key: name, Err: err}
}
