// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// listed is a file in an active list.
type listed struct {
	unit   *unit
	path   string // as the package has it
	real   string // links in its directory resolved
	algo   digestlist.Algo
	want   string // digest, raw
	shared bool   // other lists have this path, too
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return strconv.Itoa(n) + " files"
}

// listed verifies a file that should be there.
func (h *hasher) listed(f listed) {
	if h.ctx.Err() != nil {
		return
	}
	u := f.unit
	u.count(&u.Files)
	part := h.roles.of(u.place, f.path)
	report := func(kind, severity, text string) api.Finding {
		return named(f.path, api.Finding{Kind: kind, Severity: severity, Text: text, Package: u.entry.Package, List: u.entry.Name, Role: part.String()})
	}
	// An upgrade may replace the file while this goroutine reads it.
	for try := 0; ; try++ {
		file, err := h.find(f.path, try > 0)
		switch {
		case absent(err):
			h.missing(f, part, report)
			return
		case errors.Is(err, kernel.ErrNotRegular):
			if part&roleAbsent == 0 {
				u.found(report(api.FindingChanged, changedSeverity(part), "is no regular file any more: "+u.entry.Package+" has one"))
			}
			return
		case err != nil:
			u.found(report(api.FindingUnreadable, api.SeverityError, "cannot be read: "+reason(err)))
			return
		}
		again := h.content(f, part, file, report, try < 2)
		file.Close()
		if !again {
			return
		}
	}
}

// absent reports whether the error means that the file, or a directory of its path, does not
// exist.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// reason returns the cause of an error without the path, which the finding already has.
func reason(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// changedSeverity returns the severity of a changed file. Its package may declare that the
// content changes, and rpm may not have written it.
func changedSeverity(part role) string {
	if part&(roleConfig|roleRemade|roleAbsent) != 0 {
		return api.SeverityNotice
	}
	return api.SeverityError
}

func (h *hasher) missing(f listed, part role, report func(kind, severity, text string) api.Finding) {
	u := f.unit
	switch {
	case part&(roleAbsent|roleMissingOK) != 0 || h.index.has(h.index.ghosts, f.real):
		u.count(&u.Absent)
	case part&(roleConfig|roleDocumentation) != 0:
		u.found(report(api.FindingMissing, api.SeverityNotice, "is missing: "+u.entry.Package+" has it"))
	default:
		u.found(report(api.FindingMissing, api.SeverityError, "is missing: "+u.entry.Package+" has it"))
	}
}

// content compares a file's content and label with its list. It returns true if another file has
// taken its place, so that the caller tries again.
func (h *hasher) content(f listed, part role, file *kernel.File, report func(kind, severity, text string) api.Finding, retry bool) (again bool) {
	u := f.unit
	label, err := file.Label()
	var got sums
	if err == nil {
		got, err = h.sums(file, u, f.shared, f.algo)
	}
	switch {
	case err != nil && h.ctx.Err() != nil:
		return false
	case errors.Is(err, errBusy):
		if retry && h.replaced(f.path, file) {
			return true
		}
		u.found(report(api.FindingBusy, changedSeverity(part), "changes while it is read"))
		return false
	case err != nil:
		u.found(report(api.FindingUnreadable, api.SeverityError, "cannot be read: "+reason(err)))
		return false
	}
	if string(got[f.algo]) == f.want {
		h.label(f, file, label, got, report)
		return false
	}
	if retry && h.replaced(f.path, file) {
		return true
	}
	if f.shared && h.elsewhere(f, got) {
		return false
	}
	found := report(api.FindingChanged, changedSeverity(part), "was changed since "+u.entry.Package+" was installed")
	switch {
	case u.entry.Own:
		found.Text = "was changed since " + u.entry.Package + " was made"
	case part&roleConfig != 0:
		found.Text = "was configured since " + u.entry.Package + " was installed"
	case part&roleShared != 0:
		found.Text = "is shared with other machines, and differs from what " + u.entry.Package + " has"
	case part&roleAbsent != 0 && executable(f.path, &file.Stat):
		found.Severity, found.Text = api.SeverityError, "is an executable that no list includes; "+u.entry.Package+" owns its path, but rpm did not install that file"
	case part&roleAbsent != 0:
		found.Text = "differs from what " + u.entry.Package + " owns, because rpm did not install it"
	case part&roleRemade != 0:
		found.Text = "was changed since " + u.entry.Package + " was installed; the package allows this"
	}
	found.Label, found.Algo = label, f.algo.String()
	found.Digest, found.Expected = hex.EncodeToString(got[f.algo]), hex.EncodeToString([]byte(f.want))
	u.found(found)
	return false
}

// replaced reports whether the path leads to another file by now.
func (h *hasher) replaced(path string, file *kernel.File) bool {
	now, err := h.root.Find(path, false)
	if err != nil {
		return absent(err) || errors.Is(err, kernel.ErrNotRegular)
	}
	defer now.Close()
	return now.Stat.Ino != file.Stat.Ino || now.Stat.Dev != file.Stat.Dev
}

// elsewhere reports whether another list has this content under the same path: then the file
// belongs to that package.
func (h *hasher) elsewhere(f listed, got sums) bool {
	for _, place := range h.index.places(h.index.paths, f.real) {
		if place != f.unit.place && h.index.includes(h.index.entries[place], got, f.real) {
			return true
		}
	}
	return false
}

// label verifies the label of a file whose content is right.
func (h *hasher) label(f listed, file *kernel.File, label string, got sums, report func(kind, severity, text string) api.Finding) {
	u := f.unit
	switch label {
	case u.entry.Name:
		if !h.spec.Fix {
			return
		}
		// The kernel may remember an earlier content of the file, or an earlier list. Writing
		// the same label again makes it ask again.
		if err := file.RenewLabel(label); err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EROFS) {
			found := report(api.FindingLabel, api.SeverityWarning, "is bound to its list, but digestd cannot update the kernel: "+err.Error())
			found.Label = label
			u.found(found)
		}
		return
	case "":
		if !h.spec.Fix || !h.spec.Unlabelled {
			u.count(&u.Unbound)
			return
		}
	default:
		if other, ok := h.index.active(label); ok && h.index.includes(other, got, "") {
			return
		}
	}
	found := report(api.FindingLabel, api.SeverityError, fmt.Sprintf("is bound to list %s, which does not vouch for it", label))
	if label == "" {
		found.Text = "is bound to no list"
	}
	found.Label = label
	if h.spec.Fix && h.index.unchanged(*u.entry, u.stamp) {
		if err := file.SetLabel(u.entry.Name); err != nil {
			found.Text += "; " + err.Error()
		} else {
			found.Fixed = true
		}
	}
	if label == "" && !found.Fixed {
		u.count(&u.Unbound) // the file system has no labels: no action is necessary
		return
	}
	u.found(found)
}

