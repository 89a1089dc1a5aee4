/*
 * common.h - what every data plane does the same way: lifetimes of a child in packets and bytes,
 * what is a reason for a tunnel, rates, and the counters whose names dp.h promises.
 */
#pragma once

#include "dp/dp.h"

struct dp_limit {
	uint64_t soft_packets, hard_packets, soft_bytes, hard_bytes; /* reached when above */
};

static inline struct dp_limit dp_limit_of(const struct dp_child *c)
{
	/* 0 means none, and becomes the largest number by wrapping. */
	return (struct dp_limit){ c->soft_packets - 1, c->hard_packets - 1, c->soft_bytes - 1,
				  c->hard_bytes - 1 };
}

/* With what one direction has carried so far. */
static inline bool dp_limit_soft(const struct dp_limit *l, uint64_t packets, uint64_t bytes)
{
	return packets > l->soft_packets || bytes > l->soft_bytes;
}

static inline bool dp_limit_hard(const struct dp_limit *l, uint64_t packets, uint64_t bytes)
{
	return packets > l->hard_packets || bytes > l->hard_bytes;
}

enum {
	DP_REFLECT_MS = 500, /* so long what came in may take on its way through the host */
	DP_FLOWS_PER_S = 1000, /* FLOW; what is not reported now is with a later packet */
};

/* dp_counts() of a packet; where it does not say what it is, it is somebody's traffic. */
static inline bool dp_counts_packet(const struct wire_ip *ip)
{
	return !ip->has_proto ||
	       dp_counts(ip->proto, ip->has_ports ? ip->sport : 0, ip->has_ports ? ip->dport : 0);
}

/* Tokens for what an outsider can provoke. */
struct dp_bucket {
	bool begun;
	int64_t last_ns;
	int64_t tokens_ns; /* time saved up */
};

/* Whether one of `per_s` events per second, with a burst of as many, may happen now. */
bool dp_bucket_take(struct dp_bucket *b, int64_t now_ns, int64_t per_s);

/* The first entries of every table of counters. */
enum dp_counter {
	DP_C_ESP_RX, /* + enum esp_fault */
	DP_C_TX_DISCARD = DP_C_ESP_RX + ESP_FAULTS,
	DP_C_TX_NO_SA,
	DP_C_TX_REFLECTED,
	DP_C_TX_NOT_DIRECT,
	DP_C_RX_UNKNOWN_SPI,
	DP_C_RX_EXPIRED,
	DP_COUNTERS,
};

#define DP_COUNTER_NAMES                                                                           \
	[DP_C_ESP_RX +                                                                             \
		ESP_OK] = "esp.rx.ok",                                                             \
		[DP_C_ESP_RX + ESP_F_SHORT] = "esp.rx.short",                                      \
		[DP_C_ESP_RX + ESP_F_SEQ_ZERO] = "esp.rx.seq_zero",                                \
		[DP_C_ESP_RX + ESP_F_REPLAY] = "esp.rx.replay",                                    \
		[DP_C_ESP_RX + ESP_F_OLD] = "esp.rx.old",                                          \
		[DP_C_ESP_RX + ESP_F_AUTH] = "esp.rx.auth",                                        \
		[DP_C_ESP_RX + ESP_F_PADDING] = "esp.rx.padding",                                  \
		[DP_C_ESP_RX + ESP_F_NEXT] = "esp.rx.next_header",                                 \
		[DP_C_ESP_RX + ESP_F_INNER] = "esp.rx.inner",                                      \
		[DP_C_ESP_RX + ESP_F_SELECTOR] = "esp.rx.selector",                                \
		[DP_C_ESP_RX + ESP_F_DUMMY] = "esp.rx.dummy",                                      \
		[DP_C_ESP_RX + ESP_F_NOT_DIRECT] = "esp.rx.not_direct",                            \
		[DP_C_TX_DISCARD] = "tx.discard", [DP_C_TX_NO_SA] = "tx.no_sa",                    \
		[DP_C_TX_REFLECTED] = "tx.reflected", [DP_C_TX_NOT_DIRECT] = "tx.not_direct",      \
		[DP_C_RX_UNKNOWN_SPI] = "rx.unknown_spi", [DP_C_RX_EXPIRED] = "rx.expired"
