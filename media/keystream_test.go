package media

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
	pion "github.com/pion/srtp/v3"

	"handoff/media/sdp"
	"handoff/metrics"
)

// No key ever covers two payloads at one SSRC and index, whoever sealed them: a call goes through all that
// signalling can do to it, in any order. Keys pass and are terminated, change and come back, tones are
// played between, bridges change, the process dies and goes on from a snapshot that is older than its last
// packets, and Watson takes the very SSRC that the edge would have taken next. Whatever the peers hear, and
// whatever they seal themselves, is booked. Every payload here is another one, and what nobody but chance
// keeps apart counts as used twice: under a key an SSRC has one writer, and a stream of the edge's own does
// not outlive the key, nor the process.
func TestNoKeyCoversTwoPayloads(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWalk(t, seed)
			for range 250 {
				w.step()
			}
			w.book()
			w.silence()
			// Now and then a packet crosses a change of keys.
			if w.booked < 80 || w.unread*10 > w.booked || len(w.done) < 7 {
				t.Errorf("%d packets booked, %d that nobody could open, after %v", w.booked, w.unread, w.done)
			}
		})
	}
}

// walk is a call that wanders.
type walk struct {
	talk
	*testing.T
	rand *rand.Rand
	rig  rig
	// contexts are of whoever holds a key and listens. They have no replay protection, so that an index
	// used twice is seen.
	contexts map[string]*pion.Context
	stop     func() // of the tone
	heard    uint32 // the source that A heard last
	said     uint64 // packets that went to the edge since the sessions began, or since the last restore
	before   uint64 // what it had counted by then
	writers  map[writer]string
	epochs   map[*talker]int // how often a talker was told another key
	restores int
	booked   int
	unread   int
	done     map[string]int
}

// writer is who seals under a key and an SSRC.
type writer struct {
	key  string
	ssrc uint32
}

func newWalk(t *testing.T, seed uint64) *walk {
	r := newRig(t, 3)
	w := &walk{
		talk: newTalk(t, r, passed), T: t, rand: rand.New(rand.NewPCG(seed, 7)), rig: r,
		contexts: map[string]*pion.Context{}, done: map[string]int{}, writers: map[writer]string{}, epochs: map[*talker]int{},
	}
	return w
}

func (w *walk) step() {
	p := w.rand.Float64()
	for _, action := range []struct {
		name  string
		until float64
		do    func()
	}{
		{"speak", 0.70, w.speak}, {"report", 0.76, w.report}, {"play", 0.82, w.play}, {"bridge", 0.86, w.rebridge},
		{"pass", 0.88, w.pass}, {"terminate", 0.92, w.terminate}, {"collide", 0.96, w.collide}, {"restore", 1, w.restore},
	} {
		if p < action.until {
			w.done[action.name]++
			action.do()
			return
		}
	}
}

func (w *walk) talkers() ([]*talker, []*Endpoint) {
	return []*talker{w.pa, w.pb, w.pc}, []*Endpoint{w.a, w.b, w.c}
}

func (w *walk) speak() {
	who, at := w.talkers()
	n := w.rand.IntN(3)
	w.say(who[n], at[n])
}

func (w *walk) say(p *talker, to *Endpoint) {
	w.wrote(writer{p.own.Reveal(), p.ssrc}, "its owner")
	p.say(to)
	w.said++
}

func (w *walk) wrote(by writer, who string) {
	w.Helper()
	if was, ok := w.writers[by]; ok && was != who {
		w.Errorf("source %x: %s writes where %s wrote", by.ssrc, who, was)
	}
	w.writers[by] = who
}

func (w *walk) report() {
	who, at := w.talkers()
	n := w.rand.IntN(3)
	who[n].reports(at[n], w.heard)
}

// play begins a tone or ends it.
func (w *walk) play() {
	if w.stop != nil {
		w.silence()
		return
	}
	_, at := w.talkers()
	w.playTo(at[w.rand.IntN(2)])
}

func (w *walk) playTo(x *Endpoint) {
	before := x.carrier.Report().Sent
	stop, err := w.Play(x, &counting{n: w.rand.Uint64()})
	if err != nil {
		w.Fatal(err)
	}
	w.stop = stop
	eventually(w.T, func() bool { return x.carrier.Report().Sent > before })
}

func (w *walk) silence() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// counting is a source whose every frame is another one.
type counting struct{ n uint64 }

func (*counting) PayloadType() uint8 { return 0 }

func (c *counting) Next(buf []byte) (int, bool) {
	c.n++
	clear(buf[:160])
	binary.BigEndian.PutUint64(buf, c.n)
	return 160, true
}

