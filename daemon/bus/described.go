// SPDX-License-Identifier: Apache-2.0

package bus

import "github.com/digestd/digestd/daemon/bus/object"

// Signal is a signal of our interface, as those who listen need it.
type Signal struct {
	Name      string
	Arguments []string // the names of its values, in order
}

// Signals are those of our interface.
func Signals() []Signal {
	var list []Signal
	for _, e := range signals() {
		s := Signal{Name: e.Name}
		for _, a := range e.Args {
			s.Arguments = append(s.Arguments, a.Name)
		}
		list = append(list, s)
	}
	return list
}

// Method is a method of our interface, as those who call it need it.
type Method struct {
	Name    string
	In, Out string // the signatures of its arguments and of its results
	Action  string // which polkit is asked about, "" if everybody may call it
}

// Methods are those of our interface.
func Methods() []Method {
	var list []Method
	for _, m := range (&Server{}).table().Methods {
		list = append(list, Method{Name: m.Name, In: object.Signature(m.In), Out: object.Signature(m.Out), Action: m.Action.Name})
	}
	return list
}
