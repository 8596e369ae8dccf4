package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestLostRequestAndLostResponseOverUDPAreRepeated(t *testing.T) {
	a, b := newPeer(t, Config{}, UDP), newPeer(t, Config{}, UDP)
	a.Misbehave(Fault{Direction: Out, Count: 2, Match: MethodIs("OPTIONS")})
	b.Misbehave(Fault{Direction: Out, Count: 2, Match: StatusIs(200, "OPTIONS")})
	done := make(chan *Message, 1)
	ctx, conn := bounded(t), a.dial(t, b, UDP)
	go func() {
		r, err := a.Do(ctx, conn, request("OPTIONS", "1"))
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	r := receive(t, b.requests)
	if err := r.Respond(Respond(r.Message, 200, "OK", "b")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, done); got.Status() != 200 || Tag(got.Get("To")) != "b" {
		t.Errorf("got %v", got)
	}
	if len(b.requests) != 0 {
		t.Error("a retransmission reached the handler")
	}
}

func TestRequestThatNobodyAnswersTimesOut(t *testing.T) {
	a, b := newPeer(t, Config{T1: time.Millisecond}, UDP), newPeer(t, Config{}, UDP)
	if _, err := a.Do(bounded(t), a.dial(t, b, UDP), request("BYE", "1")); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
}

func TestRefusedInviteIsAcknowledgedWithItsBranch(t *testing.T) {
	a, b := newPeer(t, Config{}, UDP), newPeer(t, Config{}, UDP)
	a.Misbehave(Fault{Direction: Out, Count: 1, Match: MethodIs("ACK")}) // so the refusal comes twice
	replies := make(chan Reply, 8)
	tx, err := a.Start(a.dial(t, b, UDP), request("INVITE", "1").Add("Route", "<sip:r;lr>"), func(r Reply) { replies <- r })
	if err != nil {
		t.Fatal(err)
	}
	r := receive(t, b.requests)
	r.Respond(Respond(r.Message, 100, "Trying", ""))
	r.Respond(Respond(r.Message, 486, "Busy Here", "b"))
	if first, second := receive(t, replies), receive(t, replies); first.Response.Status() != 100 || second.Response.Status() != 486 {
		t.Errorf("got %v, %v", first, second)
	}
	eventually(t, r.Acked)
	if ack := tx.copied("ACK"); ack.Get("Via") != tx.Request().Get("Via") || ack.Get("Route") != "<sip:r;lr>" || ack.Get("CSeq") != "1 ACK" {
		t.Errorf("ACK %s", ack.Bytes())
	}
	if len(replies) != 0 || len(b.requests) != 0 {
		t.Error("the repeated refusal or its ACK was handed on")
	}
}

func TestAcceptedInviteIsRepeatedUntilItsACK(t *testing.T) {
	a, b := newPeer(t, Config{}, TCP), newPeer(t, Config{}, TCP)
	conn := a.dial(t, b, TCP)
	replies := make(chan Reply, 64)
	if _, err := a.Start(conn, request("INVITE", "5"), func(r Reply) { replies <- r }); err != nil {
		t.Fatal(err)
	}
	r := receive(t, b.requests)
	r.Respond(Respond(r.Message, 200, "OK", "b"))
	receive(t, replies)
	receive(t, replies)
	conn.Send(NewRequest("ACK", "sip:b").Add("Via", Via(TCP, "x", Branch())).Add("Call-ID", "one@example.com").Add("CSeq", "5 ACK"))
	if ack := receive(t, b.requests); ack.Method() != "ACK" || !r.Acked() {
		t.Errorf("the ACK of a 2xx did not reach the handler: %v", ack.Start)
	}
}

func TestCancelFindsItsInvite(t *testing.T) {
	a, b := newPeer(t, Config{}, TCP), newPeer(t, Config{}, TCP)
	tx, err := a.Start(a.dial(t, b, TCP), request("INVITE", "1"), func(Reply) {})
	if err != nil {
		t.Fatal(err)
	}
	invite := receive(t, b.requests)
	answered := make(chan *Message, 1)
	go func() {
		m, err := tx.Cancel(bounded(t), Header{"Reason", "SIP;cause=487"})
		if err != nil {
			t.Error(err)
		}
		answered <- m
	}()
	cancel := receive(t, b.requests)
	if cancel.Invite != invite || cancel.Get("Reason") == "" {
		t.Errorf("CANCEL %s belongs to %v", cancel.Bytes(), cancel.Invite)
	}
	cancel.Respond(Respond(cancel.Message, 200, "OK", "b"))
	if got := receive(t, answered); got.Status() != 200 {
		t.Errorf("got %v", got)
	}
}

func TestMessagesOfOneWriteStayInOrder(t *testing.T) {
	a, b := newPeer(t, Config{}, TCP), newPeer(t, Config{}, TCP)
	conn := a.dial(t, b, TCP)
	for i := range 200 {
		via := func() string { return Via(TCP, "x", Branch()) }
		err := conn.Send(request("INFO", "1").Push("Via", via()), request("BYE", "2").Push("Via", via()))
		if err != nil {
			t.Fatal(err)
		}
		if first, second := receive(t, b.requests), receive(t, b.requests); first.Method() != "INFO" || second.Method() != "BYE" {
			t.Fatalf("round %d: %s before %s", i, first.Method(), second.Method())
		}
	}
}

func TestMessageSplitOverSegmentsArrivesWhole(t *testing.T) {
	b := newPeer(t, Config{}, TCP)
	c, err := net.Dial("tcp", b.Addr(TCP).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw := request("INFO", "1").Push("Via", Via(TCP, "x", Branch())).SetBody("text/plain", []byte("hello")).Bytes()
	for i := range raw {
		if _, err := c.Write(raw[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if got := receive(t, b.requests); string(got.Body) != "hello" {
		t.Errorf("body %q", got.Body)
	}
	io.WriteString(c, "nonsense\r\n\r\n")
	if got := receive(t, b.malformed); !strings.HasPrefix(string(got), "nonsense") {
		t.Errorf("malformed: %q", got)
	}
}

func TestLostConnectionEndsItsTransactions(t *testing.T) {
	a, b := newPeer(t, Config{}, TCP), newPeer(t, Config{}, TCP)
	conn := a.dial(t, b, TCP)
	failed := make(chan error, 1)
	go func() {
		_, err := a.Do(bounded(t), conn, request("INFO", "1"))
		failed <- err
	}()
	receive(t, b.requests).Conn.Close()
	if err := receive(t, failed); !errors.Is(err, ErrLost) {
		t.Errorf("got %v", err)
	}
	if conn.Open() || conn.Send(request("BYE", "2")) == nil {
		t.Error("the connection counts as open")
	}
}

func TestPersistentRequestIsAnsweredOverAnotherConnection(t *testing.T) {
	a, b := newPeer(t, Config{Persistent: true}, TCP), newPeer(t, Config{}, TCP)
	conn := a.dial(t, b, TCP)
	answers := make(chan int, 1)
	go func() {
		m, err := a.Do(bounded(t), conn, request("INFO", "1"))
		if err != nil {
			t.Error(err)
			answers <- 0
			return
		}
		answers <- m.Status()
	}()
	r := receive(t, b.requests)
	r.Conn.Reset()
	<-conn.Closed()
	if err := b.dial(t, a, TCP).Send(Respond(r.Message, 200, "OK", "x")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, answers); got != 200 {
		t.Errorf("got %d", got)
	}
	if a.Accepted() != 1 || b.Accepted() != 1 {
		t.Errorf("accepted %d and %d", a.Accepted(), b.Accepted())
	}
}

func TestCutLeavesTLSWithoutCloseNotify(t *testing.T) {
	server, client := secured(t)
	b := newPeer(t, Config{ServerTLS: server}, TLS)
	for _, politely := range []bool{true, false} {
		tcp, err := net.Dial("tcp", b.Addr(TLS).String())
		if err != nil {
			t.Fatal(err)
		}
		counted := &counter{Conn: tcp}
		c := tls.Client(counted, &tls.Config{RootCAs: client.RootCAs, ServerName: "peer.example.com", MaxVersion: tls.VersionTLS12})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(request("OPTIONS", "1").Push("Via", Via(TLS, "x", Branch())).Bytes()); err != nil {
			t.Fatal(err)
		}
		before, accepted := counted.read, receive(t, b.requests).Conn
		if politely {
			accepted.Close()
		} else {
			accepted.Cut()
		}
		if _, err = c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("politely %t: the peer reads %v", politely, err)
		}
		if alert := counted.read > before; alert != politely {
			t.Errorf("politely %t: close_notify seen: %t", politely, alert)
		}
		c.Close()
	}
}

// counter counts what is read below TLS: crypto/tls itself does not tell a missing close_notify from a proper end.
type counter struct {
	net.Conn
	read int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read += n
	return n, err
}

func TestTLSVerifiesTheName(t *testing.T) {
	server, client := secured(t)
	a, b := newPeer(t, Config{ClientTLS: client}, UDP), newPeer(t, Config{ServerTLS: server}, TLS)
	conn := a.dial(t, b, TLS)
	if conn.Local().Addr() != netip.MustParseAddr("127.0.0.1") || conn.Local().Port() == 0 || conn.Accepted() || conn.Transport() != TLS {
		t.Errorf("dialled from %s", conn.Local())
	}
	if _, err := a.Dial(bounded(t), TLS, b.Addr(TLS), "other.example.com"); err == nil {
		t.Error("a certificate for another name was accepted")
	}
}

func TestDelayedMessageArrivesAfterTheNext(t *testing.T) {
	a, b := newPeer(t, Config{}, TCP), newPeer(t, Config{}, TCP)
	conn := a.dial(t, b, TCP)
	a.Misbehave(Fault{Direction: Out, Count: 1, Match: MethodIs("INFO"), Delay: 50 * time.Millisecond})
	conn.Send(request("INFO", "1").Push("Via", Via(TCP, "x", Branch())))
	conn.Send(request("BYE", "2").Push("Via", Via(TCP, "x", Branch())))
	if first, second := receive(t, b.requests), receive(t, b.requests); first.Method() != "BYE" || second.Method() != "INFO" {
		t.Errorf("%s before %s", first.Method(), second.Method())
	}
	b.Misbehave(Fault{Direction: In, Count: 1, Delay: time.Millisecond})
	conn.SendRaw(request("NOTIFY", "3").Push("Via", Via(TCP, "x", Branch())).Bytes())
	if got := receive(t, b.requests); got.Method() != "NOTIFY" {
		t.Errorf("got %s", got.Method())
	}
}

func TestTapSeesBothWays(t *testing.T) {
	var in, out atomic.Int32
	e, err := New(Config{Listen: []Listen{{UDP, netip.MustParseAddrPort("127.0.0.1:0")}}}, Deps{
		Handler: func(r *Request) { r.Respond(Respond(r.Message, 200, "OK", "e")) },
		Tap: func(m Tapped) {
			if m.Direction == In {
				in.Add(1)
			} else {
				out.Add(1)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	a := newPeer(t, Config{}, UDP)
	conn, err := a.Dial(bounded(t), UDP, e.Addr(UDP), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Do(bounded(t), conn, request("OPTIONS", "1")); err != nil {
		t.Fatal(err)
	}
	if in.Load() != 1 || out.Load() != 1 {
		t.Errorf("%d in, %d out", in.Load(), out.Load())
	}
}

func TestCloseEndsWhatIsPending(t *testing.T) {
	a, b := newPeer(t, Config{}, UDP, TCP), newPeer(t, Config{}, UDP, TCP)
	failed := make(chan Reply, 2)
	for i, transport := range []Transport{UDP, TCP} {
		m := request("INVITE", "1").Set("Call-ID", transport.String())
		if _, err := a.Start(a.dial(t, b, transport), m, func(r Reply) { failed <- r }); err != nil {
			t.Fatal(i, err)
		}
	}
	a.Close()
	for range 2 {
		if r := receive(t, failed); r.Err == nil {
			t.Errorf("got %v", r.Response.Start)
		}
	}
	if _, err := a.Start(b.dial(t, b, UDP), request("BYE", "1"), func(Reply) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx := bounded(t)
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it did not come to hold")
		}
	}
}
