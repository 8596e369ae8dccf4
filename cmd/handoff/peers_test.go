//go:build linux

// The tests in peers_*_test.go put a whole edge between real SIP programs: SIPp and baresip. They
// need Linux for its loopback network of 16 million addresses, of which every test takes its own.

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator"
	"handoff/sip/stack"
)

// patience bounds every wait for something that should come at once; the machine may be busy.
const patience = 15 * time.Second

// surroundings is an edge with the addresses of its peers, each party on its own address and the
// usual ports.
type surroundings struct {
	*testing.T
	edge *edge
	dir  string
	// Edge, Twilio and Watson are addresses; Spare is that of Watson's second zone, Proxy that of one before the edge.
	// The scenarios use these names.
	Edge, Twilio, Watson, Spare, Proxy string

	authority *simulator.Authority
	log       *lockedBuffer
}

// watsonName is what Watson's certificate shows.
const watsonName = "watson.test"

// mediaPorts are pairs for 200 calls.
const mediaPorts, mediaPairs = "10000-10799", 400

// newSurroundings starts an edge. Its Watson is expected at targets, else at Watson, then Spare.
func newSurroundings(t *testing.T, targets ...string) *surroundings {
	t.Helper()
	return newChangedSurroundings(t, func(*configs.Config) {}, targets...)
}

// newChangedSurroundings starts an edge whose configuration is changed before.
func newChangedSurroundings(t *testing.T, change func(*configs.Config), targets ...string) *surroundings {
	t.Helper()
	net := network()
	s := &surroundings{
		T:         t,
		dir:       t.TempDir(),
		Edge:      net(1),
		Twilio:    net(2),
		Watson:    net(3),
		Spare:     net(4),
		Proxy:     net(5),
		authority: authority(t),
		log:       &lockedBuffer{},
	}
	if targets == nil {
		targets = []string{"sips:" + s.Watson + ":5061", "sips:" + s.Spare + ":5061"}
	}
	s.edge = s.start(targets, change)
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("log of the edge:\n%s", shorten(s.log.String()))
		}
	})
	return s
}

func (s *surroundings) start(targets []string, change func(*configs.Config)) *edge {
	s.Helper()
	ca, err := s.authority.Write(s.dir)
	s.must(err)
	certificate, key, err := s.authority.WriteIssued(s.dir, "edge", s.Edge)
	s.must(err)
	text := fmt.Sprintf(`
sip:
  public: %[1]s
  listen: ["udp:%[1]s:5060", "tcp:%[1]s:5060", "tls:%[1]s:5061"]
  tls: {certificate: %[5]s, key: %[6]s}
twilio:
  sources: [%[2]s/32, %[11]s/32, 127.0.0.1/32]
  tls: {ca_file: %[7]s}
watson:
  targets: ["%[10]s"]
  sources: [%[3]s/32, %[4]s/32]
  tls: {ca_file: %[7]s, server_name: %[8]s}
  health: {options_every: 0s} # the scenarios answer calls only
media:
  listen: %[1]s
  ports: %[9]s
  rest: 0s
ops: {listen: "%[1]s:0"}
journal: {kind: memory}
cdr: {kind: "off"}
`, s.Edge, s.Twilio, s.Watson, s.Spare, certificate, key, ca, watsonName, mediaPorts, strings.Join(targets, `", "`), s.Proxy)
	cfg, err := configs.Parse("peers.yaml", []byte(text), os.LookupEnv)
	s.must(err)
	change(cfg)

	ec := zap.NewDevelopmentEncoderConfig()
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(ec), s.log, zapcore.DebugLevel)
	e, err := newEdge(cfg, edgeDeps{Log: zap.New(core), Tap: s.tap})
	s.must(err)
	return e
}

// tap writes the first line of every message between the lines of the log.
func (s *surroundings) tap(m stack.Tapped) {
	first, _, _ := bytes.Cut(m.Raw, []byte("\r\n"))
	fmt.Fprintf(s.log, "%s\t%s %s %s\t%s\n", m.Time.Format("2006-01-02T15:04:05.000"), m.Direction, m.Transport, m.Remote, first)
}

// stop drains the edge; no test may leave it calls.
func (s *surroundings) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	stopped := make(chan struct{})
	go func() { // ends when the edge has
		s.edge.Close(ctx)
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(patience):
		s.Errorf("the edge does not stop")
	}
}

// must ends the test on an error of the surroundings themselves.
func (s *surroundings) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// eventually waits until holds returns "", which else tells what is missing.
func (s *surroundings) eventually(holds func() string) {
	s.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		missing := holds()
		if missing == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatalf("after %v: %s", patience, missing)
		}
	}
}

// quiet waits until nothing of the calls is left in the edge.
func (s *surroundings) quiet() {
	s.Helper()
	s.eventually(func() string {
		m := s.metrics()
		return cmp.Or(
			m.want("handoff_calls_active", 0),
			m.want(fmt.Sprintf("handoff_media_sessions{path=%q}", s.edge.media.Path()), 0),
			m.want(fmt.Sprintf("handoff_media_sessions{path=%q}", metrics.PathKernel), 0),
			m.want("handoff_media_ports_free", mediaPairs),
		)
	})
}

// ended checks how many calls ended with a reason, given as result and reason, and that none ended
// otherwise.
func (s *surroundings) ended(n int, reason string) {
	s.Helper()
	result, word, _ := strings.Cut(reason, " ")
	m := s.metrics()
	if diff := m.want(fmt.Sprintf(`handoff_calls_total{reason=%q,result=%q}`, word, result), n); diff != "" {
		s.Error(diff)
	}
	total := 0
	for series, value := range m {
		if strings.HasPrefix(series, "handoff_calls_total{") {
			total += int(value)
		}
	}
	if total != n {
		s.Errorf("%d calls ended, want %d", total, n)
	}
}

// counted checks counters by their series.
func (s *surroundings) counted(want map[string]int) {
	s.Helper()
	m := s.metrics()
	for series, n := range want {
		if diff := m.want(series, n); diff != "" {
			s.Error(diff)
		}
	}
}

// readings are the samples of /metrics by their series, written as there.
type readings map[string]float64

func (r readings) want(series string, value int) string {
	got, found := r[series]
	switch {
	case !found:
		return "no series " + series
	case got != float64(value):
		return fmt.Sprintf("%s is %v, want %d", series, got, value)
	}
	return ""
}

// metrics reads /metrics.
func (s *surroundings) metrics() readings {
	s.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + s.edge.ops.Addr().String() + "/metrics")
	s.must(err)
	defer res.Body.Close()
	r := readings{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		series, text, found := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); found && err == nil {
			r[series] = value
		}
	}
	s.must(lines.Err())
	return r
}

// authority signs for all tests: making its keys takes longer than some of them.
func authority(t *testing.T) *simulator.Authority {
	t.Helper()
	a, err := theAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var theAuthority = sync.OnceValues(simulator.NewAuthority)

var networks atomic.Int32

// network gives a test eight addresses of the loopback network that no other test has, nor one of
// another process but by rare chance.
func network() func(host int) string {
	n := os.Getpid()*64 + int(networks.Add(1))
	return func(host int) string {
		return fmt.Sprintf("127.%d.%d.%d", 128+n/32/256%127, n/32%256, n%32*8+host)
	}
}
