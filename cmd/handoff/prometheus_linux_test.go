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

	"handoff/configs"
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

// expression is one of a rule or a panel, and shows what it says of each of its results.
type expression struct{ expr, shows string }

// panel may be a row that is folded, with others in it.
type panel struct {
	Type, Title string
	Targets     []struct{ RefID, Expr, LegendFormat string }
	Panels      []panel
}

// expressions are those of all rules and panels, by where they stand.
func expressions(t *testing.T) map[string]expression {
	t.Helper()
	all := make(map[string]expression)
	for _, group := range alertRules(t).Groups {
		for _, r := range group.Rules {
			all["rule "+r.Record+r.Alert] = expression{r.Expr, r.Annotations["summary"]}
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
			Panels     []panel
			Templating struct {
				List []struct{ Name, Type, Definition string }
			}
		}
		if err := json.Unmarshal(data, &board); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, v := range board.Templating.List {
			if asks := labelValues.FindStringSubmatch(v.Definition); asks != nil {
				all[filepath.Base(name)+": variable "+v.Name] = expression{asks[1], "{{" + asks[2] + "}}"}
			} else if v.Type == "query" {
				t.Errorf("%s: variable %s asks for %q", name, v.Name, v.Definition)
			}
		}
		for panels := board.Panels; len(panels) > 0; panels = panels[1:] {
			p := panels[0]
			panels = append(panels, p.Panels...)
			for _, target := range p.Targets {
				all[fmt.Sprintf("%s: panel %q %s", filepath.Base(name), p.Title, target.RefID)] = expression{target.Expr, target.LegendFormat}
			}
			if p.Type != "row" && len(p.Targets) == 0 {
				t.Errorf("%s: panel %q shows nothing", name, p.Title)
			}
		}
	}
	return all
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// scraper is Debian's Prometheus, which scrapes an edge and evaluates the rules, both each second. How it shows who it is stands in how.
type scraper struct {
	*scene
	at string
}

func newScraper(sc *scene, features, how string) *scraper {
	t := sc.t
	t.Helper()
	dir, at := t.TempDir(), netip.AddrPortFrom(loopback, freePort(loopback)).String()
	where, err := filepath.Abs(alerts)
	sc.must(err)
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s/handoff.yaml]\n"+
		"scrape_configs: [{job_name: handoff, static_configs: [{targets: [%q]}]%s}]\n", where, sc.edge.ops.Addr(), how)
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
var grafana = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$job", "handoff")

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
		p := newScraper(&scene{t: t, stage: sc.stage}, "exemplar-storage", "")
		var names []string
		p.eventually("the rules are evaluated", func() bool {
			p.must(p.api("label/__name__/values", nil, &names))
			return slices.Contains(names, "handoff:rtp_lost:ratio5m") || slices.Contains(names, "handoff:call_setup_seconds:p95")
		})
		all, asked := expressions(t), 0
		for where, e := range all {
			wrong, looked := p.judges(names, e)
			asked += looked
			for _, what := range wrong {
				t.Errorf("%s: %s", where, what)
			}
		}
		if asked < 150 {
			t.Errorf("only %d labels and values were looked for", asked)
		}
		for _, e := range []expression{
			{expr: "handoff_call_total"}, {expr: "handof_calls_total"}, {expr: "sum(handoff_calls_total"}, {expr: `handoff_calls_total{reason="boredom"}`},
			{expr: `handoff_calls_total{reason!~"shutdown|boredom"}`}, {expr: `handoff_mos_bucket{le="3.7"}`}, {expr: "sum by (instance, lag) (handoff_mos_count)"},
			{expr: "sum by (le) (handoff_mos_count)"}, {expr: "sum by (leg) (handoff_calls_total)"}, {"handoff_calls_total", "{{ result }}: {{why}}"},
			{"handoff:calls_failed:ratio5m", "at {{ $labels.leg }}"}, {expr: `handoff:mos_bad:ratio5m{reason="hold"}`}, {expr: "handoff:mos_good:ratio5m"},
		} {
			if wrong, _ := p.judges(names, e); len(wrong) == 0 {
				t.Errorf("nothing is wrong with %q and %q", e.expr, e.shows)
			}
		}
		p.showsAll(names, all)
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
		p := newScraper(&scene{t: t, stage: sc.stage}, "native-histograms", "")
		p.eventually("a native histogram has the call", func() bool {
			var found []struct{ Value [2]any }
			p.must(p.api("query", url.Values{"query": {"histogram_count(handoff_call_duration_seconds) == 1"}}, &found))
			return len(found) == 1
		})
	})
}

var (
	selectors = regexp.MustCompile(`\b(handoff[_:][a-z0-9_:]+)\{([^}]*)\}`)
	matchers  = regexp.MustCompile(`([a-z]+)[!=][=~]?"([^"]*)"`)
	groupings = regexp.MustCompile(`\b(?:by|without|on|ignoring) \(([^)]*)\)`)
	legends   = regexp.MustCompile(`\{\{ *(?:\$labels\.)?(\w+) *\}\}`)
)

