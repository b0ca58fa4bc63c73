// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/needs"
)

// TestRulesOfTheGroup: the rules we ship let members of the group, and nobody
// else, ask for what changes nothing that was not due, and for nothing more.
func TestRulesOfTheGroup(t *testing.T) {
	needs.Root(t)
	shipped, err := os.ReadFile("../../systemd/org.digestd1.rules")
	if err != nil {
		t.Fatal(err)
	}
	// The group of nobody stands for ours, which this machine may not have.
	member, err := user.LookupId(strconv.Itoa(nobody))
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(member.Gid)
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.ReplaceAll(string(shipped), `isInGroup("digestd")`, `isInGroup("`+group.Name+`")`)
	if rules == string(shipped) {
		t.Fatal("the rules name no group digestd")
	}
	_, private := serve(t, &stub{})
	private.Polkit(policyFile, rules)
	in, out := connectAs(t, private, nobody), connectAs(t, private, daemonUser)
	in.must("Sync")
	out.refused("AccessDenied", "Sync")
	in.refused("AccessDenied", "FloorSet", "bash", "1-1", "why")
	in.refused("AccessDenied", "RollbackGrant", "bash-1-1.noarch", "why")
}
