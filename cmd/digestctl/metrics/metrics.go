// SPDX-License-Identifier: Apache-2.0

// Package metrics implements the verb that prints metrics of digestd and the guard for
// monitoring.
//
// It promises names that follow the conventions of Prometheus and never change their meaning,
// and labels whose values come from digestd alone, never from a package or a process. digestd
// supplies the numbers.
package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/spf13/cobra"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
)

// gatherTime bounds how long digestd is asked.
const gatherTime = 20 * time.Second

// options are the flags.
type options struct {
	file       string
	configured bool
	config     string
	text       bool
}

// document is what metrics prints for programs that read no metrics.
type document struct {
	Metrics []value `json:"metrics"`
}

// value is one number.
type value struct {
	Name  string  `json:"name"`
	Label string  `json:"label"` // the value of its label, "" for none
	Value float64 `json:"value"`
}

// Command is digestctl metrics.
func Command(a *cli.App) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Annotations: a.Prints(document{}),
		Use:         "metrics",
		Short:       "Print metrics for monitoring",
		Long: `Metrics prints the state of digestd and of the guard in the OpenMetrics format, which Prometheus reads. digestd
itself serves no metrics.

With --file it writes them to a file instead, in Prometheus' text format for the textfile collector of
node_exporter. It replaces the file in one step. The directory and its parents must be writable by root only, and
none of them may be a symbolic link: a user who could replace the file could make root write anywhere. With
--configured it writes the file that metrics = names in digestd.conf(5), if any; digestd-metrics.timer does this
every minute.

If digestctl cannot reach digestd, it prints digestd_up 0 and exits with 6.`,
		Example: "  digestctl metrics\n  sudo digestctl metrics --file /var/lib/node_exporter/digestd.prom",
		Args:    cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.Started = true
			if o.configured {
				c, err := config.Load(o.config)
				if err != nil {
					return err
				}
				if o.file = c.Metrics; o.file == "" {
					return nil
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), gatherTime)
			defer cancel()
			s, err := ask(ctx, a.Bus)
			if cmd.Context().Err() != nil {
				return cmd.Context().Err()
			}
			if a.JSON && o.file == "" {
				return errors.Join(a.UI.JSON(describe(s)), err)
			}
			var page bytes.Buffer
			if werr := write(&page, s, o.file != "" || o.text); werr != nil {
				return werr
			}
			if o.file == "" {
				if _, werr := page.WriteTo(a.UI.Out); werr != nil {
					return werr
				}
				return err
			}
			if werr := replace(o.file, page.Bytes()); werr != nil {
				return fmt.Errorf("cannot write metrics: %w", werr)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "file", "", "write them to `FILE`")
	f.BoolVar(&o.configured, "configured", false, "write them to the file that the configuration names, if any")
	f.StringVar(&o.config, "config", config.DefaultPath, "read digestd's configuration from `FILE`")
	f.BoolVar(&o.text, "text", false, "print Prometheus' text format")
	cmd.MarkFlagsMutuallyExclusive("file", "configured")
	return cmd
}

// sample is all that is told.
type sample struct {
	up        bool
	status    api.Status
	keys      []api.Key
	decisions map[string]uint32 // on record, by kind

	advisories api.AdvisoryStatus
}

// kinds are the decisions that are counted.
var kinds = []string{"rollback-refused", "rollback-withheld", "refused", "withheld", "key-revoked", "denied", "tampered", "index-recovered", "records-lost", "guard-switched", "guard-learned", "guard-exempted"}

// ask asks digestd, without starting it.
func ask(ctx context.Context, bus string) (s sample, err error) {
	c, err := client.Dial(ctx, bus)
	if err != nil {
		return s, err
	}
	defer c.Close()
	c.StartNothing()
	if s.status, err = c.Status(ctx); err != nil {
		return s, err
	}
	s.up = true
	if s.status.Waiting {
		return s, nil // it knows nothing else
	}
	if s.advisories, err = c.AdvisoryStatus(ctx); err != nil {
		return s, err
	}
	if s.keys, err = c.Keys(ctx); err != nil {
		return s, err
	}
	s.decisions = map[string]uint32{}
	for _, kind := range kinds {
		total, err := c.Log(ctx, api.LogFilter{Kind: kind}, 1, func([]api.Event) {})
		if err != nil {
			return s, err
		}
		s.decisions[kind] = total
	}
	return s, nil
}

// write writes a sample in the format of OpenMetrics, or in the older one of Prometheus.
func write(w io.Writer, s sample, text bool) error {
	format := expfmt.NewFormat(expfmt.TypeOpenMetrics)
	if text {
		format = expfmt.NewFormat(expfmt.TypeTextPlain)
	}
	enc := expfmt.NewEncoder(w, format)
	for _, f := range s.collect().sorted() {
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	if end, ok := enc.(expfmt.Closer); ok {
		return end.Close()
	}
	return nil
}

// describe makes a document of a sample.
func describe(s sample) document {
	d := document{Metrics: []value{}}
	for _, f := range s.collect().sorted() {
		for _, m := range f.Metric {
			d.Metrics = append(d.Metrics, value{f.GetName(), labelOf(m), m.GetGauge().GetValue() + m.GetCounter().GetValue()})
		}
	}
	return d
}

// replace puts data in the place of a file, if only root can write where it lies.
func replace(path string, data []byte) error {
	dir, name, err := safeDir(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return putFile(dir, name, data)
}
