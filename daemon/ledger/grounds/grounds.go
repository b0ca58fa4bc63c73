// SPDX-License-Identifier: Apache-2.0

package grounds

import "github.com/digestd/digestd/daemon/ledger/state"

// Grounds are what lists stand on: keys, denials, floors, what the kernel names. Whatever
// changes them has every list judged again, and what they refuse leaves by [State.Suspend].
type Grounds struct{ *state.State }
