// SPDX-License-Identifier: Apache-2.0

package executor

import "github.com/digestd/digestd/daemon/api"

// Enforcer holds in the kernel what active lists have, where the kernel does not read lists
// itself. A change is in force when its method returns.
type Enforcer interface {
	// Admit lets run what a list has. It is called once the list is in the directory,
	// in the place of old, nil for none, and before that is answered.
	Admit(list List, old []byte) error
	// Expel keeps from running what no other list has. It is called once the lists are
	// out of the directory, or as far as they can be, and before that is answered. It
	// may be called again for a list that is gone, and for one that was not admitted.
	Expel(lists []List) error
	// Committed is called once the index has what the enforcer was told.
	Committed() error
	// Doubt is called when something other than digestd changed a list: what the
	// enforcer holds of it is not known any more.
	Doubt()
}

// List is a list as it lies, or lay, in the directory.
type List struct {
	Name    string
	Content []byte
	Largest uint64 // size in bytes of the largest file that it is of; 0: not known
}

// problemGuard stands while the enforcer does not know what is active.
const problemGuard = "guard"

// expel tells the enforcer of lists that are gone.
func (x *Executor) expel(lists []List) {
	if x.Hooks.Enforcer != nil && len(lists) > 0 {
		x.enforced(x.Hooks.Enforcer.Expel(lists))
	}
}

// admit tells the enforcer of a list that is there, in the place of old, nil for none.
func (x *Executor) admit(name string, largest uint64, old []byte) {
	if x.Hooks.Enforcer == nil {
		return
	}
	content, err := x.Dir.Read(name, nil)
	if err == nil {
		err = x.Hooks.Enforcer.Admit(List{name, content, largest}, old)
	}
	x.enforced(err)
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
		x.State.Problem(problemGuard, api.SeverityError, "digestd could not send all lists to the guard: "+err.Error(),
			"see systemctl status digestd-guard; then: digestctl sync")
	}
}
