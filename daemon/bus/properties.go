// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"cmp"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/godbus/dbus/v5"
)

// properties describes our properties; propertyValues has their values.
func properties() []object.Property {
	return []object.Property{
		{Name: "Version", Sig: "s", Emits: "const", Doc: "The version of the daemon."},
		{Name: "Mode", Sig: "s", Emits: "true", Doc: "`enforce`, `withhold` or `audit`."},
		{Name: "State", Sig: "s", Emits: "true", Doc: "`healthy`, or `degraded` when there is an error or warning among the problems."},
		{Name: "Transaction", Sig: "b", Emits: "true", Doc: "A package transaction is in flight."},
		{Name: "ActiveLists", Sig: "t", Emits: "true", Doc: "Lists in the directory."},
		{Name: "WithheldLists", Sig: "t", Emits: "true", Doc: "Lists of packages that are installed but not vouched for."},
		{Name: "QuarantinedLists", Sig: "t", Emits: "true", Doc: "Files that digestd did not put into the directory, or did not change last."},
		{Name: "Problems", Sig: "t", Emits: "true", Doc: "The number of problems; `Status` has their texts."},
		{Name: "Verified", Sig: "t", Emits: "true", Doc: "The time at which the latest verification of everything ended, in microseconds since 1970; 0 if there was none."},
		{Name: "VerifyErrors", Sig: "t", Emits: "true", Doc: "The number of errors that it found."},
		{Name: "Counter", Sig: "t", Emits: "true", Doc: "The number of the last activation. It never falls."},
		{Name: "LastEvent", Sig: "t", Emits: "true", Doc: "The number of the newest entry of the log: when it changes, `Log` has more."},
		{Name: "GuardMode", Sig: "s", Emits: "false", Doc: "The mode of the guard in the kernel: `off`, `audit`, `enforce`, or `unknown` if digestd-guard does not answer."},
		{Name: "GuardRefused", Sig: "t", Emits: "false", Doc: "Number of checks that the guard refused since it was loaded. It may be a second old."},
		{Name: "GuardMissed", Sig: "t", Emits: "false", Doc: "Number of checks that mode `enforce` would have refused since then, including those that were refused. It may be a second old."},
	}
}

func propertyValues(st api.Status) map[string]dbus.Variant {
	count := func(n int) dbus.Variant { return dbus.MakeVariant(uint64(n)) }
	return map[string]dbus.Variant{
		"Version":          dbus.MakeVariant(api.Clean(st.Version)),
		"Mode":             dbus.MakeVariant(api.Clean(st.Mode)),
		"State":            dbus.MakeVariant(st.State),
		"Transaction":      dbus.MakeVariant(st.Transaction),
		"ActiveLists":      count(st.Lists.Active),
		"WithheldLists":    count(st.Lists.Withheld),
		"QuarantinedLists": count(st.Lists.Quarantined),
		"Problems":         count(len(st.Problems)),
		"Verified":         dbus.MakeVariant(verified(st.Verified)),
		"VerifyErrors":     count(st.Verified.Errors),
		"Counter":          dbus.MakeVariant(st.Counter),
		"LastEvent":        dbus.MakeVariant(st.LastEvent),
		"GuardMode":        dbus.MakeVariant(api.Clean(cmp.Or(st.Guard.Mode, api.GuardOff))),
		"GuardRefused":     dbus.MakeVariant(st.Guard.Counts.Refused),
		"GuardMissed":      dbus.MakeVariant(st.Guard.Counts.Missed),
	}
}

// verified is when a verification ended, 0 for one that did not.
func verified(v api.Verification) uint64 {
	if v.Ended.IsZero() {
		return 0
	}
	return uint64(v.Ended.UnixMicro())
}
