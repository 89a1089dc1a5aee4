/*
 * nft.h - one table of nftables: is nf_tables there, what do its counters say, has somebody touched
 * it.
 *
 * Rule sets are written by libnftables (see guard/filter.c); this is what has to be quick, or has
 * to wait for news.
 *
 * The watch knows our own changes without being told of them: they replace the whole table in one
 * transaction, so everything the kernel reports of it after NEWTABLE, up to the end of that
 * transaction (NEWGEN), is new.  Any other change of the table is somebody else's.
 */
#pragma once

#include "base/base.h"

struct plat_nft;

enum { PLAT_NFT_NAME_MAX = 32 };

/* `table` is of the family inet.  ST_IO also when the kernel has no nf_tables. */
MUST enum status plat_nft_new(int ns, const char *table, struct text *why,
			      struct plat_nft **ret_nft);
void plat_nft_free(struct plat_nft *n);

struct plat_nft_counter {
	const char *name;
	uint64_t packets;
	uint64_t bytes;
};

/* The table's named counters; no table has none. */
typedef void plat_nft_counter_fn(void *ctx, const struct plat_nft_counter *c);
MUST enum status plat_nft_counters(struct plat_nft *n, plat_nft_counter_fn *fn, void *ctx,
				   struct text *why);

/* Readable when some table changed. */
int plat_nft_fd(const struct plat_nft *n);
/* Takes all news; true when the table was touched since the last call and not made anew after
 * that, or may have been (news were lost). */
bool plat_nft_touched(struct plat_nft *n);
/* Takes all news after a change just made; true when somebody else has changed the table since. */
bool plat_nft_settle(struct plat_nft *n);