func (w *walk) rebridge() {
	if w.rand.IntN(2) == 0 {
		w.Bridge(w.a, w.c)
	} else {
		w.Bridge(w.a, w.b)
	}
}

func (w *walk) pass()      { w.rekey('B', 'A') }
func (w *walk) terminate() { w.rekey("14B"[w.rand.IntN(3)], "25"[w.rand.IntN(2)]) }

// rekey is a re-INVITE on both legs, which tells A and B other keys to hear by.
func (w *walk) rekey(toldA, toldB byte) {
	w.settle()
	w.Freeze()
	w.drain()
	for p, told := range map[*talker]sdp.Key{w.pa: keyOf(w, toldA), w.pb: keyOf(w, toldB)} {
		if !told.Equal(p.told) {
			p.told = told
			w.epochs[p]++
		}
	}
	set(w, w.a, w.pa.remote())
	set(w, w.b, w.pb.remote())
	w.Thaw()
}

// collide has Watson speak under an SSRC that the edge would take next toward A, and A hear by Watson's key
// again what the edge plays.
func (w *walk) collide() {
	w.rekey('1', '2')
	w.Bridge(w.a, w.b)
	w.say(w.pb, w.b)
	w.book()
	next := w.heard + 1 + uint32(w.rand.IntN(2))
	if _, used := w.writers[writer{w.pb.own.Reveal(), next}]; !used {
		w.pb.ssrc = next
	}
	w.say(w.pb, w.b)
	eventually(w.T, func() bool { return w.b.carrier.Report().Stream.SSRC == w.pb.ssrc }) // now the edge can know
	w.pass()
	w.silence()
	w.playTo(w.a)
}

// restore goes on from a snapshot after which packets were sent.
func (w *walk) restore() {
	snap := w.Snapshot()
	for range 1 + w.rand.IntN(5) {
		w.speak()
		w.report()
	}
	w.book()
	w.silence()
	w.Close()
	w.drain()
	w.restores++
	s, err := w.rig.Restore(snap)
	if err != nil {
		w.Fatal(err)
	}
	all := s.Endpoints()
	w.Session, w.a, w.b, w.c = s, all[0], all[1], all[2]
	w.said, w.before = 0, w.counted()
}

// counted is how many packets the edge has read.
func (w *walk) counted() (n uint64) {
	for _, s := range w.Stats() {
		n += s.Received + s.Foreign[metrics.ForeignAuth]
	}
	return n
}

// book enters what everybody heard of what was said.
func (w *walk) book() {
	w.settle()
	w.Freeze() // what is in work has left
	w.Thaw()
	w.drain()
}

// settle waits until the edge has read what was said.
func (w *walk) settle() {
	eventually(w.T, func() bool { return w.counted()-w.before >= w.said })
}

// drain enters what everybody heard.
func (w *walk) drain() {
	who, _ := w.talkers()
	for _, p := range who {
		for b := p.rtp.queued(); b != nil; b = p.rtp.queued() {
			w.enter(p, b)
		}
		for b := p.rtcp.queued(); b != nil; b = p.rtcp.queued() {
			p.noteReport(p.told, b)
		}
	}
}

func (w *walk) enter(p *talker, b []byte) {
	key := p.told.Reveal()
	if w.contexts[key] == nil {
		master, salt := p.told.Master()
		w.contexts[key], _ = pion.CreateContext(master, salt, pion.ProtectionProfileAes128CmHmacSha1_80)
	}
	plain, err := w.contexts[key].DecryptRTP(nil, b, nil)
	if err != nil {
		w.unread++
		return
	}
	var got rtp.Packet
	if err := got.Unmarshal(plain); err != nil {
		w.Fatal(err)
	}
	roc, _ := w.contexts[key].ROC(got.SSRC)
	at := position{key: key, ssrc: got.SSRC, counter: uint64(roc)<<16 | uint64(got.SequenceNumber)}
	if w.pa.ledger.pages[at] == string(got.Payload) {
		w.wrote(writer{key, got.SSRC}, "its owner")
	} else {
		w.wrote(writer{key, got.SSRC}, fmt.Sprintf("the edge to %p, %d.%d", p, w.restores, w.epochs[p]))
	}
	w.pa.ledger.note(p.told, at, got.Payload)
	w.booked++
	if p == w.pa {
		w.heard = got.SSRC
	}
}

// queued returns a packet that has come already, nil for none.
func (w *wire) queued() []byte {
	w.t.Helper()
	_ = w.conn.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
	buf := make([]byte, 2048)
	n, _, err := w.conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}
