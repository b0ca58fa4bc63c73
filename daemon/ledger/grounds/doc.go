// SPDX-License-Identifier: Apache-2.0

// Package grounds judges: it knows what lists stand on (keys, denials, floors, the
// kernel's .blacklist) and withdraws what these refuse. A judgement must not outlive its
// grounds.
package grounds
