// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
)

func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
