// SPDX-License-Identifier: Apache-2.0

package grounds

import "github.com/digestd/digestd/daemon/ledger/state"

// Grounds are what lists stand on: keys, denials, floors, what the kernel names. An event that
// changes them judges every list again; lists that they refuse leave by [State.Suspend].
type Grounds struct{ *state.State }
