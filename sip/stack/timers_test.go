package stack

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

// piped is a stack without sockets and one connection to it, in a synctest bubble.
func piped(t *testing.T, silence time.Duration, change ...func(*Config)) (*node, *Flow, *wirePeer) {
	s := newSeen()
	cfg := Config{Public: "edge.example.com"}
	for _, c := range change {
		c(&cfg)
	}
	st := newStack(cfg, deps(t, s))
	near, far := net.Pipe()
	f := &Flow{stack: st, transport: TCP, remote: netip.MustParseAddrPort("192.0.2.1:5060"),
		peer: metrics.PeerTwilio, stream: newStream(near, near, cfg.PingEvery)}
	st.attach(f)
	st.spawn(func() { st.readStream(f, silence) }) // ends when Close closes the connection
	p := peerOn(t, far)
	far.SetDeadline(time.Time{})
	return &node{st, s}, f, p
}

func TestRequestWithoutAnswerTimesOut(t *testing.T) {
	for _, method := range []sipmsg.RequestMethod{sipmsg.INVITE, sipmsg.REFER} {
		synctest.Test(t, func(t *testing.T) {
			n, f, p := piped(t, 0)
			defer n.Close()
			go io.Copy(io.Discard, p) // ends when Close closes the connection
			got, sink := events()
			began := time.Now()
			hop := hopTo(t, "sip:a@b.example;transport=tcp")
			hop.Flow = f
			n.Send(newRequest(t, method, "sip:a@b.example"), hop, sink)
			ev := <-got
			wantError(t, ev, ErrTimeout, true)
			if took := time.Since(began); took != 32*time.Second {
				t.Errorf("%s after %s", method, took)
			}
			synctest.Wait() // the transaction forgets itself when it has told
			n.table.mu.Lock()
			defer n.table.mu.Unlock()
			if len(n.table.client) != 0 {
				t.Error("transaction kept")
			}
		})
	}
}

func TestTransactionsAreForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, p := piped(t, 0)
		defer n.Close()
		p.send(rawRequest("INVITE", "kept", 1) + rawRequest("BYE", "gone", 2))
		invite, bye := <-n.seen.requests, <-n.seen.requests
		p.read() // 100
		go io.Copy(io.Discard, p)
		bye.Respond(bye.Response(200, "OK"))
		invite.Respond(invite.Response(200, "OK"))
		left := func() int { synctest.Wait(); return len(n.table.servers()) }
		if left() != 1 {
			t.Error("a BYE on a connection has no copies to wait for")
		}
		if time.Sleep(31 * time.Second); left() != 1 { // synctest: no real time
			t.Error("INVITE forgotten before timer L")
		}
		if time.Sleep(2 * time.Second); left() != 0 {
			t.Error("INVITE kept behind timer L")
		}
	})
}

func TestSilentConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, _ := piped(t, 30*time.Second)
		defer n.Close()
		time.Sleep(29 * time.Second)
		if synctest.Wait(); !f.Open() {
			t.Error("closed too early")
		}
		time.Sleep(2 * time.Second)
		if synctest.Wait(); f.Open() {
			t.Error("kept")
		}
	})
}

func TestConnectionThatSpokeMayBeQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, p := piped(t, 30*time.Second)
		defer n.Close()
		p.send(rawRequest("OPTIONS", "hello", 1))
		<-n.seen.requests
		time.Sleep(59 * time.Minute)
		if synctest.Wait(); !f.Open() {
			t.Error("closed")
		}
		time.Sleep(2 * time.Minute)
		if synctest.Wait(); f.Open() {
			t.Error("kept")
		}
	})
}

func TestIdleConnectionIsKeptWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, p := piped(t, 0, func(c *Config) { c.IdleTimeout = time.Minute })
		defer n.Close()
		p.send(rawRequest("INVITE", "ringing", 1))
		tx := <-n.seen.requests
		p.read()                      // 100
		time.Sleep(150 * time.Second) // within Timer C
		tx.Respond(tx.Response(180, "Ringing"))
		if m := p.read(); m.start() != "SIP/2.0 180 Ringing" {
			t.Error(m.start())
		}
		tx.Respond(tx.Response(200, "OK"))
		p.read()
		time.Sleep(20 * time.Second)
		p.send("\r\n\r\n") // a ping is a sign of life
		p.bytes(2)         // the pong
		time.Sleep(50 * time.Second)
		if synctest.Wait(); !f.Open() {
			t.Error("closed in spite of the ping")
		}
		time.Sleep(time.Minute)
		if synctest.Wait(); f.Open() {
			t.Error("kept")
		}
	})
}

func TestPeerThatDoesNotReadIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, _ := piped(t, 0)
		defer n.Close()
		w, err := n.guard(requestDraft(newRequest(t, sipmsg.INFO, "sip:a@b.example")).withVia("SIP/2.0/TCP h;branch=z9hG4bK1"), f)
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		for ; f.send(w) == nil; sent++ {
			synctest.Wait()
		}
		if f.Open() || sent != maxQueued+1 { // one is with the writer
			t.Errorf("open %t after %d messages", f.Open(), sent)
		}
		if synctest.Wait(); n.seen.rejects(metrics.RejectQueue) != 1 {
			t.Error("not counted")
		}
	})
}

func TestStuckWriteClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, p := piped(t, 0)
		defer n.Close()
		p.send(rawRequest("OPTIONS", "stuck", 1))
		tx := <-n.seen.requests
		if err := tx.Respond(tx.Response(200, "OK")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(writeTimeout + time.Second)
		if synctest.Wait(); f.Open() {
			t.Error("kept")
		}
	})
}

func TestServerTransactionSendsTryingByItselfAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, p := piped(t, 0)
		defer n.Close()
		p.send(rawRequest("INVITE", "trying", 1))
		if m := p.read(); m.start() != "SIP/2.0 100 Trying" {
			t.Error(m.start())
		}
		<-n.seen.requests
		time.Sleep(time.Minute) // RFC 3261's own 100 after 200 ms must not come
		synctest.Wait()
		if got := n.seen.count("out INVITE 100"); got != 1 {
			t.Errorf("%d times 100", got)
		}
	})
}
