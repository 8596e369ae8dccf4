//go:build ignore

// SPDX-License-Identifier: Apache-2.0
//
// (The first line keeps the go command away from a C file without cgo.)
//
// The relay of RTP inside the kernel. A packet that matches the live slot of its destination port
// exactly is rewritten and sent on; everything else goes up, as if the program were not there.
//
//	             destination port → slot
//	  ingress ──── exact match? ──── claim ── count ── rewrite ── release ── redirect
//	                    │              │
//	                    └──── no ──────┴─→ up: the stack, the socket, userspace
//
// The same steps serve tc (tcx or clsact, any device with an Ethernet header, loopback too) and XDP
// (drivers that can), which sits below tc and leaves to it whatever it cannot do.
//
// Written for a verifier that trusts nobody (no CAP_PERFMON): lengths come from headers, never from
// the difference of two pointers.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "slot.h"
#include "stream.h"

#define AF_INET 2
#define AF_INET6 10

// The first port that has a slot; set before loading, as the number of slots is.
const volatile __u16 first_port = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sample);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

struct rtp {
	__u8 first; // version, padding, extension, number of CSRC
	__u8 type;  // marker, payload type
	__be16 sequence;
	__be32 timestamp, ssrc;
};

enum { RTP_EXTENDED = 0x10, RTP_SOURCES = 0x0f, RTP_MARKER = 0x80 };

// A packet on its way through a program. The pointers are into the packet.
struct packet {
	void *ctx;
	bool xdp;
	struct ethhdr *eth;
	struct udphdr *udp;
	struct rtp *rtp;
	__u32 payload; // offset of the UDP payload from the frame's start
	__u32 length;  // of the UDP payload
};

/* ---- matching ---- */

static __always_inline struct slot *slot_of(const struct udphdr *udp)
{
	__u32 index = bpf_ntohs(udp->dest) - first_port; // below the first is above the last
	struct slot *slot = bpf_map_lookup_elem(&slots, &index);

	if (!slot || *(volatile __u32 *)&slot->state == OFF)
		return NULL;
	// A slot has gone cold since its last packet. What the program will write is fetched now, beside the first
	// line and not one line after the other behind the claim, which is a barrier: a twelfth of the program's time
	// where packets come one by one.
	(void)*(volatile __u64 *)&slot->packets;
	(void)*(volatile __u64 *)&slot->seen;
	return slot;
}

// RTP of version 2, and not RTCP on the same port (RFC 5761 §4).
static __always_inline bool is_rtp(const struct rtp *rtp)
{
	__u8 type = rtp->type & ~RTP_MARKER;

	return rtp->first >> 6 == 2 && !(type >= 64 && type <= 95);
}

