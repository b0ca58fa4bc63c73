// SPDX-License-Identifier: Apache-2.0

package executor

// SettleIndex looks whether the index still lies in the state directory, and puts
// it there if it can.
func (x *Executor) SettleIndex() error {
	err := x.Index.Settle()
	if err != nil {
		x.indexFailed(err)
		return err
	}
	x.State.Solved("state")
	x.State.TellOfRestored(x.Index.Restored())
	return nil
}
