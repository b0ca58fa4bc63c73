// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
)

// Version is the protocol version that starts every frame.
const Version = 1

// DefaultSocket is the path of the daemon's socket for hooks.
const DefaultSocket = "/run/digestd/hook.sock"

// Limits of what a frame may hold. Lengths are in bytes.
const (
	MaxString   = 4096     // any string but a list's name
	MaxName     = 255      // a list's name: a file name, and an extended attribute's value
	MaxNotes    = 256      // messages for people in one reply
	MaxElements = 200_000  // elements of one transaction
	MaxBegin    = 16 << 20 // payload of Begin
	MaxHeader   = 64 << 20 // payload of Header
	MaxList     = 8 << 20  // payload of List
	MaxFileSig  = 1024     // one signature of a file
	MaxControl  = 64 << 10 // payload of every other message
)

// Kind is the type byte of a frame.
type Kind uint8

// The kinds of message. Replies have the high bit set.
const (
	KindBegin     Kind = 0x01
	KindHeader    Kind = 0x02
	KindInstalled Kind = 0x03
	KindFailed    Kind = 0x04
	KindRemoved   Kind = 0x05
	KindEnd       Kind = 0x06
	KindHint      Kind = 0x07
	KindVerdict   Kind = 0x81
	KindList      Kind = 0x82
	KindAck       Kind = 0x83
	KindError     Kind = 0xff
)

func (k Kind) String() string {
	switch k {
	case KindBegin:
		return "BEGIN"
	case KindHeader:
		return "HEADER"
	case KindInstalled:
		return "INSTALLED"
	case KindFailed:
		return "FAILED"
	case KindRemoved:
		return "REMOVED"
	case KindEnd:
		return "END"
	case KindHint:
		return "HINT"
	case KindVerdict:
		return "VERDICT"
	case KindList:
		return "LIST"
	case KindAck:
		return "ACK"
	case KindError:
		return "ERROR"
	}
	return fmt.Sprintf("type %#02x", uint8(k))
}

// limit returns the largest payload of a frame of this kind, and whether the kind exists.
func (k Kind) limit() (int, bool) {
	switch k {
	case KindBegin:
		return MaxBegin, true
	case KindHeader:
		return MaxHeader, true
	case KindList:
		return MaxList, true
	case KindInstalled, KindFailed, KindRemoved, KindEnd, KindHint, KindVerdict, KindAck, KindError:
		return MaxControl, true
	}
	return 0, false
}

// Message is one of the pointer types of this package: *[Begin], *[Header],
// *[Installed], *[Failed], *[Removed], *[End], *[Hint] from the hook;
// *[Verdict], *[List], *[Ack], *[Error] from the daemon.
type Message interface {
	Kind() Kind
	encode(*encoder)
	decode(*decoder)
}

// ElementType is the direction of a transaction element, with the values of
// rpmElementType (rpm/rpmte.h).
type ElementType uint8

// The directions. RPMDB elements are installed packages that rpm only looks at.
const (
	Added          ElementType = 1
	RemovedElement ElementType = 2
	RPMDB          ElementType = 4
	Restored       ElementType = 8
)

func (t ElementType) valid() bool {
	return t == Added || t == RemovedElement || t == RPMDB || t == Restored
}

// Flags of a transaction that matter to a daemon, with the values of
// rpmtransFlags (rpm/rpmts.h).
const (
	FlagTest   = 1 << 0 // nothing will be changed: dnf's first run
	FlagJustDB = 1 << 3 // only the database is changed, no file

	// FlagCheck is digestd's own: a package manager asks about packages that it means to
	// install. Only Headers follow such a Begin.
	FlagCheck = 1 << 31
)

// Begin begins a transaction. The daemon answers with a Verdict.
type Begin struct {
	Plugin  string // name and version of the hook
	RPM     string // version of librpm
	Root    string // as rpm names it, with a trailing slash
	RootDev uint64 // identity of Root in the hook's view; 0, 0 if unknown
	RootIno uint64
	DBPath  string // the package database's directory, below Root
	DBDev   uint64 // identity of DBPath; 0, 0 if it does not exist yet
	DBIno   uint64
	Flags   uint32 // rpmtransFlags
	TID     uint32 // rpm's transaction id

	Elements []Element // other messages refer to an element by its index here
}

// Test reports whether the transaction is only a trial.
func (m *Begin) Test() bool { return m.Flags&(FlagTest|FlagCheck) != 0 }

// Check reports whether the transaction is only a question.
func (m *Begin) Check() bool { return m.Flags&FlagCheck != 0 }