static __always_inline bool same6(const __be32 *a, const __be32 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

enum match { ELSEWHERE, FOREIGN, EXACT };

static __always_inline enum match match4(const struct slot *slot, const struct iphdr *ip, const struct udphdr *udp)
{
	if (slot->flags & V6 || ip->daddr != slot->v4.local)
		return ELSEWHERE;
	return ip->saddr == slot->v4.from && udp->source == slot->from_port ? EXACT : FOREIGN;
}

static __always_inline enum match match6(const struct slot *slot, const struct ipv6hdr *ip, const struct udphdr *udp)
{
	if (!(slot->flags & V6) || !same6(ip->daddr.in6_u.u6_addr32, slot->v6.local))
		return ELSEWHERE;
	return same6(ip->saddr.in6_u.u6_addr32, slot->v6.from) && udp->source == slot->from_port ? EXACT : FOREIGN;
}

static __always_inline void count_foreign(struct slot *slot)
{
	__sync_fetch_and_add(&slot->foreign, 1);
}

// A claimed slot is this packet's own. A second packet of the flow at the same time (the flow moved to
// another queue) goes up.
static __always_inline bool claim(struct slot *slot)
{
	return __sync_val_compare_and_swap(&slot->state, LIVE, BUSY) == LIVE;
}

// The exchange is also the barrier that shows the owner all that was counted.
static __always_inline void release(struct slot *slot)
{
	__sync_lock_test_and_set(&slot->state, LIVE);
}

/* ---- events ---- */

// The four bytes of a telephone-event (RFC 4733 §2.3), behind the header, its sources and its extension.
static __always_inline bool read_event(const struct packet *p, struct event *e)
{
	__u8 body[4];
	__u32 offset = p->payload + sizeof(struct rtp) + (p->rtp->first & RTP_SOURCES) * 4;

	if (p->rtp->first & RTP_EXTENDED) { // RFC 3550 §5.3.1: its length in words, without this one
		if (p->xdp ? bpf_xdp_load_bytes(p->ctx, offset, body, 4) : bpf_skb_load_bytes(p->ctx, offset, body, 4))
			return false;
		offset += 4 + (body[2] << 8 | body[3]) * 4;
	}
	if (offset + 4 > p->payload + p->length)
		return false;
	if (p->xdp ? bpf_xdp_load_bytes(p->ctx, offset, body, 4) : bpf_skb_load_bytes(p->ctx, offset, body, 4))
		return false;
	e->code = body[0];
	e->end_volume = body[1];
	e->duration = body[2] << 8 | body[3];
	return true;
}

// An event is reported when it is first heard of and, where it can be read, when its end is. All its
// packets have one timestamp; what was sent again, or comes late, is not reported.
static __always_inline void report(struct slot *slot, const struct packet *p, __u64 now)
{
	__u32 timestamp = bpf_ntohl(p->rtp->timestamp);
	struct event e = {
		.at = now, .ssrc = bpf_ntohl(p->rtp->ssrc), .timestamp = timestamp,
		.port = bpf_ntohs(p->udp->dest), .type = p->rtp->type & ~RTP_MARKER,
	};

	if (slot->event != UNHEARD && (__s32)(timestamp - slot->event_timestamp) < 0)
		return;
	if (slot->flags & DIGITS)
		e.readable = read_event(p, &e);
	__u8 stage = e.readable && e.end_volume & 0x80 ? ENDED : BEGUN;
	if (slot->event >= stage && timestamp == slot->event_timestamp)
		return;
	slot->event = stage;
	slot->event_timestamp = timestamp;
	if (bpf_ringbuf_output(&events, &e, sizeof(e), 0))
		slot->events_lost++;
}

/* ---- samples ---- */

// keep copies the packet whole: whether its SRTP is authentic can be told from nothing less.
static __always_inline void keep(struct slot *slot, const struct packet *p)
{
	__u32 index = bpf_ntohs(p->udp->dest) - first_port, length = p->length;
	struct sample *sample = bpf_map_lookup_elem(&samples, &index);

	slot->wanted = 0;
	if (!sample || length < sizeof(struct rtp) || length > sizeof(sample->b))
		return;
	if (p->xdp ? bpf_xdp_load_bytes(p->ctx, p->payload, sample->b, length) :
		     bpf_skb_load_bytes(p->ctx, p->payload, sample->b, length))
		return;
	__sync_lock_test_and_set(&sample->length, length); // behind the bytes
}

/* ---- taking a packet into account ---- */

// May this packet of a claimed slot be forwarded? If so it is counted.
static __always_inline bool take(struct slot *slot, const struct packet *p)
{
	__u64 now = bpf_ktime_get_ns();
	__u16 sequence = bpf_ntohs(p->rtp->sequence);
	__u32 ssrc = bpf_ntohl(p->rtp->ssrc);

	if (now > slot->deadline)
		return false;
	// What becomes of another stream than the one that was taken over is for userspace to say.
	if (slot->flags & ONE_STREAM && ssrc != slot->ssrc)
		return false;
	if (slot->awaited) {
		if (sequence != (__u16)(slot->highest + 1))
			return false;
		slot->awaited = 0;
	}
	slot->packets++;
	slot->bytes += p->length;
	slot->last_seen = now;
	slot->type = p->rtp->type & ~RTP_MARKER;
	stream_receive(slot, sequence, bpf_ntohl(p->rtp->timestamp), ssrc, now);
	if (slot->events && slot->events == (p->rtp->type & ~RTP_MARKER))
		report(slot, p, now);
	if (*(volatile __u8 *)&slot->wanted)
		keep(slot, p);
	return true;
}

/* ---- checksums (RFC 1071, RFC 1624) ---- */

// Sums are of 32-bit words in 64 bits: a few additions do not overflow.
static __always_inline __u32 fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (__u32)((sum & 0xffffffff) + (sum >> 32));
}

static __always_inline __u16 fold16(__u64 sum)
{
	__u32 s = fold32(sum);

	s = (s & 0xffff) + (s >> 16);
	return (__u16)((s & 0xffff) + (s >> 16));
}

static __always_inline __u64 change(__be32 old, __be32 new)
{
	return (__u64)(__u32)~old + new;
}

// No checksum is zero on the wire: that says that there is none (RFC 768).
static __always_inline __sum16 updated(__sum16 check, __u64 delta)
{
	__u16 sum = ~fold16((__u16)~check + delta);

	return sum ? sum : 0xffff;
}

