// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"time"
)

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateOnly)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func joined(name, meaning string) string {
	if meaning == "" {
		return name
	}
	return name + ": " + meaning
}

func withAlgo(algo, digest string) string {
	if digest == "" {
		return ""
	}
	return algo + ":" + digest
}

// pathOf returns a path's bytes, which safe spells out, rather than the
// replacement characters that travelled.
func pathOf(path string, raw []byte) string {
	if len(raw) > 0 {
		return string(raw)
	}
	return path
}

// size prints a number of bytes.
func size(n uint64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for ; value >= 1024 && unit < len(units)-1; unit++ {
		value /= 1024
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

// moment prints a time as the reader's clock shows it, "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// count prints a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// whoever names a user as the machine knows them.
func whoever(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// without cuts a subject off a text about it that begins with it, or has it once
// more after a colon: what it is about stands there already.
func without(subject, text string) string {
	if subject == "" {
		return text
	}
	return strings.ReplaceAll(strings.TrimPrefix(text, subject+": "), ": "+subject+": ", ": ")
}

// shownLists is how many lists are printed of a file that several know.
const shownLists = 3
