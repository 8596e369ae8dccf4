package load

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Counts is what happened to the packets of a run.
type Counts struct {
	// Sent are the different packets that went out, Repeated those of them that went out once more. Withheld
	// got lost on purpose before, Unsent because the system did not take them.
	Sent, Repeated, Withheld, Unsent uint64
	// Received are the different packets that came. Reordered of them came behind a later one of their leg;
	// Duplicated came again.
	Received, Reordered, Duplicated uint64
	// Corrupted came to the wrong leg or not as they were; Unopened do not open by the relay's key, or came
	// before; Foreign are of no port or run that is known. None of these is received.
	Corrupted, Unopened, Foreign uint64
	// Behind is how often the generator came too late to send in time.
	Behind uint64
}

// Lost is what was sent and did not come, so far.
func (c Counts) Lost() uint64 { return c.Sent - min(c.Sent, c.Received+c.Unsent) }

// Report is a run.
type Report struct {
	Counts
	Latency Latency
	// Jitter is RFC 3550's at the end of the run, the mean of all legs and the highest.
	Jitter, JitterMax time.Duration
}

func (r *run) report() *Report {
	report := &Report{Counts: r.counts, Latency: r.latency}
	for _, p := range r.peers {
		j := p.heard.quality.State().Jitter()
		report.Jitter += j / time.Duration(len(r.peers))
		report.JitterMax = max(report.JitterMax, j)
	}
	return report
}

// Write writes the report for people.
func (r *Report) Write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, value any, of string) { fmt.Fprintf(table, "%s\t%v\t  %s\n", name, value, of) }
	line("sent", r.Sent, share("twice", r.Repeated, r.Sent)+share("withheld", r.Withheld, r.Sent+r.Withheld)+share("not taken by the system", r.Unsent, r.Sent))
	line("received", r.Received, share("lost", r.Lost(), r.Sent))
	line("reordered", r.Reordered, "")
	line("duplicated", r.Duplicated, "")
	line("corrupted", r.Corrupted, share("unopened", r.Unopened, r.Sent)+share("foreign", r.Foreign, r.Sent))
	for _, q := range []struct {
		name string
		at   time.Duration
	}{
		{"latency p50", r.Latency.Quantile(0.5)}, {"p99", r.Latency.Quantile(0.99)}, {"p99.9", r.Latency.Quantile(0.999)},
		{"longest", r.Latency.Max()}, {"jitter", r.Jitter}, {"worst leg", r.JitterMax},
	} {
		line(q.name, q.at.Round(time.Microsecond), "")
	}
	if r.Behind > 0 {
		line("late", r.Behind, "times the generator could not keep the pace")
	}
	return table.Flush()
}

// share is a part in words, nothing of none.
func share(name string, part, of uint64) string {
	if part == 0 {
		return ""
	}
	return fmt.Sprintf("%s %d (%.2f %%) ", name, part, 100*float64(part)/float64(max(of, 1)))
}