// What a socket of this machine sent over a device that computes checksums (loopback, veth, virtio)
// comes with the sum of its pseudo header only, and the kernel tells us by nothing else. A true
// checksum can equal that sum by chance: so equality only selects the way that is right for both.
static __always_inline bool maybe_partial(const struct udphdr *udp, __u64 addresses)
{
	return udp->check == fold16(addresses + udp->len + bpf_htons(IPPROTO_UDP));
}

// set_ports rewrites the ports, and the checksum with them. addresses is the change of the addresses;
// returned is the change of the UDP header, whose checksum makes up for addresses and ports.
static __always_inline __u64 set_ports(struct packet *p, const struct slot *slot, __u64 addresses)
{
	__u64 ports = change(p->udp->source, slot->out_port) + change(p->udp->dest, slot->to_port);

	p->udp->source = slot->out_port;
	p->udp->dest = slot->to_port;
	if (!p->udp->check)
		return ports;
	p->udp->check = updated(p->udp->check, addresses + ports);
	return (__u32)~fold32(addresses);
}

// set_ports_helped does it by the helpers, which know what the checksum covers: 100 ns more. The
// pointers are of no use behind it.
static __always_inline void set_ports_helped(struct packet *p, const struct slot *slot, __u64 addresses)
{
	struct __sk_buff *skb = p->ctx;
	__u32 field = p->payload - sizeof(struct udphdr) + offsetof(struct udphdr, check);
	__be16 source = p->udp->source, dest = p->udp->dest, out = slot->out_port, to = slot->to_port;

	p->udp->source = out;
	p->udp->dest = to;
	bpf_l4_csum_replace(skb, field, 0, fold32(addresses), BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0);
	bpf_l4_csum_replace(skb, field, source, out, BPF_F_MARK_MANGLED_0 | sizeof(out));
	bpf_l4_csum_replace(skb, field, dest, to, BPF_F_MARK_MANGLED_0 | sizeof(to));
}

/* ---- rewriting ---- */

enum { HOPS = 64 }; // the TTL of all that leaves: a carrier drops media with a low one

static __always_inline __u64 set_addresses4(struct iphdr *ip, const struct slot *slot)
{
	__u64 delta = change(ip->saddr, slot->v4.out) + change(ip->daddr, slot->v4.to);

	// Words in network order: the TTL is the first byte of its word, the protocol the second.
	__u64 ttl = change(bpf_htons(ip->ttl << 8), bpf_htons(HOPS << 8));

	ip->saddr = slot->v4.out;
	ip->daddr = slot->v4.to;
	ip->ttl = HOPS;
	ip->check = ~fold16((__u16)~ip->check + delta + ttl);
	return delta;
}

static __always_inline __u64 set_addresses6(struct ipv6hdr *ip, const struct slot *slot)
{
	__u64 delta = 0;

	for (int i = 0; i < 4; i++) {
		delta += change(ip->saddr.in6_u.u6_addr32[i], slot->v6.out[i]);
		delta += change(ip->daddr.in6_u.u6_addr32[i], slot->v6.to[i]);
		ip->saddr.in6_u.u6_addr32[i] = slot->v6.out[i];
		ip->daddr.in6_u.u6_addr32[i] = slot->v6.to[i];
	}
	return delta;
}

static __always_inline __u64 sum6(const struct ipv6hdr *ip)
{
	__u64 sum = 0;

	for (int i = 0; i < 4; i++)
		sum += (__u64)ip->saddr.in6_u.u6_addr32[i] + ip->daddr.in6_u.u6_addr32[i];
	return sum;
}

static __always_inline void set_macs(struct ethhdr *eth, const struct slot *slot)
{
	__builtin_memcpy(eth->h_dest, slot->to_mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, slot->out_mac, ETH_ALEN);
}

/* ---- headers ---- */

enum { OFFSET4 = ETH_HLEN + sizeof(struct iphdr), OFFSET6 = ETH_HLEN + sizeof(struct ipv6hdr) };
enum { SHORTEST = sizeof(struct udphdr) + sizeof(struct rtp) };

// No options, no fragment, nothing that contradicts itself.
static __always_inline bool plain4(const struct iphdr *ip, const struct udphdr *udp)
{
	return *(const __u8 *)ip == 0x45 && ip->protocol == IPPROTO_UDP && !(ip->frag_off & bpf_htons(0x3fff)) &&
	       bpf_ntohs(udp->len) >= SHORTEST && bpf_ntohs(ip->tot_len) == sizeof(*ip) + bpf_ntohs(udp->len);
}

