// SPDX-License-Identifier: Apache-2.0

// Package config reads digestd's configuration: one flat TOML file and its
// drop-ins, later files winning key by key.
//
// It promises that what it returns is complete and consistent, and that an unknown key or value
// is an error that names the file and suggests the right one. It opens nothing but the
// configuration itself.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/rpmdb/pgp"
	"golang.org/x/sys/unix"
)

// DefaultPath is where the configuration lies; its drop-ins lie in a directory
// of the same name with ".d" appended.
const DefaultPath = "/etc/digestd/digestd.conf"

// Config is the whole configuration. Paths are absolute.
type Config struct {
	Root          string   `toml:"root"`           // the tree whose packages are kept
	DBPath        string   `toml:"dbpath"`         // of rpm, below Root; "" = where rpm keeps it
	State         string   `toml:"state"`          // index, signing key
	Lists         string   `toml:"lists"`          // the directory the kernel reads
	ImageLists    string   `toml:"image-lists"`    // lists that were made when an image was built
	Socket        string   `toml:"socket"`         // for the hooks of package managers
	Keys          string   `toml:"keys"`           // certificates trusted besides rpm's
	Revoked       string   `toml:"revoked"`        // fingerprints, certificates and CRLs of revoked keys
	Blacklist     string   `toml:"blacklist"`      // signed entries for the kernel's .blacklist
	Policy        string   `toml:"policy"`         // policy files of the administrator's
	KernelPoll    string   `toml:"kernel-poll"`    // how often to look into the kernel's .blacklist; see Poll
	Expired       string   `toml:"expired"`        // accept-older-signatures, withdraw
	Bus           string   `toml:"bus"`            // "system", "none" or a D-Bus address
	Mode          string   `toml:"mode"`           // enforce, withhold, audit
	Unsigned      string   `toml:"unsigned"`       // withhold, allow
	Format        string   `toml:"format"`         // tlv, rpm
	Sign          string   `toml:"sign"`           // pkcs7, pgp, none
	SigningKey    string   `toml:"signing-key"`    // where new keys are made; see signer.Create
	KeepOld       string   `toml:"keep-old"`       // none, until-restart
	PolicySigners []string `toml:"policy-signers"` // fingerprints of certificates whose packages bring policy files
	MultiVersion  []string `toml:"multiversion"`   // globs of package names
	Labels        bool     `toml:"labels"`         // keep security.digest_list on files right

	Fapolicyd     string `toml:"fapolicyd"`      // file of trusted files for fapolicyd, "" = none
	Keylime       string `toml:"keylime"`        // runtime policy for Keylime, "" = none
	IMASignatures bool   `toml:"ima-signatures"` // sign executables for IMA, in security.ima

	IMASignatureVersion uint8 `toml:"ima-signature-version"` // 2, or 3 for appraise_type=sigv3

	Guard        string `toml:"guard"`         // off, audit, enforce; of digestd-guard
	GuardStrict  bool   `toml:"guard-strict"`  // libraries that are mapped cannot be opened for writing
	GuardSeal    bool   `toml:"guard-seal"`    // only digestd changes the guard's maps, pins and their mount
	GuardModules string `toml:"guard-modules"` // as Guard, for modules, firmware and kexec images
	GuardDoubt   string `toml:"guard-doubt"`   // audit, enforce: where the snapshot is of another commit

	GuardContainers bool     `toml:"guard-containers"` // containers of root's runtimes run files of their own
	GuardExempt     []string `toml:"guard-exempt"`     // more cgroups whose containers do; see exempt.Settings

	Metrics string `toml:"metrics"` // file of metrics for Prometheus, "" = none; of digestctl metrics

	Anchor       string `toml:"anchor"`        // "off", or where the counter is; see tpm.ParseCounterPlace
	AnchorSecret string `toml:"anchor-secret"` // file with what is needed to use the counter
	// AnchorEndorsement is a file with the password of the TPM's endorsement hierarchy, "" for none.
	AnchorEndorsement string `toml:"anchor-endorsement-password-file"`

	Advisories        string   `toml:"advisories"`         // off, report, keep-out, withdraw
	AdvisoriesGrace   string   `toml:"advisories-grace"`   // until a list is withdrawn: days or weeks, such as 14d; see Grace
	AdvisoriesProtect []string `toml:"advisories-protect"` // globs of names of packages whose lists never go for advisories

	AdvisoriesWithdrawUnderGuard bool `toml:"advisories-withdraw-under-guard"` // withdraw also while the guard enforces

	DeploymentRollback string `toml:"deployment-rollback"` // report, refuse: older packages of another deployment

	AuditTrail string `toml:"audit-trail"` // "system", "none" or the directory of journald's sockets

	Path string `toml:"-"` // the file that Load was given, absolute; "" for Default
}

