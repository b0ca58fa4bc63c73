// SPDX-License-Identifier: Apache-2.0

package daemon

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