// judges tells what is wrong with an expression, and how many labels and values it has looked for: a metric, a label or a value of
// one that no series has leaves a panel empty and a rule silent, for ever.
func (p *scraper) judges(names []string, e expression) (wrong []string, asked int) {
	p.t.Helper()
	records := make(map[string]string) // those of a ratio have no sample before something has happened twice
	for _, group := range alertRules(p.t).Groups {
		for _, r := range group.Rules {
			records[r.Record] = r.Expr
		}
	}
	found := metricNames.FindAllString(e.expr, -1)
	if len(found) == 0 && !strings.HasPrefix(e.expr, "up{") {
		return []string{"it names no metric: " + e.expr}, 0
	}
	for _, name := range found {
		if !slices.Contains(names, name) && records[name] == "" {
			wrong = append(wrong, "the edge does not emit "+name)
		}
	}
	var any json.RawMessage
	if err := p.api("query", url.Values{"query": {grafana.Replace(e.expr)}}, &any); err != nil {
		wrong = append(wrong, err.Error())
	}
	has := func(metric, label, value string) bool {
		asked++
		if inner := records[metric]; inner != "" {
			return slices.ContainsFunc(groupings.FindAllStringSubmatch(inner, -1), func(g []string) bool { return slices.Contains(strings.Split(g[1], ", "), label) })
		}
		var some []json.RawMessage
		p.must(p.api("query", url.Values{"query": {fmt.Sprintf("count(%s{%s=~%q})", metric, label, value)}}, &some))
		return len(some) > 0
	}
	for _, selector := range selectors.FindAllStringSubmatch(e.expr, -1) {
		for _, m := range matchers.FindAllStringSubmatch(selector[2], -1) {
			for value := range strings.SplitSeq(grafana.Replace(m[2]), "|") {
				if !has(selector[1], m[1], value) {
					wrong = append(wrong, fmt.Sprintf("no series of %s has %s %q", selector[1], m[1], value))
				}
			}
		}
	}
	labels := legends.FindAllStringSubmatch(e.shows, -1)
	for _, g := range groupings.FindAllStringSubmatch(e.expr, -1) {
		for label := range strings.SplitSeq(g[1], ", ") {
			labels = append(labels, []string{"", label})
		}
	}
	for _, l := range labels {
		if len(found) > 0 && !slices.ContainsFunc(found, func(name string) bool { return has(name, l[1], ".+") }) {
			wrong = append(wrong, fmt.Sprintf("none of %q has a label %s", found, l[1]))
		}
	}
	return wrong, asked
}

// unseen are metrics that no panel and no rule needs.
var unseen = []string{
	"handoff_journal_written_total",       // as often as calls change
	"handoff_watson_target_since_seconds", // the console has it
}

// showsAll fails on a metric of ours that nobody would ever see.
func (p *scraper) showsAll(names []string, all map[string]expression) {
	p.t.Helper()
	shown := make(map[string]bool)
	for _, e := range all {
		for _, name := range metricNames.FindAllString(e.expr, -1) {
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

// Where the listener wants a token, Prometheus shows it, and who shows none learns nothing.
func TestPrometheusShowsItsToken(t *testing.T) {
	t.Parallel()
	requires(t, "prometheus", "prometheus")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-for-operators"), 0o600); err != nil {
		t.Fatal(err)
	}
	sc := newScene(t, stageConfig{Set: func(c *configs.Config) { c.Ops.TokenFile = token }})
	res, err := http.Get("http://" + sc.edge.ops.Addr().String() + "/metrics")
	sc.must(err)
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", res.StatusCode)
	}
	p := newScraper(sc, "native-histograms", fmt.Sprintf(", authorization: {credentials_file: %q}", token))
	p.eventually("its build is known", func() bool {
		var found []any
		p.must(p.api("query", url.Values{"query": {"handoff_build_info"}}, &found))
		return len(found) == 1
	})
}

// What is scraped has nothing in it that promtool would object to.
func TestPromtoolObjectsToNoMetric(t *testing.T) {
	t.Parallel()
	requires(t, "promtool", "prometheus")
	sc := newScene(t, stageConfig{})
	talkAndHangUp(sc)
	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(sc.get("/metrics"))
	said, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(said)) {
		if strings.HasPrefix(line, "handoff_") || strings.Contains(line, "error") {
			t.Error(line)
		}
	}
	if err != nil && !bytes.Contains(said, []byte("go_")) && !bytes.Contains(said, []byte("process_")) {
		t.Errorf("%v: %s", err, said)
	}
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

// An alert that is silent because the test of a silent edge has none of its series proves nothing.
func TestASilentEdgeHasTheSeriesOfEveryAlert(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(alerts, "handoff_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var played struct {
		Tests []struct {
			Name        string
			InputSeries []struct{ Series string } `yaml:"input_series"`
		}
	}
	if err := yaml.Unmarshal(data, &played); err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, input := range played.Tests[0].InputSeries {
		name, _, _ := strings.Cut(input.Series, "{")
		there[name] = true
	}
	records := make(map[string]string)
	for _, group := range alertRules(t).Groups {
		for _, r := range group.Rules {
			records[r.Record] = r.Expr
			for _, name := range metricNames.FindAllString(r.Expr, -1) {
				for _, inner := range append(metricNames.FindAllString(records[name], -1), name) {
					if r.Alert != "" && records[inner] == "" && !there[inner] {
						t.Errorf("%s: %q has no %s", r.Alert, played.Tests[0].Name, inner)
					}
				}
			}
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
