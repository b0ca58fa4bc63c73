// SPDX-License-Identifier: Apache-2.0

// Package policies decides about policy files: which of them count, what they change, and what
// stays when one goes. A file that came with a package counts while an active list vouches for
// its very content and one of the keys that may bring policy signed the package. Its rules
// replace those of the former file of its name, in one event: it is durable before the first
// list goes.
//
// An error in a file, a conflict, or an effect that no policy may have refuses the whole
// file, and what it said before stays in force.
package policies
