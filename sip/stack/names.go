package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// freshWithin is how long an answer is waited for when an older one could serve.
	freshWithin = 250 * time.Millisecond
	// queryTime bounds a question. It is longer than any dial waits: a late answer is for the next one.
	queryTime = 15 * time.Second
	// maxNames bounds what is remembered, and what is asked at one time; a configuration has a handful.
	maxNames = 256
)

// Resolver asks the name servers; *net.Resolver is one. Both methods return when ctx is over. One that finds that there is no such
// record says so by a *net.DNSError with IsNotFound.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	// LookupSRV returns records in the order in which they are to be tried (RFC 2782).
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// question is what a name server is asked: for the addresses of a host or, with a service, for its SRV records.
type question struct{ service, proto, host string }

// answer is of one of two kinds, as the question was.
type answer struct {
	addrs   []netip.Addr
	records []*net.SRV // none: there is no such service, which is an answer too
	asked   time.Time
}

// names asks the name servers, and knows the last good answers for when they are dead or slow: a host that was there an hour ago is most
// likely there.
//
// Nothing is taken from memory that a name server is willing to tell: each dial asks anew, so no answer is used beyond the TTL by which
// the system's resolver keeps it, and a change is followed by the next dial. Only who does not answer within freshWithin is answered for,
// by what is known (RFC 8767 §5); his answer is kept when it comes.
type names struct {
	resolver Resolver // nil: the system's
	timeout  time.Duration
	log      *zap.Logger
	ctx      context.Context   // ends all questions
	spawn    func(func()) bool // false: shutting down

	mu       sync.Mutex
	good     map[question]answer
	open     map[question]*query
	expected []target // those of LookUp
}

// query is a question under way, one for all who ask the same.
type query struct {
	question
	began time.Time
	done  chan struct{}
	// final once done is closed
	answer answer
	err    error
}

var errSlow = errors.New("no answer in time")

// ask begins to ask, unless somebody else has just done so. It does not block. What somebody waited for in vain is asked again: name
// servers that are back answer new questions only.
func (n *names) ask(what question) *query {
	n.mu.Lock()
	defer n.mu.Unlock()
	if q := n.open[what]; q != nil && time.Since(q.began) < n.timeout {
		return q
	}
	q := &query{question: what, began: time.Now(), done: make(chan struct{})}
	switch {
	case len(n.open) >= maxNames:
		q.err = errCrowd
		close(q.done)
	case !n.spawn(func() { n.run(q) }): // ends with queryTime, or when Close cancels the context
		q.err = errShutdown
		close(q.done)
	default:
		n.open[what] = q
	}
	return q
}

func (n *names) run(q *query) {
	ctx, cancel := context.WithTimeout(n.ctx, queryTime)
	defer cancel()
	found, err := n.resolve(ctx, q.question)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open[q.question] == q {
		delete(n.open, q.question)
	}
	if found.asked = q.began; err == nil {
		n.keepLocked(q.question, found)
	}
	q.answer, q.err = found, err
	close(q.done)
}

func (n *names) resolve(ctx context.Context, what question) (answer, error) {
	var resolver Resolver = net.DefaultResolver
	if n.resolver != nil {
		resolver = n.resolver
	}
	if what.service == "" {
		addrs, err := resolver.LookupNetIP(ctx, "ip", what.host)
		if err == nil && len(addrs) == 0 {
			err = errors.New("no address")
		}
		return answer{addrs: alternating(addrs)}, err
	}
	_, records, err := resolver.LookupSRV(ctx, what.service, what.proto, what.host)
	if none := (*net.DNSError)(nil); errors.As(err, &none) && none.IsNotFound {
		return answer{}, nil
	}
	if len(records) > 0 { // the rest was malformed
		err = nil
	}
	return answer{records: records[:min(len(records), maxAddrs)]}, err
}

// await waits for an answer: for limit, or only until freshWithin after the question when an older answer can serve.
func (n *names) await(q *query, limit time.Duration) (answer, error) {
	old, known := n.known(q.question)
	if known {
		limit = freshWithin - time.Since(q.began)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
	case <-n.ctx.Done():
		return answer{}, n.ctx.Err()
	}
	now, err := q.result()
	if err != nil && known {
		n.log.Warn("name not resolved, the last good answer serves", zap.Stringer("name", q.question), zap.Error(err))
		return old, nil
	}
	return now, err
}

func (q *query) result() (answer, error) {
	select {
	case <-q.done:
		return q.answer, q.err
	default:
		return answer{}, errSlow
	}
}

func (n *names) known(what question) (answer, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, there := n.good[what]
	return a, there
}

// keepLocked remembers an answer, unless there is one to a later question.
func (n *names) keepLocked(what question, a answer) {
	old, there := n.good[what]
	if there && !old.asked.After(a.asked) || !there && len(n.good) < maxNames {
		n.good[what] = a
	}
}

func (q question) String() string {
	if q.service == "" {
		return q.host
	}
	return fmt.Sprintf("_%s._%s.%s", q.service, q.proto, q.host)
}

// alternating returns the addresses with the families taking turns, the first one's first (RFC 8305 §4): one that leads nowhere shall
// not stand before the whole other one.
func alternating(addrs []netip.Addr) []netip.Addr {
	var turns [2][]netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		turn := 0
		if a.Is4() != addrs[0].Unmap().Is4() {
			turn = 1
		}
		turns[turn] = append(turns[turn], a)
	}
	var all []netip.Addr
	for i := range addrs {
		for _, family := range turns {
			if i < len(family) && len(all) < maxAddrs {
				all = append(all, family[i])
			}
		}
	}
	return all
}
