package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

const dashboards, alerts = "../../configs/dashboards", "../../configs/alerts"

// ruleFile is what Prometheus reads, as far as it is looked at here.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Record, Alert, Expr string
			Annotations         map[string]string
		}
	}
}

func alertRules(t *testing.T) (f ruleFile) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(alerts, "handoff.yaml"))
	if err == nil {
		err = yaml.Unmarshal(data, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// expressions are those of all rules and panels, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, group := range alertRules(t).Groups {
		for _, r := range group.Rules {
			all["rule "+r.Record+r.Alert] = r.Expr
		}
	}
	files, err := filepath.Glob(filepath.Join(dashboards, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Panels []struct {
				Type, Title string
				Targets     []struct{ RefID, Expr string }
			}
		}
		if err := json.Unmarshal(data, &board); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				all[fmt.Sprintf("%s: panel %q %s", filepath.Base(name), p.Title, target.RefID)] = target.Expr
			}
			if p.Type != "row" && len(p.Targets) == 0 {
				t.Errorf("%s: panel %q shows nothing", name, p.Title)
			}
		}
	}
	return all
}

// scraper is Debian's Prometheus, which scrapes an edge and evaluates the rules, both each second.
type scraper struct {
	*scene
	at string
}

func newScraper(sc *scene, features string) *scraper {
	t := sc.t
	t.Helper()
	dir, at := t.TempDir(), netip.AddrPortFrom(loopback, freePort(loopback)).String()
	where, err := filepath.Abs(alerts)
	sc.must(err)
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s/handoff.yaml]\n"+
		"scrape_configs: [{job_name: handoff, static_configs: [{targets: [%q]}]}]\n", where, sc.edge.ops.Addr())
	file := filepath.Join(dir, "prometheus.yml")
	sc.must(os.WriteFile(file, []byte(text), 0o600))
	var output lockedBuffer
	cmd := exec.CommandContext(t.Context(), "prometheus", "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", at, "--enable-feature", features)
	cmd.Stdout, cmd.Stderr = &output, &output
	sc.must(cmd.Start())
	t.Cleanup(func() { // the test's context has ended it
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(shorten(output.String()))
		}
	})
	p := &scraper{sc, at}
	p.eventually("it has scraped the edge", func() bool {
		var found []any
		return p.api("query", url.Values{"query": {`up{job="handoff"} == 1`}}, &found) == nil && len(found) == 1
	})
	return p
}

// eventually waits longer than a scene does: a program of some size starts first.
func (p *scraper) eventually(what string, holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// api asks Prometheus; result gets the "result" of a query, else the "data".
func (p *scraper) api(path string, with url.Values, result any) error {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + p.at + "/api/v1/" + path + "?" + with.Encode())
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", with, answer.Error)
	}
	var query struct{ Result json.RawMessage }
	if path == "query" && json.Unmarshal(answer.Data, &query) == nil {
		answer.Data = query.Result
	}
	return json.Unmarshal(answer.Data, result)
}

// grafana puts in what Grafana does.
var grafana = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")

// metricNames are those in an expression: what is followed by a selector or a range, or is one of ours.
var metricNames = regexp.MustCompile(`\b(?:(?:handoff|go|process)_[a-z0-9_]+|handoff:[a-z0-9_:]+)\b`)

// TestDashboardsAndRulesSpeakOfWhatTheEdgeEmits lets a real Prometheus scrape an edge that has had a call: every metric that a
// panel or a rule names is there, every expression can be evaluated, and an exemplar leads to the call.
func TestDashboardsAndRulesSpeakOfWhatTheEdgeEmits(t *testing.T) {
	t.Parallel()
	requires(t, "prometheus", "prometheus")
	sc := newScene(t, stageConfig{})
	caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
	_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
	sc.must(err)
	sc.over(caller, assistant)
	sc.counted(`handoff_calls_total{reason="watson_hangup",result="success"} 1`)

	t.Run("classic", func(t *testing.T) {
		p := newScraper(&scene{t: t, stage: sc.stage}, "exemplar-storage")
		var names []string
		p.eventually("the rules are evaluated", func() bool {
			p.must(p.api("label/__name__/values", nil, &names))
			return slices.Contains(names, "handoff:rtp_lost:ratio5m") || slices.Contains(names, "handoff:call_setup_seconds:p95")
		})
		records := make(map[string]bool) // those of a ratio have no sample before something has happened twice
		for _, group := range alertRules(t).Groups {
			for _, r := range group.Rules {
				records[r.Record] = true
			}
		}
		for where, expr := range expressions(t) {
			found := metricNames.FindAllString(expr, -1)
			for _, name := range found {
				if !slices.Contains(names, name) && !records[name] {
					t.Errorf("%s: the edge does not emit %s", where, name)
				}
			}
			if len(found) == 0 && !strings.HasPrefix(expr, "up{") {
				t.Errorf("%s names no metric: %s", where, expr)
			}
			var any json.RawMessage
			if err := p.api("query", url.Values{"query": {grafana.Replace(expr)}}, &any); err != nil {
				t.Errorf("%s: %v", where, err)
			}
		}
		p.finds(expressions(t))
		p.showsAll(names, expressions(t))
		var exemplars []struct {
			Exemplars []struct{ Labels map[string]string }
		}
		around := url.Values{
			"query": {"handoff_calls_total"}, "start": {time.Now().Add(-time.Hour).Format(time.RFC3339)}, "end": {time.Now().Add(time.Hour).Format(time.RFC3339)},
		}
		p.eventually("an exemplar names the call", func() bool {
			p.must(p.api("query_exemplars", around, &exemplars))
			return len(exemplars) > 0 && len(exemplars[0].Exemplars) > 0 && exemplars[0].Exemplars[0].Labels["call"] != ""
		})
	})
	t.Run("native histograms", func(t *testing.T) {
		p := newScraper(&scene{t: t, stage: sc.stage}, "native-histograms")
		p.eventually("a native histogram has the call", func() bool {
			var found []struct{ Value [2]any }
			p.must(p.api("query", url.Values{"query": {"histogram_count(handoff_call_duration_seconds) == 1"}}, &found))
			return len(found) == 1
		})
	})
}