// Default returns the configuration of a machine that has no file.
func Default() Config {
	return Config{
		Root:       "/",
		State:      "/var/lib/digestd",
		Lists:      "/etc/digest_lists",
		ImageLists: "/usr/lib/digestd/lists",
		Socket:     "/run/digestd/hook.sock",
		Keys:       "/etc/digestd/keys.d",
		Revoked:    "/etc/digestd/revoked.d",
		Blacklist:  "/etc/digestd/blacklist.d",
		Policy:     "/etc/digestd/policy.d",
		KernelPoll: "auto",
		Expired:    "accept-older-signatures",
		Bus:        "system",
		Mode:       "enforce",
		Unsigned:   "withhold",
		Format:     "tlv",
		Sign:       "pkcs7",
		KeepOld:    "none",
		MultiVersion: []string{
			"kernel", "kernel-PAE",
		},
		Labels: true,

		PolicySigners: []string{},

		IMASignatureVersion: 2,

		Guard:        "off",
		GuardModules: "audit",
		GuardDoubt:   "audit",

		GuardContainers: true,
		GuardExempt:     []string{},

		Anchor:       "off",
		AnchorSecret: "/etc/digestd/anchor.secret",

		Advisories:      "report",
		AdvisoriesGrace: "14d",
		AdvisoriesProtect: []string{
			"kernel*", "glibc*", "libc6", "systemd*", "rpm*", "librpm*", "dnf*", "libdnf*", "zypper", "libzypp*", "digestd*", "openssh*", "util-linux*", "bash", "grub2*", "shim*",
		},

		DeploymentRollback: DeploymentReport,

		AuditTrail: "system",
	}
}

var errNotRegular = errors.New("it is not a regular file")

// maxSize bounds a configuration file.
const maxSize = 1 << 20

// Load reads the file at path and its drop-ins, path.d/*.conf in the order of
// their names. A file that is absent leaves the defaults.
func Load(path string) (Config, error) {
	c := Default()
	if err := c.merge(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Config{}, err
	}
	dropIns, err := filepath.Glob(filepath.Join(path+".d", "*.conf"))
	if err != nil {
		return Config{}, fmt.Errorf("cannot list drop-ins of %s: %w", path, err)
	}
	slices.Sort(dropIns)
	for _, file := range dropIns {
		if err := c.merge(file); err != nil {
			return Config{}, err
		}
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("cannot use configuration %s: %w", path, err)
	}
	if c.Path, err = filepath.Abs(path); err != nil {
		return Config{}, fmt.Errorf("cannot use configuration %s: %w", path, err)
	}
	return c, nil
}

func (c *Config) merge(path string) error {
	// Not waiting for the writer of a FIFO.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("cannot read configuration: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("cannot read configuration %s: %w", path, cmp.Or(err, errNotRegular))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return fmt.Errorf("cannot read configuration: %w", err)
	}
	if len(data) > maxSize {
		return fmt.Errorf("cannot read configuration %s: larger than 1 MiB", path)
	}
	meta, err := toml.Decode(string(data), c)
	if err != nil {
		return fmt.Errorf("cannot read configuration %s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0].String()
		return fmt.Errorf("cannot read configuration %s: unknown key %q%s", path, key, suggest(key, keys))
	}
	return nil
}

