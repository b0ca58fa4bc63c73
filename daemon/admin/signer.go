// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/hex"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/store/record"
)

// SignerEnrol adds the certificate that signs lists, and the prepared one, to the keyrings
// in which the kernel looks for them.
func (ad *Admin) SignerEnrol(ctx context.Context, by api.Actor, where string) (e api.Enrolment, err error) {
	if ad.Builder.Load().Sign != "pkcs7" {
		return e, api.Errorf(api.InvalidArgument, "this machine's key does not sign lists: sign = %q", ad.Builder.Load().Sign)
	}
	another, err := ad.enroller.ReloadCertificate(ctx, by)
	if err != nil {
		return e, err
	}
	if another {
		ad.WantSync("another certificate signs")
		e.Done = append(e.Done, "loaded the certificate that replaced signing.crt, and signed all lists again")
	}
	certs, files, err := ad.enroller.Enrollable()
	if err != nil {
		return e, err
	}
	e.Where, e.Files = where, files
	for i, c := range certs {
		e.Certificates = append(e.Certificates, identity.Describe(c, files[i]))
	}
	switch where {
	case api.EnrolIMA:
		err = ad.enroller.EnrolIMA(certs, &e)
	case api.EnrolFile:
		err = ad.enroller.EnrolFile(certs, &e)
	case api.EnrolMOK:
		// The owner is asked for a password: that is between him and mokutil.
		e.Left = append(e.Left, "mokutil passes them to the firmware, which asks at the next boot whether to trust them",
			"after that boot the kernel has them in .machine or .platform; if it is built to trust these keyrings "+
				"(CONFIG_IMA_KEYRINGS_PERMIT_SIGNED_BY_BUILTIN_OR_SECONDARY), add them to .ima: digestctl keys enrol --ima")
	default:
		return e, api.Errorf(api.InvalidArgument, "cannot enrol a certificate in %q: want ima, mok or file", where)
	}
	if err != nil {
		return e, err
	}
	rerr := ad.Exec.Enter(ctx, "enrol", func(s *ledger.Ledger) error {
		for _, c := range certs {
			s.Event(record.Event{Kind: audit.KindSignerEnrolled, Key: hex.EncodeToString(c.SubjectKeyId), Reason: where, UID: by.UID, PID: by.PID})
		}
		s.Record()
		return nil
	})
	if rerr != nil {
		ad.Logger.Error("enrolment not recorded yet", "error", rerr) // it has happened
	}
	ad.enroller.TellOfEnrolment(ctx)
	return e, nil
}
