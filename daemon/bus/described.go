// SPDX-License-Identifier: Apache-2.0

package bus

// Signal is a signal of our interface, as those who listen need it.
type Signal struct {
	Name      string
	Arguments []string // the names of its values, in order
}

// Signals are those of our interface.
func Signals() []Signal {
	var list []Signal
	for _, e := range signals() {
		s := Signal{Name: e.name}
		for _, a := range e.args {
			s.Arguments = append(s.Arguments, a.name)
		}
		list = append(list, s)
	}
	return list
}
