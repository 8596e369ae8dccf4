// Package load plays both peers of many calls to a relay and tells what the relay made of their media.
//
// A Run sends RTP on every leg of its calls at 50 packets a second, in bursts or evenly spread, plain
// or sealed, impaired if wanted, and looks at every packet that comes back by the other leg: how long it
// took, whether it is the one that was sent, whether it came once and in turn. It owns what it is given
// wires for and nothing of the relay: which ports there are, and who told the relay of its peers, is the
// caller's affair, so that any relay can be measured.
//
// Run keeps the goroutine that calls it until the run is over, which it is by itself: a caller that wants
// the generator on a core of its own locks that goroutine to a thread and the thread to the core. All
// sending and receiving is done there; there are no locks.
//
//	side A: one socket             the relay                 side B: one socket
//	leg 0 ── seq, stamp, mark ──▶ port │ port ── the same, later ──▶ looked at
//	         looked at ◀────────  port │ port ◀────────────────  leg 1
//
// All legs of a side share a socket: a relay tells its calls apart by its own ports, and checks sources
// as it would those of a peer that has one address for all.
//
// RFC 3550 §5.1 (the packets), A.8 (jitter, by media/quality); RFC 3551 (PCMU at 20 ms).
package load
