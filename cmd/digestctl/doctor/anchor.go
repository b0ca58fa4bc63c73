// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"os"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/kernel/tpm"
)

// lookAnchor looks at the TPM, at the secret of the counter, and at what digestd says of both.
func lookAnchor(_ context.Context, p *patient) {
	if p.conf.Anchor == "off" {
		p.skip("no anchor is configured")
		return
	}
	place, err := tpm.ParseCounterPlace(p.conf.Anchor)
	if err != nil {
		p.fail("", "%v", err)
		return
	}
	if _, err := os.Stat(p.at(place.Device)); err != nil {
		p.fail("", "the TPM is not there: %v", err)
		p.advise("turn the TPM on in the firmware, or set anchor = \"off\" in digestd.conf")
		return
	}
	if info, err := os.Stat(p.at(p.conf.AnchorSecret)); err == nil && info.Mode().Perm()&0o077 != 0 {
		p.fail("chmod 600 "+p.conf.AnchorSecret, "others than root can use the secret of the counter")
	}
	st, err := p.status()
	if err != nil {
		p.skip("digestd does not answer")
		return
	}
	switch a := st.Anchor; a.Standing {
	case api.AnchorDone, api.AnchorPending:
		p.ok("epoch %d of the index, counter at %d", a.Epoch, a.Value)
	case api.AnchorOlder:
		p.fail("", "the index is of epoch %d, the counter is at %d", a.Epoch, a.Value)
		p.advise("put the latest state directory back; or: digestctl anchor accept --reason WHY")
	case api.AnchorOther:
		p.fail("", "the TPM does not have the counter that the index is bound to")
		p.advise("if the TPM was cleared or the disk was moved: digestctl anchor rebind --reason WHY")
	case api.AnchorUnreachable:
		p.fail("", "the TPM cannot be used: %s", a.Text)
	default:
		p.warn("digestctl anchor enable", "the anchor is not enabled")
	}
}
