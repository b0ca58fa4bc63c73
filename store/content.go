// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"

	"github.com/digestd/digestd/store/record"
)

// loadDenial adds one record to what was loaded.
func loadDenial(c *record.Content, k, v []byte) error {
	d := record.Denial{ID: string(k)}
	err := json.Unmarshal(v, &d)
	c.Denials = append(c.Denials, d)
	return err
}
