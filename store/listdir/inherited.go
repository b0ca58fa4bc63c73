// SPDX-License-Identifier: Apache-2.0

package listdir

import "sync"

// inheritedChanges is the number of changes with which a Dir begins: a process before may
// have been killed before it synced, so there is one that is not durable.
const inheritedChanges = 1

// inherited makes durable what a process before may have left. It begins when the
// directory is opened, so that the disk works while lists and packages are read; the first
// Sync waits for it, and need not do the same again.
type inherited struct {
	group sync.WaitGroup
	done  bool // with success, and nobody has asked yet
	err   error
}

func (i *inherited) begin(d *Dir) {
	i.group.Go(func() {
		i.err = d.fsync()
		i.done = i.err == nil
	})
}

// end waits for it. The first who asks learns whether it is done, or the error: the kernel
// tells what it could not write only once.
func (i *inherited) end() (done bool, err error) {
	i.group.Wait()
	done, err = i.done, i.err
	i.done, i.err = false, nil
	return done, err
}
