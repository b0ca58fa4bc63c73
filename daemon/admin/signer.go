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

// SignerEnrol brings the certificate that signs lists, and the one that is
// prepared to, to where the kernel looks for it.
func (ad *Admin) SignerEnrol(ctx context.Context, by api.Actor, where string) (e api.Enrolment, err error) {
	if ad.Builder.Load().Sign != "pkcs7" {
		return e, api.Errorf(api.InvalidArgument, "lists are not signed by this machine's key: sign = %q", ad.Builder.Load().Sign)
	}
	another, err := ad.enroller.ReloadCertificate(ctx, by)
	if err != nil {
		return e, err
	}
	if another {
		ad.WantSync("another certificate signs")
		e.Done = append(e.Done, "took over the certificate that was put in the place of signing.crt; all lists are signed anew with it")
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
		e.Left = append(e.Left, "mokutil hands them to the firmware, which asks at the next boot whether they may be trusted",
			"after that boot the kernel has them in .machine or .platform, and, if it is built to let these vouch "+
				"(CONFIG_IMA_KEYRINGS_PERMIT_SIGNED_BY_BUILTIN_OR_SECONDARY), takes them into .ima: digestctl keys enrol --ima")
	default:
		return e, api.Errorf(api.InvalidArgument, "%q is no place to enrol a certificate in: want ima, mok or file", where)
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
