/* Traffic selectors of an SA against a packet. */
#include "esp/esp.h"

/* One selector; a list of them follows its count in memory. */
struct sel {
	struct ip start;
	struct ip end;
	uint16_t port_start;
	uint16_t port_end;
	uint8_t proto;
};

struct esp_ts {
	const struct alloc *mem;
	size_t n_local;
	size_t n_remote;
	struct sel sel[]; /* local, then remote */
};

static void copy(struct sel *to, const struct wire_ts_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		to[i] = (struct sel){ l->ts[i].start, l->ts[i].end, l->ts[i].port_start,
				      l->ts[i].port_end, l->ts[i].proto };
}

enum status esp_ts_new(const struct alloc *mem, const struct wire_ts_list *local,
		       const struct wire_ts_list *remote, struct esp_ts **ret_ts)
{
	struct esp_ts *ts;

	if (local->n > WIRE_MAX_TS || remote->n > WIRE_MAX_TS)
		return ST_INVAL;
	ts = mem_new(mem, sizeof(*ts) + (local->n + remote->n) * sizeof(ts->sel[0]));
	if (!ts)
		return ST_NOMEM;
	ts->mem = mem;
	ts->n_local = local->n;
	ts->n_remote = remote->n;
	copy(ts->sel, local);
	copy(ts->sel + local->n, remote);
	*ret_ts = ts;
	return ST_OK;
}

void esp_ts_free(struct esp_ts *ts)
{
	if (ts)
		mem_free(ts->mem, ts);
}

static bool in_range(const struct sel *s, const struct ip *a)
{
	size_t n = ip_len(a);

	return s->start.family == a->family && memcmp(s->start.b, a->b, n) <= 0 &&
	       memcmp(a->b, s->end.b, n) <= 0;
}

/* RFC 7296 section 3.13.1: 0-65535 is any port, said or not; 65535-0 is OPAQUE, a port that the
 * packet does not say. */
static bool port_fits(const struct sel *s, bool has_port, uint16_t port)
{
	if (s->port_start == 0 && s->port_end == UINT16_MAX)
		return true;
	if (s->port_start > s->port_end)
		return !has_port;
	return has_port && s->port_start <= port && port <= s->port_end;
}

static bool match(const struct sel *s, size_t n, const struct ip *addr, uint16_t port,
		  const struct wire_ip *ip)
{
	for (; n; n--, s++) {
		if (!in_range(s, addr))
			continue;
		if (s->proto && !(ip->has_proto && ip->proto == s->proto))
			continue;
		if (port_fits(s, ip->has_ports, port))
			return true;
	}
	return false;
}

bool esp_ts_match_out(const struct esp_ts *ts, const struct wire_ip *ip)
{
	return match(ts->sel, ts->n_local, &ip->src, ip->sport, ip) &&
	       match(ts->sel + ts->n_local, ts->n_remote, &ip->dst, ip->dport, ip);
}

bool esp_ts_match_in(const struct esp_ts *ts, const struct wire_ip *ip)
{
	return match(ts->sel, ts->n_local, &ip->dst, ip->dport, ip) &&
	       match(ts->sel + ts->n_local, ts->n_remote, &ip->src, ip->sport, ip);
}

enum esp_fault esp_in_check(const struct esp_ts *ts, const struct wire_ip *ip)
{
	return esp_ts_match_in(ts, ip) ? ESP_OK : ESP_F_SELECTOR;
}
