// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/rpmfile"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/policy/fleet"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// offline judges packages without a digestd, by the keys and packages of a root and by policy
// files.
type offline struct {
	ring      *pgp.Keyring
	floors    policy.OriginFloors
	denials   *policy.Denials
	installed map[string][]nevra.NEVRA // by name
	now       time.Time
}

// newOffline reads what packages are judged by.
func newOffline(ctx context.Context, root string, files []string) (*offline, error) {
	o := &offline{installed: map[string][]nevra.NEVRA{}, now: time.Now()}
	options := pgp.Options{Revoked: map[string]*pgp.Revocation{}}
	var floors []policy.OriginFloor
	var denials []policy.Denial
	for _, path := range files {
		data, err := userfile.ReadBounded(ctx, path, fleet.MaxSize)
		if err != nil {
			return nil, err
		}
		p, err := fleet.Parse(data, true)
		if err != nil {
			return nil, &api.Error{Code: api.InvalidArgument, Message: "cannot read " + path + ": " + err.Error(), Advice: "fix it, then: digestctl policy check " + path}
		}
		origin := "policy:" + strings.TrimSuffix(filepath.Base(path), fleet.Suffix)
		for _, f := range p.Floors {
			floors = append(floors, policy.OriginFloor{Package: f.Package, Arch: f.Arch, EVR: f.EVR, Origin: origin, Reason: f.Reason})
		}
		for i, d := range p.Denials {
			d.By, d.Foreign, d.ID = origin, true, fmt.Sprintf("%s#%d", origin, i+1)
			denials = append(denials, d)
		}
		for _, r := range p.Revocations {
			options.Revoked[r.Key] = &pgp.Revocation{Hard: true, Time: o.now, Reason: r.Reason}
		}
	}
	o.floors, o.denials = policy.NewOriginFloors(floors), policy.NewDenials(denials, o.now)
	certs, err := o.readRoot(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("cannot read what is installed below %s: %w", root, err)
	}
	more, _ := rpmdb.CertsDir(filepath.Join(root, "etc/digestd/keys.d")) // one that cannot be read vouches for nothing
	o.ring = options.NewKeyring(append(certs, more...)...)
	return o, nil
}

// readRoot reads the keyring and the packages of rpm's database. A root without one has
// neither.
func (o *offline) readRoot(ctx context.Context, root string) ([]*pgp.Cert, error) {
	dir, err := rpmdb.Locate(root)
	if errors.Is(err, rpmdb.ErrNoDatabase) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	db, err := rpmdb.Open(dir)
	if err != nil {
		return nil, err
	}
	certs, _, err := rpmdb.Certs(ctx, db)
	if err != nil {
		return nil, err
	}
	return certs, db.Headers(ctx, func(_ uint32, blob []byte) error {
		if h, err := header.Parse(blob); err == nil {
			if pkg, err := h.NEVRA(); err == nil && pkg.Name != policy.KeyName {
				o.installed[pkg.Name] = append(o.installed[pkg.Name], pkg)
			}
		}
		return nil
	})
}

// admit decides about a version, by what is installed and by the policy files.
func (o *offline) admit(pkg nevra.NEVRA) policy.Decision {
	line := policy.Line{Denials: o.denials.Of(pkg.Name), Multi: policy.IsMulti([]string{"kernel", "kernel-PAE"}, pkg.Name)}
	for _, in := range o.installed[pkg.Name] {
		if policy.SameFamily(in.Arch, pkg.Arch) && (line.High.IsZero() || nevra.Compare(in.EVR, line.High) > 0) {
			line.High = in.EVR
		}
	}
	return policy.Admit(policy.Enforce, o.floors.Raise(line, pkg.Name, pkg.Arch), pkg)
}

// version says what would become of a version, whose header is not at hand.
func (o *offline) version(text string) (api.Check, error) {
	pkg, err := nevra.Parse(text)
	if err != nil {
		return api.Check{}, &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("%q is no package version: %v", text, err), Advice: "name it as rpm -q does, or give the package file"}
	}
	c := o.describe(pkg)
	c.Decide(o.admit(pkg))
	return c, nil
}

// file says what would become of a package, by its headers.
func (o *offline) file(p *rpmfile.Package) (api.Check, error) {
	invalid := func(err error) (api.Check, error) {
		return api.Check{}, fmt.Errorf("cannot read the header of the package: %w", err)
	}
	h, err := header.Parse(p.Header)
	if err != nil {
		return invalid(err)
	}
	pkg, err := h.NEVRA()
	if err != nil {
		return invalid(err)
	}
	region, err := h.Immutable()
	if err != nil {
		return invalid(err)
	}
	var signatures []header.Signature
	if len(p.Signatures) > 0 {
		s, err := header.Parse(p.Signatures)
		if err != nil {
			return invalid(err)
		}
		signatures = s.Signatures()
	}
	c := o.describe(pkg)
	c.Header = true
	c.List, _ = digestlist.PackageName(digestlist.FormatTLV, pkg)
	d := o.admit(pkg)
	signed, err := o.ring.Verify(region, signatures, o.now)
	if err == nil {
		c.Key, c.KeyOwner = signed.Cert.Fingerprint, signed.Cert.UserID
	}
	if d.Verdict == policy.Allow {
		d = policy.Vouch(policy.Enforce, policy.UnsignedWithhold, pkg, grounds.Outcome(err))
	}
	body, _, err := digestlist.AppendPackageTLV(nil, h)
	if err != nil && d.Verdict == policy.Allow {
		d = policy.NoFiles(pkg)
	}
	if err == nil {
		if err := digestlist.WalkTLV(body, func(algo digestlist.Algo, digest, path []byte) error {
			if o.denials.Content(algo, digest) != nil {
				c.Denied = append(c.Denied, api.Clean(string(path)))
			} else {
				c.Files++
			}
			return nil
		}); err != nil {
			return invalid(err)
		}
	}
	c.Decide(d)
	return c, nil
}

func (o *offline) describe(pkg nevra.NEVRA) api.Check {
	c := api.Check{NEVRA: pkg.String(), Installed: slices.Contains(o.installed[pkg.Name], pkg)}
	for _, in := range o.installed[pkg.Name] {
		c.Active = append(c.Active, in.String())
	}
	return c
}
