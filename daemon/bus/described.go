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

// Method is a method of our interface, as those who call it need it.
type Method struct {
	Name    string
	In, Out string // the signatures of its arguments and of its results
	Action  string // which polkit is asked about, "" if everybody may call it
}

// Methods are those of our interface.
func Methods() []Method {
	var list []Method
	for _, m := range (&Server{}).describe()[0].methods {
		list = append(list, Method{Name: m.name, In: signature(m.in), Out: signature(m.out), Action: string(m.action)})
	}
	return list
}
