// SPDX-License-Identifier: Apache-2.0

package audit

import "strings"

// Priority is the urgency of a record, with the values of syslog(3).
type Priority uint8

// The priorities in use.
const (
	Err     Priority = 3
	Warning Priority = 4
	Notice  Priority = 5
	Info    Priority = 6
)

// Subject names the field of a record that the record is about.
type Subject string

// The subjects.
const (
	Machine Subject = "machine"
	NEVRA   Subject = "nevra"
	Package Subject = "package"
	Key     Subject = "key"
	List    Subject = "list"
)

// Kind describes one kind of decision.
type Kind struct {
	Name     string   // its name in the index
	ID       string   // MESSAGE_ID, which never changes
	Priority Priority // of its records
	Subject  Subject  // what its records are about
	Refusal  bool     // something was refused: the record also goes to the kernel's audit trail
	Words    string   // phrase after the subject, for people; {reason} stands for the event's reason
	Title    string   // title of its catalog entry
	Text     string   // text of its catalog entry: what it means, and what to do
}

// The names of the kinds in the index. Code that records an event uses one of these constants; a
// test checks that.
const (
	KindFirstSync        = "first-sync"
	KindPublished        = "published"
	KindWithdrawn        = "withdrawn"
	KindWithheld         = "withheld"
	KindRefused          = "refused"
	KindRollbackRefused  = "rollback-refused"
	KindRollbackWithheld = "rollback-withheld"
	KindRollbackAllowed  = "rollback-allowed"
	KindGranted          = "granted"
	KindGrantUsed        = "grant-used"
	KindGrantRevoked     = "grant-revoked"
	KindFloorSet         = "floor-set"
	KindFloorCleared     = "floor-cleared"
	KindAdvised          = "advised"
	KindAdvisoryDue      = "advisory-due"
	KindOriginForgotten  = "origin-forgotten"
	KindKeyRevoked       = "key-revoked"
	KindKeyRestored      = "key-restored"
	KindSignerChanged    = "signer-changed"
	KindSignerEnrolled   = "signer-enrolled"
	KindTampered         = "tampered"
	KindIndexRecovered   = "index-recovered"
	KindRecordsLost      = "records-lost"
	KindDenied           = "denied"
	KindDenialLifted     = "denial-lifted"
	KindDenialExpired    = "denial-expired"
	KindReduced          = "reduced"
	KindOrderChanged     = "order-changed"
	KindFound            = "found"
	KindFixed            = "fixed"
	KindVerified         = "verified"
	KindGuardSwitched    = "guard-switched"
	KindGuardLearned     = "guard-learned"
	KindGuardExempted    = "guard-exempted"
	KindGuardRefused     = "guard-refused"
	KindGuardAudited     = "guard-audited"
	KindAnchorEnabled    = "anchor-enabled"
	KindAnchorDisabled   = "anchor-disabled"
	KindAnchorRebound    = "anchor-rebound"
	KindAnchorAccepted   = "anchor-accepted"
	KindAnchorDoubt      = "anchor-doubt"
	KindPolicyAdopted    = "policy-adopted"
	KindPolicyLapsed     = "policy-lapsed"
	KindPolicyForgotten  = "policy-forgotten"
	KindPolicyRefused    = "policy-refused"

	KindDeploymentChanged = "deployment-changed"
	KindDeploymentOlder   = "deployment-older"
)

// Kinds returns the table of kinds, in the order of the manual. Callers must not change it.
func Kinds() []Kind { return table }