// stray verifies a file whose path no list has.
func (h *hasher) stray(u *unit, path string, file *kernel.File, explicit bool) {
	defer file.Close()
	if h.ctx.Err() != nil {
		return
	}
	u.count(&u.Files)
	label, err := file.Label()
	var got sums
	if err == nil {
		algos := append([]digestlist.Algo{digestlist.SHA256}, h.index.wide...)
		got, err = h.sums(file, u, false, slices.DeleteFunc(algos, func(a digestlist.Algo) bool { return a.Hash() == 0 })...)
	}
	if err != nil {
		if h.ctx.Err() == nil {
			kind, text := api.FindingUnreadable, "cannot be read: "+reason(err)
			if errors.Is(err, errBusy) {
				kind, text = api.FindingBusy, "changes while it is read"
			}
			u.found(named(path, api.Finding{Kind: kind, Severity: api.SeverityError, Text: text}))
		}
		return
	}
	found := named(path, api.Finding{Kind: api.FindingUnvouched, Severity: api.SeverityError, Text: "is an executable that no list includes",
		Label: label, Algo: digestlist.SHA256.String(), Digest: hex.EncodeToString(got[digestlist.SHA256])})
	if explicit && !executable(path, &file.Stat) {
		found.Text = "no list includes it"
	}
	for _, place := range h.index.places(h.index.ghosts, path) {
		found.Package, found.Role = h.index.entries[place].Package, "ghost"
		found.Text += "; " + found.Package + " owns its path, but has no digest for it"
		break
	}
	if h.index.vouched(got) {
		if !h.strayLabel(&found, file, label, got) {
			return
		}
	}
	u.found(found)
}

// strayLabel verifies the label of a file whose content is in some list.
func (h *hasher) strayLabel(found *api.Finding, file *kernel.File, label string, got sums) (wrong bool) {
	if label == "" {
		return false
	}
	if e, ok := h.index.active(label); ok && h.index.includes(e, got, "") {
		return false
	}
	found.Kind, found.Text = api.FindingLabel, fmt.Sprintf("is bound to list %s, which does not vouch for it, though another list does", label)
	if h.spec.Fix {
		// Without a label the kernel looks in every list.
		if err := file.RemoveLabel(); err != nil {
			found.Text += "; " + err.Error()
		} else {
			found.Fixed = true
		}
	}
	return true
}
