/*
 * common.h - what every data plane does the same way: lifetimes of a child in packets and bytes,
 * and the counters whose names dp.h promises.
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

/* The first entries of every table of counters. */
enum dp_counter {
	DP_C_ESP_RX, /* + enum esp_fault */
	DP_C_TX_DISCARD = DP_C_ESP_RX + ESP_FAULTS,
	DP_C_TX_NO_SA,
	DP_C_RX_UNKNOWN_SPI,
	DP_C_RX_EXPIRED,
	DP_COUNTERS,
};

#define DP_COUNTER_NAMES                                                                           \
	[DP_C_ESP_RX + ESP_OK] = "esp.rx.ok", [DP_C_ESP_RX + ESP_F_SHORT] = "esp.rx.short",        \
		       [DP_C_ESP_RX + ESP_F_SEQ_ZERO] = "esp.rx.seq_zero",                         \
		       [DP_C_ESP_RX + ESP_F_REPLAY] = "esp.rx.replay",                             \
		       [DP_C_ESP_RX + ESP_F_OLD] = "esp.rx.old",                                   \
		       [DP_C_ESP_RX + ESP_F_AUTH] = "esp.rx.auth",                                 \
		       [DP_C_ESP_RX + ESP_F_PADDING] = "esp.rx.padding",                           \
		       [DP_C_ESP_RX + ESP_F_NEXT] = "esp.rx.next_header",                          \
		       [DP_C_ESP_RX + ESP_F_INNER] = "esp.rx.inner",                               \
		       [DP_C_ESP_RX + ESP_F_SELECTOR] = "esp.rx.selector",                         \
		       [DP_C_ESP_RX + ESP_F_DUMMY] = "esp.rx.dummy",                               \
		       [DP_C_TX_DISCARD] = "tx.discard", [DP_C_TX_NO_SA] = "tx.no_sa",             \
		       [DP_C_RX_UNKNOWN_SPI] = "rx.unknown_spi", [DP_C_RX_EXPIRED] = "rx.expired"
