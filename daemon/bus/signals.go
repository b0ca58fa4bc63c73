// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
)

func signals() []object.Event {
	text := func(name string) object.Argument { return object.Argument{Name: name, Sig: "s"} }
	small := func(name string) object.Argument { return object.Argument{Name: name, Sig: "u"} }
	number := func(name string) object.Argument { return object.Argument{Name: name, Sig: "t"} }
	return []object.Event{
		{Name: "ListPublished", Doc: "A list became active.", Args: []object.Argument{text("list"), text("nevra")}},
		{Name: "ListWithdrawn", Doc: "A list left the directory.", Args: []object.Argument{text("list"), text("nevra"), text("reason")}},
		{Name: "RollbackRefused", Doc: "A version was kept out because it is older than one that was active.", Args: []object.Argument{text("nevra"), text("reason")}},
		{Name: "KeyRevoked", Doc: "A key was revoked, and `lists` lists left the directory.",
			Args: []object.Argument{text("fingerprint"), text("reason"), small("lists")}},
		{Name: "Denied", Doc: "A content, or versions of a package, were denied.", Args: []object.Argument{text("id"), text("what"), text("reason")}},
		{Name: "DenialLifted", Doc: "A denial was lifted, or expired.", Args: []object.Argument{text("id"), text("what"), text("reason")}},
		{Name: "TamperDetected", Doc: "Something other than digestd changed the list directory: the file is quarantined.", Args: []object.Argument{text("name"), text("reason")}},
		{Name: "TransactionFinished", Doc: "A package transaction ended, with the numbers of lists it published and withdrew.",
			Args: []object.Argument{small("published"), small("withdrawn")}},
		{Name: "JobProgress", Doc: "The progress of a stage of a job; a total of 0 is unknown. At most ten a second.",
			Args: []object.Argument{argJob, text("stage"), number("done"), number("total")}},
		{Name: "JobFinished", Doc: "A job ended: with its result if `ok`, otherwise with an `Error`.",
			Args: []object.Argument{argJob, {Name: "ok", Sig: "b"}, {Name: "result", Sig: "a{sv}"}}},
	}
}

// ListPublished tells that a list became active.
func (s *Server) ListPublished(list, nevra string) {
	s.Send("ListPublished", api.Clean(list), api.Clean(nevra))
}

// ListWithdrawn tells that a list left the directory.
func (s *Server) ListWithdrawn(list, nevra, reason string) {
	s.Send("ListWithdrawn", api.Clean(list), api.Clean(nevra), api.Clean(reason))
}

// RollbackRefused tells that a version was kept out.
func (s *Server) RollbackRefused(nevra, reason string) {
	s.Send("RollbackRefused", api.Clean(nevra), api.Clean(reason))
}

// KeyRevoked tells that a key vouches for nothing any more, and how many lists
// left the directory with it.
func (s *Server) KeyRevoked(fingerprint, reason string, lists uint32) {
	s.Send("KeyRevoked", fingerprint, api.Clean(reason), lists)
}

// Denied tells that a content, or versions of a package, must not be trusted.
func (s *Server) Denied(id, what, reason string) {
	s.Send("Denied", id, api.Clean(what), api.Clean(reason))
}

// DenialLifted tells that a denial was taken back, or expired.
func (s *Server) DenialLifted(id, what, reason string) {
	s.Send("DenialLifted", id, api.Clean(what), api.Clean(reason))
}

// TamperDetected tells that something other than digestd changed the list directory.
func (s *Server) TamperDetected(name, reason string) {
	s.Send("TamperDetected", api.Clean(name), api.Clean(reason))
}

// TransactionFinished tells that a package transaction ended, with the numbers
// of lists it published and withdrew.
func (s *Server) TransactionFinished(published, withdrawn uint32) {
	s.Send("TransactionFinished", published, withdrawn)
}
