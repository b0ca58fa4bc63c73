// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/digestd/digestd/daemon/sim/story"
	"github.com/digestd/digestd/daemon/sim/system"
)

// The names of package story, as those who run histories use them.
type (
	Kind        = story.Kind
	Act         = story.Act
	Fault       = story.Fault
	FaultKind   = story.FaultKind
	History     = story.History
	Package     = story.Package
	Installed   = story.Installed
	Certificate = story.Certificate
	Range       = story.Range
)

// The names of package system.
type (
	System  = system.System
	Verdict = system.Verdict
)

const (
	Unlisted, Listed, Refused, Keeping, ByMachine = system.Unlisted, system.Listed, system.Refused, system.Keeping, system.ByMachine
)

// ErrCrashed is that of package system.
var ErrCrashed = system.ErrCrashed

// The kinds of acts.
const (
	Install, Failing, Cut, Lost, Erase, Sneak, Vanish, Revoke                     = story.Install, story.Failing, story.Cut, story.Lost, story.Erase, story.Sneak, story.Vanish, story.Revoke
	Restore, Drop, Import, Renew, Retract, Outdate, Expiry, Deny                  = story.Restore, story.Drop, story.Import, story.Renew, story.Retract, story.Outdate, story.Expiry, story.Deny
	Lift, DenyContent, LiftContent, Floor, ClearFloor, Grant, TakeGrant, Unsigned = story.Lift, story.DenyContent, story.LiftContent, story.Floor, story.ClearFloor, story.Grant, story.TakeGrant, story.Unsigned
	KeepOld, Compare, Rotate, Restart, Kill, PowerOf, Reboot, Delete              = story.KeepOld, story.Compare, story.Rotate, story.Restart, story.Kill, story.PowerOf, story.Reboot, story.Delete
	Alter, Plant, HandOver, Both, DenyUntil, Clock, Ban, Order                    = story.Alter, story.Plant, story.HandOver, story.Both, story.DenyUntil, story.Clock, story.Ban, story.Order
	Prefetch, Police, PoliceGone, PoliceForget, Advise, ForgetAdvice, Look, Own   = story.Prefetch, story.Police, story.PoliceGone, story.PoliceForget, story.Advise, story.ForgetAdvice, story.Look, story.Own
	OwnRemove, Guard, Deploy, Retained, Image, Builder                            = story.OwnRemove, story.Guard, story.Deploy, story.Retained, story.Image, story.Builder

	Within, Amid, Awaited, Subkey                                         = story.Within, story.Amid, story.Awaited, story.Subkey
	NoFault, ErrorAt, KillAt, PowerAt                                     = story.NoFault, story.ErrorAt, story.KillAt, story.PowerAt
	ByBuilder, ByStranger                                                 = story.ByBuilder, story.ByStranger
	BuilderRevoke, BuilderRestore, BuilderDrop, BuilderImport, BuilderBan = story.BuilderRevoke, story.BuilderRestore, story.BuilderDrop, story.BuilderImport, story.BuilderBan
	GuardSame, GuardOld, GuardEmpty, GuardAway                            = story.GuardSame, story.GuardOld, story.GuardEmpty, story.GuardAway
)

// The functions of package story.
var (
	ParseHistory, Draw, Shrink             = story.ParseHistory, story.Draw, story.Shrink
	WithGuard, WithImage                   = story.WithGuard, story.WithImage
	Packages, OwnContents, OwnList, Sorted = story.Packages, story.OwnContents, story.OwnList, story.Sorted
)
