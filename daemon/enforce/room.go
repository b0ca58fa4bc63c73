// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"context"
	"fmt"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/kernel/guard"
)

// A package that is to come is taken for so many files, and one of them for so many more:
// nobody says before a transaction begins.
const (
	packageDigests = 256
	largestPackage = 65_536
)

// Room returns nil, or the reason why the contents of so many packages may not fit into the
// guard. If the guard refuses nothing or is absent there is always room. Call it within
// turns.
func (g *Guard) Room(packages int) error {
	if g == nil || !g.Agreed || packages == 0 {
		return nil
	}
	var room protocol.Room
	err := g.tell(func(ctx context.Context, c *protocol.Client) (err error) {
		room, err = c.Room(ctx)
		return err
	})
	need := packages*packageDigests + largestPackage
	if err != nil || room.Mode != guard.Enforce.String() || room.Most-room.Held >= need {
		return nil
	}
	return fmt.Errorf("cannot allow the files of %d packages: the guard has %d digests and memory for %d; the packages may need %d",
		packages, room.Held, room.Most, need)
}
