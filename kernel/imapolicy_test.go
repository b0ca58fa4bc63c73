// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/kernel"
	"github.com/google/go-cmp/cmp"
)

func TestIMAPolicyGolden(t *testing.T) {
	for name, p := range map[string]kernel.IMAPolicy{
		"digest-cache":          {DigestCache: true},
		"digest-cache-measured": {DigestCache: true, PCR: 12, Usage: "content"},
		"stock":                 {},
	} {
		got, err := p.Text()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "ima-policy-"+name)
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// Every policy has the rules on which the trust in lists rests.
func TestIMAPolicyInvariants(t *testing.T) {
	for _, cache := range []bool{false, true} {
		for _, usage := range []string{"", "data", "content"} {
			for pcr := range 16 {
				p := kernel.IMAPolicy{DigestCache: cache, Usage: usage, PCR: pcr}
				name := fmt.Sprintf("%+v", p)
				rules, err := p.Rules()
				if wrong := pcr != 0 && (!cache || pcr < 8 || pcr > 14 || pcr == 10); wrong != (err != nil) {
					t.Errorf("%s: %v", name, err)
				}
				if err != nil {
					continue
				}
				var texts []string
				for _, r := range rules {
					if r.Why == "" || r.Text == "" {
						t.Errorf("%s: rule %+v lacks a reason", name, r)
					}
					texts = append(texts, r.Text)
				}
				all := strings.Join(texts, "\n")
				if lists := slices.Index(texts, "appraise func=DIGEST_LIST_CHECK appraise_type=imasig|modsig"); (lists >= 0) != cache {
					t.Errorf("%s: lists are appraised by rule %d", name, lists)
				}
				if strings.Contains(all, "digest_cache=") != cache {
					t.Errorf("%s: digest_cache in\n%s", name, all)
				}
				if regexp.MustCompile(`(?m)^measure (.* )?digest_cache=\w+$`).MatchString(all) || strings.Contains(all, "pcr=10") {
					t.Errorf("%s: measures into IMA's own register:\n%s", name, all)
				}
				// The first rule that fits decides: tmpfs is left out before anything is asked of it.
				tmpfs, first := slices.Index(texts, "dont_appraise fsmagic=0x01021994"), slices.IndexFunc(texts, func(s string) bool {
					return strings.HasPrefix(s, "appraise func=BPRM_CHECK")
				})
				if tmpfs < 0 || first < tmpfs {
					t.Errorf("%s: tmpfs is rule %d, programs are rule %d", name, tmpfs, first)
				}
			}
		}
	}
	if _, err := (kernel.IMAPolicy{DigestCache: true, Usage: "metadata"}).Rules(); err == nil {
		t.Error("an unknown usage was accepted")
	}
}
