package stack

import (
	"errors"
	"maps"
	"slices"
	"sync"
)

// table holds the transactions. Its lock is inside theirs: they come and leave under their own.
type table struct {
	max int // server transactions of requests outside dialogs; those of the client are as many as the edge itself sends

	mu      sync.Mutex
	server  map[imprint]*ServerTx
	client  map[imprint]*ClientTx
	settled settled
}

func newTable(max int) table {
	return table{max: max, server: map[imprint]*ServerTx{}, client: map[imprint]*ClientTx{}}
}

var (
	errTableFull = errors.New("too many transactions")
	errSettled   = errors.New("settled meanwhile")
)

// open returns the transaction of a key, or puts in the one that make makes. fresh tells which. Two
// copies of one request that arrive at once on two sockets get one transaction. What says that it is of a dialog finds
// room when nothing new does any more: a call that is up must be able to end.
func (t *table) open(key imprint, ofDialog bool, make func() *ServerTx) (tx *ServerTx, fresh bool, _ error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tx, ok := t.server[key]; ok {
		return tx, false, nil
	}
	if _, ok := t.settled.find(key); ok {
		return nil, false, errSettled
	}
	most := t.max
	if ofDialog {
		most *= 2
	}
	if len(t.server)+t.settled.servers >= most {
		return nil, false, errTableFull
	}
	tx = make()
	t.server[key] = tx
	return tx, true, nil
}

func (t *table) serverTx(key imprint) *ServerTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.server[key]
}

func (t *table) closeServer(tx *ServerTx) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server[tx.key] == tx {
		delete(t.server, tx.key)
	}
}

func (t *table) put(tx *ClientTx) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.client[tx.key] = tx
}

func (t *table) clientTx(key imprint) *ClientTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.client[key]
}

func (t *table) closeClient(tx *ClientTx) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client[tx.key] == tx {
		delete(t.client, tx.key)
	}
}

func (t *table) clients() []*ClientTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.client))
}

func (t *table) servers() []*ServerTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.server))
}

// settleServer leaves of a request of a peer what its copies get.
func (t *table) settleServer(tx *ServerTx, e echo, text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server[tx.key] == tx {
		delete(t.server, tx.key)
		t.settled.put(tx.key, e, text, true, t)
	}
}

// settleClient leaves of a request of ours that copies of its response concern nobody.
func (t *table) settleClient(tx *ClientTx) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client[tx.key] == tx {
		delete(t.client, tx.key)
		t.settled.put(tx.key, echo{}, nil, false, t)
	}
}

func (t *table) dropOld() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled.dropOld()
}

// echo tells what a copy of a settled transaction gets.
func (t *table) echo(key imprint) (remembered, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled.find(key)
}

// knows tells whether there is, or was half a minute ago, a transaction with that key.
func (t *table) knows(key imprint) bool {
	_, settled := t.echo(key)
	return settled || t.serverTx(key) != nil || t.clientTx(key) != nil
}

// len counts the transactions, settled ones too.
func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.server) + len(t.client) + t.settled.len()
}

// terminate ends all that still wait for retransmissions.
func (t *table) terminate() {
	for _, tx := range t.servers() {
		tx.terminate()
	}
	for _, tx := range t.clients() {
		tx.Terminate()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled.clear()
}
