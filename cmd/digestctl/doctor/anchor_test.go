// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/digestd/digestd/daemon/api"
)

// The anchor that is configured needs a TPM, a secret that only root can use, and a digestd
// that finds the index and the counter in agreement.
func TestAnchor(t *testing.T) {
	s := machine(t)
	s.wants("anchor", "skipped: no anchor is configured")
	s.write("digestd.conf", "anchor = \"tpm:device=/dev/tpm9\"\nanchor-secret = \"/etc/digestd/anchor.secret\"\n")
	s.wants("anchor", "fail: the TPM is not there: stat TOP/dev/tpm9: no such file or directory")
	s.write("dev/tpm9", "")
	s.wants("anchor", "skipped: digestd does not answer")
	for standing, want := range map[string]string{
		api.AnchorDone:        "ok: epoch 3 of the index, counter at 5",
		api.AnchorPending:     "ok: epoch 3 of the index, counter at 5",
		api.AnchorOlder:       "fail: the index is of epoch 3, the counter is at 5",
		api.AnchorOther:       "fail: the TPM does not have the counter that the index is bound to",
		api.AnchorUnreachable: "fail: the TPM cannot be used: it hangs",
		api.AnchorNone:        "warn: the anchor is not enabled → digestctl anchor enable",
	} {
		s.Status = func(context.Context) (api.Status, error) {
			return api.Status{Anchor: api.Anchor{Where: "tpm:", Standing: standing, Epoch: 3, Value: 5, Text: "it hangs"}}, nil
		}
		s.wants("anchor", want)
	}
	s.write("etc/digestd/anchor.secret", "")
	s.Status = func(context.Context) (api.Status, error) { return api.Status{}, errors.New("nobody is there") }
	s.wants("anchor", "fail: others than root can use the secret of the counter → chmod 600 /etc/digestd/anchor.secret", "skipped: digestd does not answer")
	if err := os.Chmod(s.path("etc/digestd/anchor.secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.wants("anchor", "skipped: digestd does not answer")
}
