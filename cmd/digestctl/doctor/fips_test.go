// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"testing"

	"github.com/digestd/digestd/daemon/api"
)

func TestFIPS(t *testing.T) {
	s := machine(t)
	s.wants("fips", "ok: the kernel is not in FIPS mode")
	says := func(module string) {
		s.Status = func(context.Context) (api.Status, error) { return api.Status{FIPS: module}, nil }
	}
	says("")
	s.wants("fips", "ok: the kernel is not in FIPS mode")
	says("v1.0.0")
	s.wants("fips", "ok: digestd is in FIPS mode, module v1.0.0")
	s.write("proc/sys/crypto/fips_enabled", "1\n")
	s.wants("fips", "ok: digestd is in FIPS mode, module v1.0.0")
	says("")
	s.wants("fips", "warn: the kernel is in FIPS mode, and digestd is not")
	s.Status = func(context.Context) (api.Status, error) { return api.Status{}, errors.New("nobody is there") }
	s.wants("fips", "skipped: the kernel is in FIPS mode; digestd does not say whether it is")
}