// table has an entry for each kind. To add a kind, add a constant above, take an ID from
// systemd-id128 new, and make the catalog again: go test ./daemon/audit -run TestCatalog
// -update.
var table = []Kind{
	{
		Name: KindFirstSync, ID: "1862f61d6edd4756b4da09250fb67797", Priority: Notice, Subject: Machine,
		Words: "lists are in step with the packages for the first time",
		Title: "digestd compared the lists with this machine's packages for the first time",
		Text: "This was the first comparison with rpm's database. One record stands for all\n" +
			"lists that it published; packages that got none have a record each.",
	},
	{
		Name: KindPublished, ID: "17c6d95cfdb3408bac94c71c4d4bc4a9", Priority: Info, Subject: NEVRA,
		Words: "is vouched for: its list is active",
		Title: "The digest list of @DIGESTD_NEVRA@ is active",
		Text: "The kernel finds the digests of this package's files from now on. Counter\n" +
			"@DIGESTD_COUNTER@ is the number of this activation; it never falls.",
	},
	{
		Name: KindWithdrawn, ID: "75e6047fd091470a8b46db2956c77ece", Priority: Info, Subject: NEVRA,
		Words: "is no longer vouched for: its list was withdrawn",
		Title: "The digest list of @DIGESTD_NEVRA@ was withdrawn",
		Text: "The list left the directory (@DIGESTD_REASON@). Programs of the package that\n" +
			"are running continue to run, but cannot be started again.",
	},
	{
		Name: KindWithheld, ID: "31eeb42c37e14afc81e8dc541693a44b", Priority: Warning, Subject: NEVRA, Refusal: true,
		Words: "is installed, but not vouched for",
		Title: "@DIGESTD_NEVRA@ is installed without a digest list",
		Text: "The package is installed, but no trusted key vouches for it\n" +
			"(@DIGESTD_REASON@). If the kernel enforces lists, its programs will not\n" +
			"start.\n" +
			"\n" +
			"See what is missing: digestctl show @DIGESTD_PACKAGE@",
	},
	{
		Name: KindRefused, ID: "b590ccd08a2d464597a31d424ff54663", Priority: Warning, Subject: NEVRA, Refusal: true,
		Words: "was refused: the transaction was stopped",
		Title: "@DIGESTD_NEVRA@ was refused",
		Text: "A package manager was about to install this package and was stopped before\n" +
			"anything changed (@DIGESTD_REASON@).",
	},
	{
		Name: KindRollbackRefused, ID: "4348b3e0897c45649f73a9657c38dc2a", Priority: Warning, Subject: NEVRA, Refusal: true,
		Words: "was refused: it is older than the version that was active here",
		Title: "@DIGESTD_NEVRA@ was refused: it is older than what was active",
		Text: "A package manager was about to go back to a version that was superseded on\n" +
			"this machine, and was stopped before anything changed. Old versions have\n" +
			"known weaknesses.\n" +
			"\n" +
			"If you want this version: digestctl rollback grant @DIGESTD_NEVRA@ --reason WHY",
	},
	{
		Name: KindRollbackWithheld, ID: "8c2c6f6a04a447948ab251215ddef627", Priority: Warning, Subject: NEVRA, Refusal: true,
		Words: "is installed without a list: it is older than the version that was active here",
		Title: "@DIGESTD_NEVRA@ has no digest list: it is older than what was active",
		Text: "A version that was superseded on this machine was installed again. It is not\n" +
			"vouched for.\n" +
			"\n" +
			"If you want this version: digestctl rollback grant @DIGESTD_NEVRA@ --reason WHY",
	},
	{
		Name: KindRollbackAllowed, ID: "ff471069cb7341568b948a55c8db1a4c", Priority: Warning, Subject: NEVRA,
		Words: "is older than the version that was active here; this was only reported",
		Title: "@DIGESTD_NEVRA@ is active though older than what was active before",
		Text: "The configuration says mode = \"audit\", or the machine was booted into a\n" +
			"deployment that has this version: versions that were superseded are reported and\n" +
			"not stopped.",
	},
	{
		Name: KindGranted, ID: "f8afeb89a9b74256a28c0188420b6769", Priority: Notice, Subject: NEVRA,
		Words: "may be installed once, although it is older",
		Title: "An administrator granted a rollback to @DIGESTD_NEVRA@",
		Text: "User @DIGESTD_ACTOR_UID@ permitted the package to go back to exactly this\n" +
			"version, once.\n" +
			"\n" +
			"To revoke the grant: digestctl rollback revoke @DIGESTD_NEVRA@",
	},
	{
		Name: KindGrantUsed, ID: "f90537913d9f4325b8c3007c30d1c673", Priority: Notice, Subject: NEVRA,
		Words: "was installed by a grant, which is used up",
		Title: "@DIGESTD_NEVRA@ was installed by a grant",
		Text: "The version is older than what was active on this machine; an administrator\n" +
			"had granted it. The grant is used up.",
	},
	{
		Name: KindGrantRevoked, ID: "67123abe176745afa3a86ec399f4cebb", Priority: Notice, Subject: NEVRA,
		Words: "may not be installed any more: the grant was revoked",
		Title: "The grant for @DIGESTD_NEVRA@ was revoked",
		Text:  "User @DIGESTD_ACTOR_UID@ revoked a grant that was not used.",
	},
	{
		Name: KindFloorSet, ID: "cc27e27666044a7da8780aa974655570", Priority: Notice, Subject: Package,
		Words: "has a floor: no version below {reason} may be active",
		Title: "@DIGESTD_PACKAGE@ has a floor of @DIGESTD_REASON@",
		Text: "User @DIGESTD_ACTOR_UID@ decided that no version of this package below\n" +
			"@DIGESTD_REASON@ may be active here.",
	},
	{
		Name: KindFloorCleared, ID: "8c5bcdb6d4b94da2a3108ce0b1f23a95", Priority: Notice, Subject: Package,
		Words: "no longer has a floor",
		Title: "@DIGESTD_PACKAGE@ no longer has a floor",
		Text: "User @DIGESTD_ACTOR_UID@ removed the floor of this package. The highest\n" +
			"version that was active here still keeps older versions out.",
	},
	{
		Name: KindAdvised, ID: "833d4099d30b459586749974e583a2a1", Priority: Notice, Subject: Machine,
		Words: "applies new advisories of {reason}",
		Title: "digestd read new advisories",
		Text: "The advisories of @DIGESTD_REASON@ raised floors: no version below them is\n" +
			"installed from now on, where the setting advisories says so. Installed versions\n" +
			"below them are reported.\n" +
			"\n" +
			"See them: digestctl advisories list",
	},
	{
		Name: KindAdvisoryDue, ID: "dcc3e3b69f9444d88d6476855d2b36ca", Priority: Warning, Subject: NEVRA,
		Words: "has a flaw that an advisory fixes: its list will be withdrawn",
		Title: "The digest list of @DIGESTD_NEVRA@ will be withdrawn",
		Text: "An advisory fixes a flaw that this version has. If the package is not updated\n" +
			"in time, digestd withdraws its list, and where the kernel enforces lists its\n" +
			"programs will not start.\n" +
			"\n" +
			"See when and why: digestctl advisories why @DIGESTD_PACKAGE@",
	},
	{
		Name: KindOriginForgotten, ID: "ce2c2b088bae4877976523bd999d50f2", Priority: Notice, Subject: Machine,
		Words: "forgot all that {reason} said",
		Title: "digestd forgot the floors of @DIGESTD_REASON@",
		Text: "User @DIGESTD_ACTOR_UID@ removed all floors of this origin. Its next advisories\n" +
			"apply again.",
	},
	{
		Name: KindKeyRevoked, ID: "33657a270f7049ddbd0e873da0b867e6", Priority: Warning, Subject: Key,
		Words: "is revoked: it no longer vouches for packages",
		Title: "Key @DIGESTD_KEY@ no longer vouches for packages",
		Text: "The key was revoked by @DIGESTD_REASON@. Every list that depended on it is\n" +
			"withdrawn. Programs that are running continue to run.\n" +
			"\n" +
			"See what that means here: digestctl keys show @DIGESTD_KEY@",
	},
	{
		Name: KindKeyRestored, ID: "6134a05871674514b32f14a950e7a242", Priority: Notice, Subject: Key,
		Words: "is trusted again: its revocation was lifted",
		Title: "Key @DIGESTD_KEY@ is trusted again",
		Text: "User @DIGESTD_ACTOR_UID@ lifted a revocation. Packages that the key signed\n" +
			"are vouched for again.",
	},
	{
		Name: KindSignerChanged, ID: "683167b8e1014cc59ce455b1e45ea770", Priority: Notice, Subject: Key,
		Words: "signs the lists from now on",
		Title: "Another key signs the digest lists",
		Text: "The lists of this machine are signed by the key @DIGESTD_KEY@ from now on.\n" +
			"The kernel must know its certificate: see digestctl keys.",
	},
	{
		Name: KindSignerEnrolled, ID: "5a059545e11246d592c277a2926b81a6", Priority: Notice, Subject: Key,
		Words: "is known to the kernel",
		Title: "The kernel knows the key that signs the digest lists",
		Text:  "The certificate @DIGESTD_KEY@ is in the kernel's keyring (@DIGESTD_REASON@).",
	},
	{
		Name: KindTampered, ID: "acae12ddd4cc4d3bb10e359fa5f9c7f4", Priority: Err, Subject: List,
		Words: "was changed by something other than digestd",
		Title: "Something other than digestd changed the list directory: @DIGESTD_LIST@",
		Text: "Something other than digestd added, changed or removed this file in the list\n" +
			"directory. It is kept in quarantine if there was anything to keep and room for\n" +
			"it, and digestd publishes its own list again. If there are many cases, one\n" +
			"record that names the directory stands for several of them.\n" +
			"\n" +
			"Find out which program did this; see: digestctl list quarantined",
	},
	{
		Name: KindIndexRecovered, ID: "bca5dac2d64f424a85b1f0f22059737f", Priority: Err, Subject: Machine,
		Words: "the index was damaged, lost or rolled back",
		Title: "digestd's index was damaged, lost or rolled back",
		Text: "digestd may no longer know which versions were superseded, except for installed packages.\n" +
			"Check the disk, and who had access to the state directory. Set your floors\n" +
			"again; to acknowledge this: digestctl sync",
	},
	{
		Name: KindRecordsLost, ID: "d51c16d9493f4e8f84814ffead36a49f", Priority: Err, Subject: Machine,
		Words: "decisions were dropped before the journal took them",
		Title: "Records of decisions were lost",
		Text: "The journal was unavailable for so long that digestd had to drop the oldest\n" +
			"records of decisions that were waiting for it.",
	},
	{
		Name: KindDenied, ID: "172f70a4b3c244179c15c4c877717f1a", Priority: Notice, Subject: Package,
		Words: "is denied by the owner of this machine",
		Title: "@DIGESTD_PACKAGE@ is denied",
		Text: "User @DIGESTD_ACTOR_UID@ denied this, whatever its package's signature says.\n" +
			"Lists that would vouch for it are withdrawn or reduced.",
	},
	{
		Name: KindDenialLifted, ID: "2ea27f6d21914f8f9c1efbae3e3939e8", Priority: Notice, Subject: Package,
		Words: "is no longer denied",
		Title: "@DIGESTD_PACKAGE@ is no longer denied",
		Text:  "User @DIGESTD_ACTOR_UID@ lifted a denial.",
	},
	{
		Name: KindDenialExpired, ID: "7e4250aef6034892a80bf853ea2ce88f", Priority: Notice, Subject: Package,
		Words: "is no longer denied: the denial expired",
		Title: "The denial of @DIGESTD_PACKAGE@ has ended",
		Text:  "The denial had a time limit, which has passed.",
	},
	{
		Name: KindReduced, ID: "958dff594e3440acb8d1bbb7e018b554", Priority: Notice, Subject: NEVRA,
		Words: "is vouched for without its denied files",
		Title: "The digest list of @DIGESTD_NEVRA@ leaves out what is denied",
		Text: "An administrator denied some files of this package; its list\n" +
			"was made again without them.",
	},
	{
		Name: KindOrderChanged, ID: "11b9cae69554461a81f2db007fc27a21", Priority: Notice, Subject: Machine,
		Words: "the order in which lists are read was changed",
		Title: "The order in which the kernel reads lists was changed",
		Text: "User @DIGESTD_ACTOR_UID@ numbered the lists, removed their numbers, or\n" +
			"switched prefetch on or off. The lists vouch for the same files as before,\n" +
			"but the PCR has another value after the next boot.\n" +
			"\n" +
			"See the order: digestctl order show",
	},
	{
		Name: KindFound, ID: "c779e2c56b75492b90c79f540c1495bb", Priority: Warning, Subject: Package,
		Words: "differs from its list",
		Title: "A verification found a difference in @DIGESTD_PACKAGE@",
		Text: "A file on this machine differs from its digest list (@DIGESTD_REASON@).\n" +
			"\n" +
			"See why: digestctl why FILE",
	},
	{
		Name: KindFixed, ID: "54319cdc2a6b4a89b8db6adf8464a34a", Priority: Notice, Subject: Package,
		Words: "differed from its list and was fixed",
		Title: "A verification fixed a difference in @DIGESTD_PACKAGE@",
		Text:  "A verification found a difference (@DIGESTD_REASON@) and fixed it.",
	},
	{
		Name: KindVerified, ID: "d682c436d319472a93fcb2bc3bc7095c", Priority: Info, Subject: Machine,
		Words: "the files in active lists were verified",
		Title: "The machine's files were verified",
		Text: "Every file that an active list vouches for was read and compared\n" +
			"(@DIGESTD_REASON@).",
	},
	{
		Name: KindGuardSwitched, ID: "185386b0caaf4bc79d66fc852c061935", Priority: Notice, Subject: Machine,
		Words: "the guard in the kernel is in mode {reason}",
		Title: "The guard in the kernel is in mode @DIGESTD_REASON@",
		Text: "User @DIGESTD_ACTOR_UID@ put the guard into this mode. In mode enforce the kernel\n" +
			"runs only files in active lists; in mode audit it runs everything and reports\n" +
			"the other files; in mode off it checks nothing.\n" +
			"\n" +
			"See what it does now: digestctl guard status. To turn it off: digestctl guard\n" +
			"off, or digestd.guard=off on the kernel's command line.",
	},
	{
		Name: KindGuardLearned, ID: "fd7b8d66d5bb47d083dc34b9d5187583", Priority: Notice, Subject: Package,
		Words: "now includes files that the guard refused",
		Title: "@DIGESTD_PACKAGE@ vouches for files that the guard refused",
		Text: "User @DIGESTD_ACTOR_UID@ added files that the guard refused, or would have\n" +
			"refused, to an own list. They may run from now on.\n" +
			"\n" +
			"See the files: digestctl show --files @DIGESTD_LIST@",
	},
	{
		Name: KindGuardExempted, ID: "9ba4f9c07c444237ae7e2faa312fc384", Priority: Notice, Subject: Machine,
		Words: "the containers that are exempt from the guard changed ({reason})",
		Title: "The containers that are exempt from the guard changed",
		Text: "User @DIGESTD_ACTOR_UID@ exempted the containers of a cgroup from the guard, or\n" +
			"ended that (@DIGESTD_REASON@): @DIGESTD_TEXT@. Containers that are exempt may\n" +
			"run files that no list has, until the machine starts again; \"force\" means that\n" +
			"users other than root can start them.\n" +
			"\n" +
			"See what is exempt: digestctl guard status. To end it: digestctl guard exempt\n" +
			"--end GROUP.",
	},
	{
		Name: KindGuardRefused, ID: "64d31e3ffd28455e9b8794823805a680", Priority: Warning, Subject: Machine,
		Words: "the guard in the kernel refused a file",
		Title: "The guard in the kernel refused a file",
		Text: "A process of user @DIGESTD_ACTOR_UID@ tried to run, map or load a file that\n" +
			"the guard does not allow (@DIGESTD_REASON@):\n" +
			"@DIGESTD_TEXT@.\n" +
			"\n" +
			"See all refusals and their reasons: digestctl guard denials. To let\n" +
			"this file run: digestctl guard learn. To turn the guard off: digestctl guard off, or\n" +
			"digestd.guard=off on the kernel's command line.",
	},
	{
		Name: KindGuardAudited, ID: "fadf6cd111d0461d803b8fdb0e9b43a1", Priority: Notice, Subject: Machine,
		Words: "the guard in the kernel would refuse a file in mode enforce",
		Title: "The guard in the kernel would refuse a file in mode enforce",
		Text: "A process of user @DIGESTD_ACTOR_UID@ ran, mapped or loaded a file that the\n" +
			"guard would refuse in mode enforce (@DIGESTD_REASON@):\n" +
			"@DIGESTD_TEXT@.\n" +
			"\n" +
			"See all refusals and their reasons: digestctl guard denials. To let this file run\n" +
			"in mode enforce: digestctl guard learn.",
	},
	{
		Name: KindAnchorEnabled, ID: "c8d34f722cf74684b55019a2214424f2", Priority: Notice, Subject: Machine,
		Words: "a counter in the TPM anchors the index from now on",
		Title: "A counter in the TPM anchors digestd's index",
		Text: "User @DIGESTD_ACTOR_UID@ bound the index to a counter in the TPM, which stands at\n" +
			"@DIGESTD_REASON@. An older state directory is noticed from now on.\n" +
			"\n" +
			"See how both stand: digestctl anchor status",
	},
	{
		Name: KindAnchorDisabled, ID: "978c2405178d4940b96ae0a75f787577", Priority: Warning, Subject: Machine,
		Words: "no counter anchors the index any more",
		Title: "No counter anchors digestd's index any more",
		Text: "User @DIGESTD_ACTOR_UID@ disabled the anchor. An older state directory is not\n" +
			"noticed any more.",
	},
	{
		Name: KindAnchorRebound, ID: "e033b72bdae24221afe981e727e4e423", Priority: Warning, Subject: Machine,
		Words: "another counter in the TPM anchors the index from now on",
		Title: "Another counter in the TPM anchors digestd's index",
		Text: "User @DIGESTD_ACTOR_UID@ bound the index to a new counter, which stands at\n" +
			"@DIGESTD_REASON@: the TPM was cleared, or the disk is in another machine.",
	},
	{
		Name: KindAnchorAccepted, ID: "9f5d24aa83c64da88b6b821279cb4fd7", Priority: Warning, Subject: Machine,
		Words: "an older index was accepted",
		Title: "An older index was accepted",
		Text: "User @DIGESTD_ACTOR_UID@ accepted that the index is older than what was decided on\n" +
			"this machine. Versions, floors, denials and revocations that came later are\n" +
			"forgotten, and so are all grants that were not used.\n" +
			"\n" +
			"Set again what is missing: digestctl floor, digestctl deny, digestctl keys revoke",
	},
	{
		Name: KindAnchorDoubt, ID: "b7809cf9dd694bddb79a521f397c40b1", Priority: Err, Subject: Machine,
		Words: "the index may be older than what was decided here: {reason}",
		Title: "digestd's index may be older than what was decided here",
		Text: "The counter in the TPM does not agree with the index:\n" +
			"@DIGESTD_TEXT@.\n" +
			"\n" +
			"Find out who replaced the state directory, the disk or the TPM. See both, and\n" +
			"the ways to go on: digestctl anchor status",
	},
	{
		Name: KindPolicyAdopted, ID: "dc252033b0704f5a801e2c60e9de2d9f", Priority: Notice, Subject: Package,
		Words: "is in force: {reason}",
		Title: "The policy @DIGESTD_PACKAGE@ is in force",
		Text: "A policy file is new or changed. Its rules replace its former ones from now on:\n" +
			"@DIGESTD_TEXT@.\n" +
			"\n" +
			"See its rules: digestctl policy show",
	},
	{
		Name: KindPolicyLapsed, ID: "e16479b55e044998892efe1f0a26d653", Priority: Notice, Subject: Package,
		Words: "does not count any more: {reason}",
		Title: "The file of @DIGESTD_PACKAGE@ does not count any more",
		Text: "Its package was removed, or the file was changed (@DIGESTD_REASON@). Its\n" +
			"certificates, exemptions and protected names have ended. Its floors, denials\n" +
			"and revocations stay until an administrator ends them:\n" +
			"digestctl policy forget NAME --reason WHY",
	},
	{
		Name: KindPolicyForgotten, ID: "c028db82e1f345b89ddf9bfebc6e2e4f", Priority: Notice, Subject: Package,
		Words: "says nothing here any more",
		Title: "The rules of @DIGESTD_PACKAGE@ have ended",
		Text: "User @DIGESTD_ACTOR_UID@ ended the rules that had stayed of a policy whose file\n" +
			"is gone, or a new version of its package does not contain the file.",
	},
	{
		Name: KindPolicyRefused, ID: "221846770bd54e80a39cecb38dbfa6ca", Priority: Warning, Subject: Package, Refusal: true,
		Words: "is refused as a whole: {reason}",
		Title: "The file of @DIGESTD_PACKAGE@ is refused",
		Text: "A policy file has an error, or a rule that no policy may have. None of its\n" +
			"rules apply, and its former ones stay in force:\n" +
			"@DIGESTD_REASON@\n" +
			"\n" +
			"To check a file: digestctl policy check FILE",
	},
	{
		Name: KindDeploymentChanged, ID: "42bd722539134d6499873bcf7c60122a", Priority: Notice, Subject: Machine,
		Words: "was booted into another deployment, {reason}",
		Title: "The machine was booted into @DIGESTD_REASON@",
		Text: "digestd worked on another deployment or snapshot before. It compares the lists\n" +
			"with the packages of this one.",
	},
	{
		Name: KindDeploymentOlder, ID: "adcd105840af4e0c9e8eb550306b0a31", Priority: Warning, Subject: Machine,
		Words: "went back to older packages by booting {reason}",
		Title: "Packages of @DIGESTD_REASON@ are older than what was active here",
		Text: "The machine was booted into a deployment or snapshot whose packages are older\n" +
			"than those that were active here: a rollback of the whole system. Old versions\n" +
			"have known weaknesses. The setting deployment-rollback says whether the packages\n" +
			"have lists all the same.\n" +
			"\n" +
			"See how many there are, and what to do: digestctl status",
	},
}

// Says returns the phrase of a kind with the reason inserted.
func (k Kind) Says(reason string) string { return strings.ReplaceAll(k.Words, "{reason}", reason) }

// Lookup returns the kind of that name. An unknown kind, from another version of digestd, gets a
// MESSAGE_ID as well.
func Lookup(name string) Kind {
	for _, k := range table {
		if k.Name == name {
			return k
		}
	}
	return Kind{Name: name, ID: "898f730f43744369899464c934ec3883", Priority: Notice, Subject: Package, Words: name}
}
