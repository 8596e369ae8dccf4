package trace

import (
	"bytes"
	"cmp"
	"slices"
)

// messages are those of a story within so many bytes: the first half of them, and the newest that fit into the other. How
// a call began and how it ended tell most.
type messages struct {
	first   []entered
	text    []byte // of the first, one behind the other
	last    []entered
	lasting int // bytes of the last
	dropped int
}

// entered is a message in a story.
type entered struct {
	Passed
	thread *thread
	at     int // of the first: where its text begins
}

// overhead is what a message costs beside its text, in bytes.
const overhead = 160

// add keeps a copy of a message within room bytes, and tells false if one was dropped for it.
func (m *messages) add(p Passed, t *thread, room int) bool {
	cost := len(p.Raw) + overhead
	if len(m.last) == 0 && len(m.text)+len(m.first)*overhead+cost <= room/2 {
		e := entered{p, t, len(m.text)}
		m.text = append(m.text, p.Raw...)
		e.Raw = nil // it may move: text grows
		m.first = append(m.first, e)
		return true
	}
	fits := true
	for len(m.last) > 0 && m.lasting+cost > room/2 {
		m.lasting -= len(m.last[0].Raw) + overhead
		m.last[0] = entered{}
		m.last = m.last[1:]
		m.dropped++
		fits = false
	}
	if cost > room/2 {
		m.dropped++
		return false
	}
	p.Raw = bytes.Clone(p.Raw)
	m.last = append(m.last, entered{p, t, 0})
	m.lasting += cost
	return fits
}

// raw is the text of the i-th of the first.
func (m *messages) raw(i int) []byte {
	end := len(m.text)
	if i+1 < len(m.first) {
		end = m.first[i+1].at
	}
	return m.text[m.first[i].at:end]
}

// copied are all that are kept, with their text, in the order of their times.
func (m *messages) copied() []entered {
	all := slices.Concat(m.first, m.last)
	text := bytes.Clone(m.text)
	for i := range m.first {
		all[i].Raw = (&messages{first: m.first, text: text}).raw(i)
	}
	slices.SortStableFunc(all, func(a, b entered) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return all
}

// take adds what others were.
func (m *messages) take(others *messages, room int) {
	for _, e := range others.copied() {
		m.add(e.Passed, e.thread, room)
	}
	m.dropped += others.dropped
}

// reused bounds the room that the next story takes over.
const reused = 64 << 10

// emptied is the room of what was kept, for the next story.
func (m *messages) emptied() messages {
	if cap(m.text) > reused {
		return messages{}
	}
	clear(m.first)
	return messages{first: m.first[:0], text: m.text[:0]}
}