var (
	selectors = regexp.MustCompile(`\b(handoff_[a-z0-9_]+)\{([^}]*)\}`)
	matchers  = regexp.MustCompile(`([a-z]+)[!=][=~]?"([^"]*)"`)
)

// finds fails on a label or a value of one that no series has: such a panel stays empty and such a rule silent, for ever.
func (p *scraper) finds(all map[string]string) {
	p.t.Helper()
	asked := 0
	for where, expr := range all {
		for _, selector := range selectors.FindAllStringSubmatch(expr, -1) {
			for _, m := range matchers.FindAllStringSubmatch(selector[2], -1) {
				for value := range strings.SplitSeq(grafana.Replace(m[2]), "|") {
					var found []any
					query := fmt.Sprintf("count(%s{%s=~%q})", selector[1], m[1], value)
					p.must(p.api("query", url.Values{"query": {query}}, &found))
					if asked++; len(found) == 0 {
						p.t.Errorf("%s: no series of %s has %s %q", where, selector[1], m[1], value)
					}
				}
			}
		}
	}
	if asked < 50 {
		p.t.Errorf("only %d values were looked for", asked)
	}
}

// unseen are metrics that no panel and no rule needs.
var unseen = []string{
	"handoff_journal_written_total",       // as often as calls change
	"handoff_watson_target_since_seconds", // the console has it
}

// showsAll fails on a metric of ours that nobody would ever see.
func (p *scraper) showsAll(names []string, all map[string]string) {
	p.t.Helper()
	shown := make(map[string]bool)
	for _, expr := range all {
		for _, name := range metricNames.FindAllString(expr, -1) {
			shown[family(name)] = true
		}
	}
	for _, name := range names {
		if name = family(name); strings.HasPrefix(name, "handoff_") && !shown[name] && !slices.Contains(unseen, name) {
			p.t.Errorf("%s is on no panel and in no rule", name)
			shown[name] = true
		}
	}
}

// family is the metric that a series of a histogram belongs to.
func family(name string) string {
	for _, part := range []string{"_bucket", "_count", "_sum"} {
		name = strings.TrimSuffix(name, part)
	}
	return name
}

// promtool plays the rules on series: what fires, when, and what does not.
func TestRulesFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	requires(t, "promtool", "prometheus")
	for _, args := range [][]string{{"check", "rules", "handoff.yaml"}, {"test", "rules", "handoff_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), "promtool", args...)
		cmd.Dir = alerts
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, said)
		}
	}
}

// Every alert says what to do, and is played by the test of the rules.
func TestEveryAlertHasARunbookAndATest(t *testing.T) {
	runbook, err := os.ReadFile(filepath.Join(alerts, "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	played, err := os.ReadFile(filepath.Join(alerts, "handoff_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	alertNames := 0
	for _, group := range alertRules(t).Groups {
		for _, r := range group.Rules {
			if r.Alert == "" {
				continue
			}
			alertNames++
			if want := "configs/alerts/runbook.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want || r.Annotations["summary"] == "" {
				t.Errorf("%s: %v, want runbook %s", r.Alert, r.Annotations, want)
			}
			if !bytes.Contains(runbook, []byte("\n### "+r.Alert+"\n")) {
				t.Errorf("the runbook does not tell of %s", r.Alert)
			}
			if !regexp.MustCompile(`\b` + r.Alert + `\b`).Match(played) {
				t.Errorf("%s is not tested", r.Alert)
			}
		}
	}
	if n := bytes.Count(runbook, []byte("\n### ")); n != alertNames {
		t.Errorf("the runbook has %d entries for %d alerts", n, alertNames)
	}
}
