// SPDX-License-Identifier: Apache-2.0

package userfile

import (
	"fmt"
	"os"

	"github.com/digestd/digestd/digestlist/imalog"
)

// maxLog bounds an IMA measurement list that is read.
const maxLog = 512 << 20

// EachMeasured calls its function for each entry of an IMA measurement list.
func EachMeasured(file string, fn func(imalog.Entry) error) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("cannot read measurements: %w", err)
	}
	defer f.Close()
	data, err := ReadAtMost(f, maxLog)
	if err == nil {
		err = imalog.Parse(data, fn)
	}
	if err != nil {
		return fmt.Errorf("cannot read measurements in %s: %w", file, err)
	}
	return nil
}
