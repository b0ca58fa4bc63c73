// SPDX-License-Identifier: Apache-2.0

package daemon

// settleIndex looks whether the index still lies in the state directory, and puts
// it there if it can.
func (x *executor) settleIndex() error {
	err := x.index.Settle()
	if err != nil {
		x.indexFailed(err)
		return err
	}
	x.state.Solved("state")
	x.state.TellOfRestored(x.index.Restored())
	return nil
}