// No extension headers; and IPv6 has no UDP without checksum (RFC 8200 §8.1).
static __always_inline bool plain6(const struct ipv6hdr *ip, const struct udphdr *udp)
{
	return ip->version == 6 && ip->nexthdr == IPPROTO_UDP && bpf_ntohs(udp->len) >= SHORTEST &&
	       ip->payload_len == udp->len && udp->check;
}

static __always_inline bool fits(const struct slot *slot, __u32 ip_length)
{
	return !slot->mtu || ip_length <= slot->mtu;
}

/* ---- tc ---- */

// What goes up is also for other programs at this hook to see.
enum { TC_UP = TC_ACT_UNSPEC };

// covered is the change of all that a device's own sum of the packet from the IP header on covers
// (CHECKSUM_COMPLETE); without such a sum the helper does nothing.
static __always_inline void cover(struct __sk_buff *skb, __u64 covered)
{
	bpf_csum_update(skb, fold32(covered));
}

static __always_inline int tc4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr *ip = (void *)(p->eth + 1);
	struct slot *slot;

	if (!plain4(ip, p->udp) || skb->len < ETH_HLEN + bpf_ntohs(ip->tot_len))
		return TC_UP;
	slot = slot_of(p->udp);
	if (!slot)
		return TC_UP;
	switch (match4(slot, ip, p->udp)) {
	case ELSEWHERE:
		return TC_UP;
	case FOREIGN:
		count_foreign(slot);
		return TC_UP;
	case EXACT:
		break;
	}
	p->length = bpf_ntohs(p->udp->len) - sizeof(struct udphdr);
	if (!is_rtp(p->rtp) || !fits(slot, bpf_ntohs(ip->tot_len)) || !claim(slot))
		return TC_UP;
	// Once more, for the slot may have changed before it was claimed.
	if (match4(slot, ip, p->udp) != EXACT || !take(slot, p)) {
		release(slot);
		return TC_UP;
	}

	bool partial = maybe_partial(p->udp, (__u64)ip->saddr + ip->daddr);
	__u64 delta = set_addresses4(ip, slot);
	__u32 ifindex = slot->ifindex;
	struct bpf_redir_neigh next;

	__builtin_memset(&next, 0, sizeof(next)); // whole: nothing may be left of the stack
	next.nh_family = AF_INET;
	next.ipv4_nh = slot->v4.hop;

	if (partial)
		set_ports_helped(p, slot, delta);
	else // the sum over the IP header stays the same, by its own checksum
		cover(skb, set_ports(p, slot, delta));
	release(slot);
	return bpf_redirect_neigh(ifindex, &next, sizeof(next), 0);
}

static __always_inline int tc6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr *ip = (void *)(p->eth + 1);
	struct slot *slot;

	if (!plain6(ip, p->udp) || skb->len < OFFSET6 + bpf_ntohs(ip->payload_len))
		return TC_UP;
	slot = slot_of(p->udp);
	if (!slot)
		return TC_UP;
	switch (match6(slot, ip, p->udp)) {
	case ELSEWHERE:
		return TC_UP;
	case FOREIGN:
		count_foreign(slot);
		return TC_UP;
	case EXACT:
		break;
	}
	p->length = bpf_ntohs(p->udp->len) - sizeof(struct udphdr);
	if (!is_rtp(p->rtp) || !fits(slot, sizeof(*ip) + bpf_ntohs(ip->payload_len)) || !claim(slot))
		return TC_UP;
	if (match6(slot, ip, p->udp) != EXACT || !take(slot, p)) {
		release(slot);
		return TC_UP;
	}

	bool partial = maybe_partial(p->udp, sum6(ip));
	__u64 delta = set_addresses6(ip, slot);
	__u32 ifindex = slot->ifindex;
	struct bpf_redir_neigh next;
	__u64 hops = change(bpf_htons(ip->hop_limit), bpf_htons(HOPS));

	next.nh_family = AF_INET6;
	__builtin_memcpy(next.ipv6_nh, slot->hop6, sizeof(next.ipv6_nh));
	ip->hop_limit = HOPS;
	if (partial)
		set_ports_helped(p, slot, delta);
	else
		cover(skb, delta + hops + set_ports(p, slot, delta));
	release(slot);
	return bpf_redirect_neigh(ifindex, &next, sizeof(next), 0);
}

// headers points into the packet, or is false for what is too short for RTP.
static __always_inline bool headers(struct packet *p, void *data, void *end, __u32 udp)
{
	p->eth = data;
	p->udp = data + udp;
	p->rtp = (void *)(p->udp + 1);
	p->payload = udp + sizeof(struct udphdr);
	return (void *)(p->rtp + 1) <= end;
}

