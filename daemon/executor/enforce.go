// SPDX-License-Identifier: Apache-2.0

package executor

import "github.com/digestd/digestd/daemon/api"

// Enforcer holds in the kernel what active lists have, where the kernel does not read
// lists itself. Both methods take lists as they lie in the directory, and what they are
// told counts when they return.
type Enforcer interface {
	// Admit lets run what a list has. It is called once the list is in the directory,
	// and before that is answered.
	Admit(list []byte) error
	// Expel keeps from running what no other list has. It is called once the lists are
	// out of the directory, or as far as they can be, and before that is answered.
	Expel(lists [][]byte) error
	// Committed is called once the index has what the enforcer was told.
	Committed() error
}

// problemGuard stands while the enforcer does not know what is active.
const problemGuard = "guard"

// expel tells the enforcer of lists that are gone.
func (x *Executor) expel(lists [][]byte) {
	if x.Hooks.Enforcer != nil && len(lists) > 0 {
		x.enforced(x.Hooks.Enforcer.Expel(lists))
	}
}

// admit tells the enforcer of a list that is there, in the place of old, nil for none.
func (x *Executor) admit(name string, old []byte) {
	if x.Hooks.Enforcer == nil {
		return
	}
	list, err := x.Dir.Read(name, nil)
	if err == nil {
		err = x.Hooks.Enforcer.Admit(list)
	}
	x.enforced(err)
	if old != nil {
		x.expel([][]byte{old})
	}
}

// enforces returns the content of a list, for the enforcer; nil if there is none.
func (x *Executor) enforces(name string) []byte {
	if x.Hooks.Enforcer == nil {
		return nil
	}
	list, err := x.Dir.Read(name, nil)
	if err != nil {
		return nil
	}
	return list
}

func (x *Executor) enforced(err error) {
	if err != nil {
		x.State.Problem(problemGuard, api.SeverityError, "the guard was not told of all lists: "+err.Error(),
			"see systemctl status digestd-guard; then: digestctl sync")
	}
}
