// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// Day formats a date, "" for a zero time.
func Day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateOnly)
}

// Seconds formats a duration.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// Joined formats a name with its meaning, if that is known.
func Joined(name, meaning string) string {
	if meaning == "" {
		return name
	}
	return name + ": " + meaning
}

// WithAlgo formats a digest after the name of its algorithm, "" for an empty digest.
func WithAlgo(algo, digest string) string {
	if digest == "" {
		return ""
	}
	return algo + ":" + digest
}

// PathOf returns the bytes of a path, which Safe escapes, instead of the text with replacement
// characters.
func PathOf(path string, raw []byte) string {
	if len(raw) > 0 {
		return string(raw)
	}
	return path
}

// Size formats a number of bytes.
func Size(n uint64) string {
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

// Moment formats a time in the user's time zone, "" for a zero time.
func Moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// Count formats a number with its noun.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// UserName returns the name of a user on this machine.
func UserName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// Without removes the subject from a text about it: at the beginning, or after a colon, where it
// would be repeated.
func Without(subject, text string) string {
	if subject == "" {
		return text
	}
	return strings.ReplaceAll(strings.TrimPrefix(text, subject+": "), ": "+subject+": ", ": ")
}

// ShownLists is how many lists are printed of a file that several know.
const ShownLists = 3
