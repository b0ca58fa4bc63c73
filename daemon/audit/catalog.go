// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"fmt"
)

// Catalog returns the texts that journalctl -x shows for each kind, in the format of systemd's
// message catalogs.
func Catalog() []byte {
	var b bytes.Buffer
	b.WriteString("# SPDX-License-Identifier: Apache-2.0\n# Made from the table in daemon/audit.\n")
	for _, k := range Kinds() {
		fmt.Fprintf(&b, "\n-- %s\nSubject: %s\nDefined-By: digestd\nDocumentation: man:digestctl-log(1) man:digestd(8)\n\n%s\n", k.ID, k.Title, k.Text)
	}
	return b.Bytes()
}
