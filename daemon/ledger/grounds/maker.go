// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"errors"

	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// Outcome sorts the errors of a signature check into what policy knows.
func Outcome(err error) policy.Outcome {
	var (
		unknown *pgp.UnknownKeyError
		bad     *pgp.BadSignatureError
		weak    *pgp.WeakError
		revoked *pgp.RevokedError
		expired *pgp.ExpiredError
		future  *pgp.FutureError
	)
	o := policy.Outcome{}
	if err != nil {
		o.Detail = err.Error()
	}
	switch {
	case err == nil:
		o.Class = policy.Good
	case errors.Is(err, pgp.ErrUnsigned):
		o.Class = policy.NotSigned
	case errors.As(err, &revoked):
		o.Class = policy.KeyRevoked
	case errors.As(err, &expired):
		o.Class = policy.KeyExpired
	case errors.As(err, &future):
		o.Class = policy.FromFuture
	case errors.As(err, &weak):
		o.Class = policy.WeakSignature
	case errors.As(err, &unknown):
		o.Class = policy.UnknownKey
	case errors.As(err, &bad):
		o.Class = policy.BadSignature
	default:
		o.Class = policy.BadSignature
	}
	return o
}
