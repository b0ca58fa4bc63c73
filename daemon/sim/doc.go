// SPDX-License-Identifier: Apache-2.0

// Package sim tries what keeps digest lists in step with packages against long
// random histories, and against a model that knows only what was answered.
//
// A [History] is a list of [Act]: transactions of a package manager, acts of an
// administrator, keys that change, programs that meddle with the list
// directory, crashes and power cuts, and effects that fail. [Draw] makes one
// from a seed; [Run] carries it out on a [System], asks the [Model] after each
// act what must hold, and returns the first thing that does not. [Shrink] finds
// a short history that fails in the same way, which prints as text and can be
// read back.
//
// Besides what the directory holds, the order of effects is watched: no list may
// appear, no signal be sent and nothing be answered before that is durable on which it
// rests.
//
// The model imports nothing of daemon, policy or store. It leaves to the System
// how lists are made, stored and published.
package sim
