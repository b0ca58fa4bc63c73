// SPDX-License-Identifier: Apache-2.0

// Package ownlist takes in, publishes and removes own lists: those that the owner of the
// machine makes or imports.
package ownlist

import (
	"sync"

	"github.com/digestd/digestd/daemon/enrol"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/label"
)

// Keeper takes in, publishes and removes own lists. An error is an [api.Error] if the caller
// can do something about it.
type Keeper struct {
	*host.Host
	labels   *label.Labels
	enroller *enrol.Enroller
	keys     *keysource.Source
	mu       sync.Mutex // one change of an own list at a time
	uploads  uploads    // own lists that are being sent
}

// New returns a Keeper of the own lists of h.
func New(h *host.Host, labels *label.Labels, e *enrol.Enroller, keys *keysource.Source) *Keeper {
	return &Keeper{Host: h, labels: labels, enroller: e, keys: keys}
}