// tc_headers copes with a driver that left the headers in a fragment of the buffer.
static __always_inline bool tc_headers(struct packet *p, struct __sk_buff *skb, __u32 udp)
{
	if (headers(p, (void *)(long)skb->data, (void *)(long)skb->data_end, udp))
		return true;
	if (skb->len < udp + SHORTEST || bpf_skb_pull_data(skb, udp + SHORTEST))
		return false;
	return headers(p, (void *)(long)skb->data, (void *)(long)skb->data_end, udp);
}

SEC("tc")
int relay_tc(struct __sk_buff *skb)
{
	struct packet p = { .ctx = skb };

	// For this host, one packet, and not of a VLAN whose own device is yet to see it.
	if (skb->pkt_type != 0 /* PACKET_HOST */ || skb->gso_size || skb->vlan_present)
		return TC_UP;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return tc_headers(&p, skb, OFFSET4) ? tc4(skb, &p) : TC_UP;
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return tc_headers(&p, skb, OFFSET6) ? tc6(skb, &p) : TC_UP;
	return TC_UP;
}

/* ---- XDP ---- */

static __always_inline int send_frame(struct xdp_md *ctx, __u32 ifindex)
{
	return ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(ifindex, 0);
}

static __always_inline int xdp4(struct xdp_md *ctx, struct packet *p)
{
	struct iphdr *ip = (void *)(p->eth + 1);
	struct slot *slot;

	if (!plain4(ip, p->udp))
		return XDP_PASS;
	__u32 total = bpf_ntohs(ip->tot_len);
	if (ETH_HLEN + total > bpf_xdp_get_buff_len(ctx))
		return XDP_PASS;
	slot = slot_of(p->udp);
	// What goes up from here is looked at, and counted, by tc.
	if (!slot || match4(slot, ip, p->udp) != EXACT || !(slot->flags & FRAMED) || !fits(slot, total))
		return XDP_PASS;
	p->length = bpf_ntohs(p->udp->len) - sizeof(struct udphdr);
	if (maybe_partial(p->udp, (__u64)ip->saddr + ip->daddr) || !is_rtp(p->rtp) || !claim(slot))
		return XDP_PASS;
	if (match4(slot, ip, p->udp) != EXACT || !(slot->flags & FRAMED) || !take(slot, p)) {
		release(slot);
		return XDP_PASS;
	}

	set_ports(p, slot, set_addresses4(ip, slot));
	set_macs(p->eth, slot);
	__u32 ifindex = slot->ifindex;
	release(slot);
	return send_frame(ctx, ifindex);
}

static __always_inline int xdp6(struct xdp_md *ctx, struct packet *p)
{
	struct ipv6hdr *ip = (void *)(p->eth + 1);
	struct slot *slot;

	if (!plain6(ip, p->udp))
		return XDP_PASS;
	__u32 payload = bpf_ntohs(ip->payload_len);
	if (OFFSET6 + payload > bpf_xdp_get_buff_len(ctx))
		return XDP_PASS;
	slot = slot_of(p->udp);
	if (!slot || match6(slot, ip, p->udp) != EXACT || !(slot->flags & FRAMED) || !fits(slot, sizeof(*ip) + payload))
		return XDP_PASS;
	p->length = bpf_ntohs(p->udp->len) - sizeof(struct udphdr);
	if (maybe_partial(p->udp, sum6(ip)) || !is_rtp(p->rtp) || !claim(slot))
		return XDP_PASS;
	if (match6(slot, ip, p->udp) != EXACT || !(slot->flags & FRAMED) || !take(slot, p)) {
		release(slot);
		return XDP_PASS;
	}

	set_ports(p, slot, set_addresses6(ip, slot));
	ip->hop_limit = HOPS;
	set_macs(p->eth, slot);
	__u32 ifindex = slot->ifindex;
	release(slot);
	return send_frame(ctx, ifindex);
}

SEC("xdp")
int relay_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet p = { .ctx = ctx, .xdp = true };
	struct ethhdr *eth = data;

	// To one host, which is us but on a device that listens to all.
	if ((void *)(eth + 1) > end || eth->h_dest[0] & 1)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return headers(&p, data, end, OFFSET4) ? xdp4(ctx, &p) : XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return headers(&p, data, end, OFFSET6) ? xdp6(ctx, &p) : XDP_PASS;
	return XDP_PASS;
}

// No helper in use is reserved to the GPL.
char __license[] SEC("license") = "Apache-2.0";