// choices lists what the keys with a fixed set of values may hold.
var choices = []struct {
	key    string
	value  func(*Config) string
	values []string
}{
	{"mode", func(c *Config) string { return c.Mode }, []string{"enforce", "withhold", "audit"}},
	{"unsigned", func(c *Config) string { return c.Unsigned }, []string{"withhold", "allow"}},
	{"expired", func(c *Config) string { return c.Expired }, []string{"accept-older-signatures", "withdraw"}},
	{"format", func(c *Config) string { return c.Format }, []string{"tlv", "rpm"}},
	{"sign", func(c *Config) string { return c.Sign }, []string{"pkcs7", "pgp", "none"}},
	{"guard", func(c *Config) string { return c.Guard }, []string{"off", "audit", "enforce"}},
	{"guard-modules", func(c *Config) string { return c.GuardModules }, []string{"off", "audit", "enforce"}},
	{"guard-doubt", func(c *Config) string { return c.GuardDoubt }, []string{"audit", "enforce"}},
	{"advisories", func(c *Config) string { return c.Advisories }, []string{AdvisoriesOff, AdvisoriesReport, AdvisoriesKeepOut, AdvisoriesWithdraw}},
	{"deployment-rollback", func(c *Config) string { return c.DeploymentRollback }, []string{DeploymentReport, DeploymentRefuse}},
	{"keep-old", func(c *Config) string { return c.KeepOld }, []string{"none", "until-restart"}},
}

func (c *Config) check() error {
	for _, ch := range choices {
		if v := ch.value(c); !slices.Contains(ch.values, v) {
			return fmt.Errorf("%s = %q: want one of %s%s", ch.key, v, strings.Join(ch.values, ", "), suggest(v, ch.values))
		}
	}
	for _, p := range []struct{ key, path string }{
		{"root", c.Root}, {"state", c.State}, {"lists", c.Lists}, {"socket", c.Socket}, {"keys", c.Keys}, {"revoked", c.Revoked},
		{"blacklist", c.Blacklist}, {"policy", c.Policy},
	} {
		if !filepath.IsAbs(p.path) {
			return fmt.Errorf("%s = %q: want an absolute path", p.key, p.path)
		}
	}
	if _, _, err := c.Poll(); err != nil {
		return err
	}
	if c.DBPath != "" && !filepath.IsAbs(c.DBPath) {
		return fmt.Errorf("dbpath = %q: want an absolute path below root", c.DBPath)
	}
	for _, p := range []struct{ key, path string }{{"fapolicyd", c.Fapolicyd}, {"keylime", c.Keylime}, {"metrics", c.Metrics}, {"image-lists", c.ImageLists}} {
		if p.path != "" && !filepath.IsAbs(p.path) {
			return fmt.Errorf("%s = %q: want an absolute path", p.key, p.path)
		}
	}
	if c.IMASignatureVersion != 2 && c.IMASignatureVersion != 3 {
		return fmt.Errorf("ima-signature-version = %d: want 2 or 3", c.IMASignatureVersion)
	}
	if c.AuditTrail != "system" && c.AuditTrail != "none" && !filepath.IsAbs(c.AuditTrail) {
		return fmt.Errorf(`audit-trail = %q: want "system", "none" or an absolute path`, c.AuditTrail)
	}
	if err := c.checkAdvisories(); err != nil {
		return err
	}
	if err := (exempt.Settings{Named: c.GuardExempt}).Check(); err != nil {
		return fmt.Errorf("guard-exempt: %w", err)
	}
	if err := c.checkAnchor(); err != nil {
		return err
	}
	for i, key := range c.PolicySigners {
		if c.PolicySigners[i] = pgp.ParseFingerprint(key); c.PolicySigners[i] == "" {
			return fmt.Errorf("policy-signers: %q is no fingerprint: want the 40 or 64 hexadecimal digits that digestctl keys list --json prints", key)
		}
	}
	if err := signer.CheckPlace(c.SigningKey); err != nil {
		return fmt.Errorf("signing-key: %w", err)
	}
	// The package's own signature covers its header, so it vouches for a list
	// only if the list is that header.
	if c.Sign == "pgp" && c.Format != "rpm" {
		return errors.New(`sign = "pgp" needs format = "rpm": a package's signature does not cover a tlv list`)
	}
	for _, glob := range c.MultiVersion {
		if _, err := filepath.Match(glob, ""); err != nil {
			return fmt.Errorf("multiversion: %q is not a valid pattern: %w", glob, err)
		}
	}
	return nil
}

