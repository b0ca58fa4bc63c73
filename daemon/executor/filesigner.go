// SPDX-License-Identifier: Apache-2.0

package executor

func Wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
