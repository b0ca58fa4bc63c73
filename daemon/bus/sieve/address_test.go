// SPDX-License-Identifier: Apache-2.0

package sieve

import "testing"

func TestAddresses(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/elsewhere")
	for _, c := range []struct {
		address string
		want    []string
	}{
		{"system", []string{"/elsewhere"}},
		{"unix:path=/run/bus", []string{"/run/bus"}},
		{"unix:abstract=bus,guid=00", []string{"@bus"}},
		{"tcp:host=localhost;unix:path=/a%20b;unix:path=/c", []string{"/a b", "/c"}},
		{"", nil},
		{"session", nil},
		{"tcp:host=localhost,port=1", nil},
		{"unix:path=", nil},
		{"unix:path=/a%2", nil},
		{"unix:tmpdir=/tmp", nil},
	} {
		got, err := ParseAddress(c.address)
		if (err != nil) != (c.want == nil) || len(got) != len(c.want) {
			t.Errorf("%q: got %q, %v, want %q", c.address, got, err, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%q: got %q, want %q", c.address, got, c.want)
			}
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("unix:path=/run/dbus/system_bus_socket")
	f.Add("unix:abstract=%61;tcp:host=a")
	f.Fuzz(func(t *testing.T, address string) {
		if d, err := ParseAddress(address); (err == nil) != (len(d) > 0) {
			t.Errorf("%q gave %d sockets and %v", address, len(d), err)
		}
	})
}