// JustDB reports whether the transaction leaves files alone.
func (m *Begin) JustDB() bool { return m.Flags&FlagJustDB != 0 }

// Element is a package that a transaction installs, erases or examines. Its name comes from the
// package manager; nobody has signed it.
type Element struct {
	Type       ElementType
	DBInstance uint32 // the header's number in rpm's database, 0 if it is not installed
	NEVRA      nevra.NEVRA
}

// Header announces that an added package is about to be unpacked, or a restored one repaired.
// The daemon answers with a List.
//
// Region and the data of Signatures alias the buffer of the Conn that read the message, until
// its next Read.
type Header struct {
	Element    uint32
	Type       ElementType
	DBInstance uint32
	Region     []byte             // RPMTAG_HEADERIMMUTABLE as rpm stores it: no magic
	Signatures []header.Signature // OpenPGP packets in binary, whatever their tag
}

// Installed reports that a package's files and database entry are in place.
type Installed struct {
	Element    uint32
	DBInstance uint32 // its new number in rpm's database
}

// Failed reports that a package was not, or only partly, installed or erased.
type Failed struct {
	Element uint32
	Result  int32 // rpmRC as rpm gave it
}

// Removed reports that a package is erased.
type Removed struct {
	Element uint32
	Digest  [32]byte // SHA-256 of magic and region (RPMTAG_SHA256HEADER); zero if the header has no region
}

// End ends a transaction. The daemon answers with an Ack.
type End struct {
	Failed uint32 // elements that rpm counts as failed
}

// Hint reports, instead of Begin, that packages may have changed; the daemon compares with rpm's
// database.
type Hint struct {
	Plugin  string // as in Begin
	RootDev uint64
	RootIno uint64
}

// Decision is the daemon's decision about a transaction.
type Decision uint8

// The decisions on a transaction.
const (
	Proceed    Decision = 0
	Refuse     Decision = 1
	NotManaged Decision = 2 // about packages that this daemon does not keep: send nothing more
	Assured    Decision = 3 // proceed, and no List will be RefuseList
)

func (d Decision) String() string {
	switch d {
	case Proceed:
		return "proceed"
	case Refuse:
		return "refuse"
	case NotManaged:
		return "not managed"
	case Assured:
		return "proceed, assured"
	}
	return fmt.Sprintf("decision %d", uint8(d))
}

// Verdict answers a Begin.
type Verdict struct {
	Decision Decision
	Notes    []Note
}

// ListDecision is the daemon's decision about a package.
type ListDecision uint8

// The decisions on a package.
const (
	ListNamed  ListDecision = 0 // label its files with Name
	NoList     ListDecision = 1 // install it without a list, and remove older labels
	RefuseList ListDecision = 2 // do not install it
)

func (d ListDecision) String() string {
	switch d {
	case ListNamed:
		return "list"
	case NoList:
		return "no list"
	case RefuseList:
		return "refuse"
	}
	return fmt.Sprintf("decision %d", uint8(d))
}

// List answers a Header.
type List struct {
	Element  uint32
	Decision ListDecision
	Name     string // of the list, a file name; empty unless Decision is ListNamed
	// Signatures are for some of the package's files, by ascending index.
	Signatures []FileSignature
	Notes      []Note
}

// FileSignature is the value of security.ima for one file of a package.
type FileSignature struct {
	File  uint32 // its place in the header's arrays
	Value []byte // the attribute, at most MaxFileSig bytes
}

// Ack answers an End: lists and index are durable.
type Ack struct {
	Notes []Note
}

// Error is the reason why the daemon closes the connection.
type Error struct {
	Text string
}

// Level is the importance of a note.
type Level uint8

// The levels.
const (
	LevelInfo    Level = 0
	LevelWarning Level = 1
	LevelError   Level = 2
)

// Note is a message for the person who runs the package manager, one line.
type Note struct {
	Level Level
	Text  string
}

func (*Begin) Kind() Kind     { return KindBegin }
func (*Header) Kind() Kind    { return KindHeader }
func (*Installed) Kind() Kind { return KindInstalled }
func (*Failed) Kind() Kind    { return KindFailed }
func (*Removed) Kind() Kind   { return KindRemoved }
func (*End) Kind() Kind       { return KindEnd }
func (*Hint) Kind() Kind      { return KindHint }
func (*Verdict) Kind() Kind   { return KindVerdict }
func (*List) Kind() Kind      { return KindList }
func (*Ack) Kind() Kind       { return KindAck }
func (*Error) Kind() Kind     { return KindError }