// checkAnchor keeps the secret of the counter out of the state directory: what brings an old
// one back must not bring an old secret.
func (c *Config) checkAnchor() error {
	if c.Anchor != "off" {
		if _, err := tpm.ParseCounterPlace(c.Anchor); err != nil {
			return fmt.Errorf(`anchor = %q: want "off", or %s: %w`, c.Anchor, tpm.Scheme, err)
		}
	}
	if !filepath.IsAbs(c.AnchorSecret) {
		return fmt.Errorf("anchor-secret = %q: want an absolute path", c.AnchorSecret)
	}
	if c.AnchorEndorsement != "" && !filepath.IsAbs(c.AnchorEndorsement) {
		return fmt.Errorf("anchor-endorsement-password-file = %q: want an absolute path", c.AnchorEndorsement)
	}
	if rel, err := filepath.Rel(c.State, c.AnchorSecret); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("anchor-secret = %q: want a path outside of the state directory, which may come back from a backup", c.AnchorSecret)
	}
	return nil
}

// The values of advisories.
const (
	AdvisoriesOff      = "off"
	AdvisoriesReport   = "report"
	AdvisoriesKeepOut  = "keep-out"
	AdvisoriesWithdraw = "withdraw"
)

// The values of deployment-rollback.
const (
	DeploymentReport = "report"
	DeploymentRefuse = "refuse"
)

// checkAdvisories checks what becomes of what advisories mend.
func (c *Config) checkAdvisories() error {
	if _, err := c.Grace(); err != nil {
		return err
	}
	for _, glob := range c.AdvisoriesProtect {
		if _, err := filepath.Match(glob, ""); err != nil {
			return fmt.Errorf("advisories-protect: %q is no pattern: %w", glob, err)
		}
	}
	if c.Advisories == AdvisoriesWithdraw && c.Guard == "enforce" && !c.AdvisoriesWithdrawUnderGuard {
		return errors.New(`advisories = "withdraw" while guard = "enforce" can keep programs from starting that this machine needs; ` +
			`set advisories-withdraw-under-guard = true if that is wanted, or advisories = "keep-out"`)
	}
	return nil
}

// Grace is how long after its announcement the list of a package is withdrawn that an
// advisory mends.
func (c *Config) Grace() (time.Duration, error) {
	const day = 24 * time.Hour
	n, unit := strings.TrimSuffix(c.AdvisoriesGrace, "d"), day
	if weeks, is := strings.CutSuffix(c.AdvisoriesGrace, "w"); is {
		n, unit = weeks, 7*day
	}
	count, err := strconv.ParseUint(n, 10, 16)
	if err != nil || n == c.AdvisoriesGrace || count == 0 {
		return 0, fmt.Errorf("advisories-grace = %q: want days or weeks, such as 14d or 2w", c.AdvisoriesGrace)
	}
	return time.Duration(count) * unit, nil
}

// shortestPoll keeps a slip of the pen from keeping the machine busy.
const shortestPoll = 100 * time.Millisecond

// Poll returns how often to look into the kernel's .blacklist where the kernel
// does not tell of changes: 0 for never. With auto, only if it can change at all.
func (c *Config) Poll() (pace time.Duration, auto bool, err error) {
	switch c.KernelPoll {
	case "auto":
		return 5 * time.Minute, true, nil
	case "never":
		return 0, false, nil
	}
	pace, err = time.ParseDuration(c.KernelPoll)
	if err != nil || pace < shortestPoll {
		return 0, false, fmt.Errorf("kernel-poll = %q: want auto, never, or a time of at least %v, such as 30s", c.KernelPoll, shortestPoll)
	}
	return pace, false, nil
}
