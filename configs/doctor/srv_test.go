package doctor

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"handoff/configs"
)

// TestSRVRecordsAreFollowed: Watson's host has no address of its own, or records that lead nowhere.
func TestSRVRecordsAreFollowed(t *testing.T) {
	records := func(port uint16, hosts ...string) []*net.SRV {
		var all []*net.SRV
		for i, h := range hosts {
			all = append(all, &net.SRV{Target: h, Port: port, Priority: uint16(10 * i), Weight: 5})
		}
		return all
	}
	tests := map[string]struct {
		hosts       []string // of the records
		err         error
		dns, watson Status
		found       string // of dns
	}{
		"no records":        {nil, nil, Fail, Fail, "does not resolve"},
		"all lead to it":    {[]string{"a.test.", "a.test."}, nil, OK, OK, "SRV 0 5 a.test.:%[1]d at 127.0.0.1; 10 5 a.test.:%[1]d at 127.0.0.1"},
		"one leads nowhere": {[]string{"gone.test.", "a.test."}, nil, Warn, OK, "SRV 0 5 gone.test.:%[1]d: does not resolve; 10 5 a.test.:%[1]d at 127.0.0.1"},
		"all lead nowhere":  {[]string{"gone.test."}, nil, Fail, Fail, "SRV 0 5 gone.test.:%[1]d: does not resolve"},
		"nobody answers":    {nil, errors.New("timeout"), Warn, Fail, "SRV: timeout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, port, _ := strings.Cut(strings.TrimPrefix(w.cfg.Watson.Targets[0], "sips:"), ":")
			var at uint16
			fmt.Sscan(port, &at)
			w.cfg.Watson.Targets = []string{"sips:" + watsonName}
			delete(w.resolver, watsonName)
			w.resolver["a.test."] = w.resolver[edgeName]
			w.deps.Resolver = recorded{w.resolver, map[string][]*net.SRV{watsonName: records(at, tt.hosts...)}, tt.err}
			want := tt.found
			if strings.Contains(want, "%") {
				want = fmt.Sprintf(want, at)
			}
			seen := 0
			for _, f := range w.run() {
				switch strings.TrimSpace(f.Probe + " " + f.Subject) {
				case "dns " + watsonName:
					seen++
					if f.Status != tt.dns || f.Found != want && !strings.HasPrefix(f.Found, want+" in ") {
						t.Errorf("%+v, want %s", f, want)
					}
				case "watson " + watsonName:
					seen++
					if f.Status != tt.watson {
						t.Errorf("%+v", f)
					}
				}
			}
			if seen != 2 {
				t.Errorf("%d findings", seen)
			}
		})
	}
}

// A name stands once for each way in which it is looked up.
func TestANameWithAndWithoutPort(t *testing.T) {
	cfg := configs.Default()
	cfg.Watson.Targets = []string{"sips:a.test", "sips:a.test:5061", "sips:a.test:5071", "sips:192.0.2.1", "sips:x@a.test"}
	d := &doctor{cfg: cfg}
	var got []string
	for _, h := range d.hosts() {
		if h.name == "a.test" {
			got = append(got, fmt.Sprint(h.srv))
		}
	}
	if fmt.Sprint(got) != "[true false]" {
		t.Error(got)
	}
}
