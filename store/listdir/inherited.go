// SPDX-License-Identifier: Apache-2.0

package listdir

import "sync"

// inheritedChanges is the initial number of changes of a Dir: a former process may have been
// killed before it synced, so one change may not be durable.
const inheritedChanges = 1

// inherited makes durable what a former process may have left. It starts when the directory is
// opened, so that the disk works while lists and packages are read. The first Sync waits for it
// and need not do the same again.
type inherited struct {
	group sync.WaitGroup
	done  bool // it succeeded, and no caller has asked yet
	err   error
}

func (i *inherited) begin(d *Dir) {
	i.group.Go(func() {
		i.err = d.fsync()
		i.done = i.err == nil
	})
}

// end waits for it. Only the first caller learns the result: the kernel reports a failed write
// once.
func (i *inherited) end() (done bool, err error) {
	i.group.Wait()
	done, err = i.done, i.err
	i.done, i.err = false, nil
	return done, err
}
