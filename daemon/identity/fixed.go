// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Fixed implements [Identities] by one identity that signs and never changes. It is not stored.
type Fixed struct{ *Identity }

var errFixed = errors.New("this signing key cannot be changed")

// Load implements [Identities].
func (f Fixed) Load(context.Context, *slog.Logger, time.Time) (Loaded, error) {
	return Loaded{Identity: f.Identity}, nil
}

// Prepare implements [Identities].
func (Fixed) Prepare(context.Context, time.Time, func()) (string, error) { return "", errFixed }

// Try implements [Identities].
func (Fixed) Try(context.Context, func()) error { return errFixed }

// Follow implements [Identities].
func (Fixed) Follow(context.Context, time.Time) (*Identity, error) { return nil, errFixed }
