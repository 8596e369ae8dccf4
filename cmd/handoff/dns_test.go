package main

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"handoff/configs"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	"handoff/sip/uri"
)

// named sets a scene whose only target is Watson's name without a port, for which its certificate stands. tell puts into the zone where
// that is, given where Watson really listens.
func named(t *testing.T, dns *nameServer, tell func(dns *nameServer, port uint16)) (*scene, *watson.Config) {
	t.Helper()
	var assistant watson.Config
	sc := newScene(t, stageConfig{
		Resolver:  dns.resolver(),
		WatsonSet: func(c *watson.Config) { assistant = *c },
		Set: func(c *configs.Config) {
			at, err := uri.Parse(c.Watson.Targets[0])
			if err != nil {
				t.Fatal(err)
			}
			dns.set(func(dns *nameServer) { tell(dns, at.Port) })
			c.Watson.ServerName, c.Watson.Targets = "", []string{"sips:" + zoneName}
		},
	})
	return sc, &assistant
}

// lead points the only SRV record of Watson's name to a host at that address.
func lead(to netip.Addr) func(*nameServer, uint16) {
	return func(dns *nameServer, port uint16) {
		dns.zone["_sips._tcp."+zoneName+"."] = append(dns.zone["_sips._tcp."+zoneName+"."], service(10, "one.test.", port))
		dns.zone["one.test."] = append(dns.zone["one.test."], address(to))
	}
}

// redial cuts the connection of a call that is over, so that the next one dials.
func (sc *scene) redial(last *watson.Call) {
	sc.t.Helper()
	last.Cut()
	sc.counted(`handoff_tls_connections{peer="watson"} 0`)
}

func TestSRVRecordsOverTheWire(t *testing.T) {
	t.Parallel()
	for name, zone := range map[string]func(*testing.T) string{
		"the first refuses":             func(t *testing.T) string { a, _ := listenAs(t, nil); return a },
		"the first never shakes hands":  func(t *testing.T) string { a, _ := listenAs(t, swallow); return a },
		"the first's host has no place": func(*testing.T) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dead := zone(t)
			sc, _ := named(t, newNameServer(t), func(dns *nameServer, port uint16) {
				at, _ := netip.ParseAddrPort(dead)
				dns.zone["_sips._tcp."+zoneName+"."] = []dnsBody{service(20, "two.test.", port), service(10, "one.test.", at.Port())}
				if dead != "" {
					dns.zone["one.test."] = []dnsBody{address(loopback)}
				}
				dns.zone["two.test."] = []dnsBody{address(watsonAddr)}
			})
			sc.talked(2 * time.Second)
			sc.clean()
		})
	}
}

// What a target resolves to may speak for Watson, over a connection of its own too, unless the operator says who may.
func TestWhatATargetResolvesToSpeaksForWatson(t *testing.T) {
	t.Parallel()
	for given, want := range map[bool]bool{false: true, true: false} {
		t.Run(fmt.Sprint("sources given ", given), func(t *testing.T) {
			t.Parallel()
			dns := newNameServer(t)
			sc := newScene(t, stageConfig{
				Resolver:  dns.resolver(),
				WatsonSet: func(c *watson.Config) { c.Behaviour.OwnConnection = true },
				Set: func(c *configs.Config) {
					at, err := uri.Parse(c.Watson.Targets[0])
					if err != nil {
						t.Fatal(err)
					}
					dns.set(func(dns *nameServer) { lead(watsonAddr)(dns, at.Port) })
					c.Watson.ServerName, c.Watson.Targets = "", []string{"sips:" + zoneName}
					c.Watson.Sources = configs.Default().Watson.Sources
					if given {
						c.Watson.Sources = []netip.Prefix{netip.MustParsePrefix("127.0.0.99/32")}
					}
				},
			})
			caller, assistant := sc.place(twilio.Options{})
			err := assistant.Hold(sc.ctx, watson.HoldInactive)
			if (err == nil) != want {
				t.Errorf("Watson's re-INVITE over its own connection: %v", err)
			}
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		})
	}
}

func TestCallsWhileDNSIsDeadOrSlow(t *testing.T) {
	t.Parallel()
	t.Run("dead before the start, back later", func(t *testing.T) {
		t.Parallel()
		dns := newNameServer(t)
		dns.dead = true
		sc, _ := named(t, dns, lead(watsonAddr))
		began := time.Now()
		caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
		sc.must(err)
		sc.over(caller, nil)
		if took, status := time.Since(began), caller.Ending().Status; took > 5*time.Second || status != 503 {
			t.Errorf("the caller heard %d after %v", status, took)
		}
		dns.set(func(dns *nameServer) { dns.dead = false })
		sc.talked(5 * time.Second)
		sc.clean()
	})
	t.Run("dead after the start", func(t *testing.T) {
		t.Parallel()
		dns := newNameServer(t)
		sc, _ := named(t, dns, lead(watsonAddr))
		sc.redial(sc.talked(2 * time.Second))
		dns.set(func(dns *nameServer) { dns.dead = true })
		sc.talked(2 * time.Second)
		sc.clean()
	})
	t.Run("dead before the first call, which the start has looked up for", func(t *testing.T) {
		t.Parallel()
		dns := newNameServer(t)
		sc, _ := named(t, dns, lead(watsonAddr))
		sc.until("the names are known", func() bool { return dns.answers() >= 5 }) // SRV, A and AAAA of the name, and of the record's host
		dns.set(func(dns *nameServer) { dns.dead = true })
		sc.talked(2 * time.Second)
		sc.clean()
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		dns := newNameServer(t)
		sc, _ := named(t, dns, lead(watsonAddr))
		sc.redial(sc.talked(2 * time.Second))
		dns.set(func(dns *nameServer) { dns.slow = 3 * time.Second })
		sc.talked(2 * time.Second)
		sc.clean()
	})
}

// A record that has changed is followed by the next dial.
func TestWatsonMovesBetweenTwoCalls(t *testing.T) {
	t.Parallel()
	dns := newNameServer(t)
	sc, cfg := named(t, dns, lead(watsonAddr))
	last := sc.talked(2 * time.Second)
	there := anotherWatson(t, *cfg, watson.Behaviour{}, sc.violations)
	dns.set(func(dns *nameServer) {
		dns.zone["_sips._tcp."+zoneName+"."] = []dnsBody{service(10, "two.test.", there.Addr().Port())}
		dns.zone["two.test."] = []dnsBody{address(there.Addr().Addr())}
	})
	sc.redial(last)
	first := sc.stage.watson
	sc.stage.watson = there
	sc.talked(2 * time.Second)
	there.Close()
	sc.stage.watson = first
	sc.clean()
}
