/*
 * A site asks another one (talk.c), through the hub or straight, and is answered.  Packets are
 * numbered, and their contents follow from who asks whom what, so that nothing can be changed,
 * repeated or ascribed to somebody else without being noticed.
 *
 *	IPv4 header | UDP header | mark (8) | from (4) | to (4) | number (8) | kind (4) | sum (8)
 */
#include "check.h"

enum {
	IP_LEN = 20,
	BODY = IP_LEN + 8,
	MARK_LEN = 8,
	AT_FROM = BODY + MARK_LEN,
	AT_TO = AT_FROM + 4,
	AT_NUMBER = AT_TO + 4,
	AT_KIND = AT_NUMBER + 8,
	AT_SUM = AT_KIND + 4,
	PROTO_UDP = 17,
	QUESTION = 1,
	ANSWER = 2,
	PORT = 7777,
};

static const uint8_t mark[MARK_LEN] = { 'i', 'n', ' ', 'c', 'l', 'e', 'a', 'r' };

bool app_readable(struct bytes b)
{
	return b.n >= MARK_LEN && memmem(b.p, b.n, mark, MARK_LEN);
}

static uint16_t checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += load_be16(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint64_t sum_of(const uint8_t *p)
{
	static const uint64_t key[2] = { 0x61707073, 0x73756d };

	return siphash(key, bytes_of(p + BODY, AT_SUM - BODY));
}

static void write_packet(uint8_t *p, const struct machine *from, const struct machine *to,
			 uint64_t number, uint32_t kind)
{
	memset(p, 0, INNER_LEN);
	p[0] = 0x45;
	store_be16(p + 2, INNER_LEN);
	p[8] = 64;
	p[9] = PROTO_UDP;
	memcpy(p + 12, from->inside.b, 4);
	memcpy(p + 16, to->inside.b, 4);
	store_be16(p + 10, checksum(p, IP_LEN));
	store_be16(p + 20, PORT);
	store_be16(p + 22, PORT);
	store_be16(p + 24, INNER_LEN - IP_LEN);
	memcpy(p + BODY, mark, MARK_LEN);
	store_be32(p + AT_FROM, from->number);
	store_be32(p + AT_TO, to->number);
	store_be64(p + AT_NUMBER, number);
	store_be32(p + AT_KIND, kind);
	store_be64(p + AT_SUM, sum_of(p));
}

static struct machine *by_number(const struct sim *s, uint32_t number)
{
	for (unsigned i = 0; i < s->sc->hubs; i++)
		if (s->machine[i].number == number)
			return &s->machine[i];
	return number >= 1 && number <= s->sc->sites ? &s->machine[s->sc->hubs + number - 1] : NULL;
}

struct machine *app_sender(const struct machine *at, struct bytes inner, struct machine **ret_to)
{
	const struct sim *s = at->s;
	struct machine *from, *to;

	if (inner.n != INNER_LEN || inner.p[9] != PROTO_UDP)
		return NULL;
	from = by_number(s, load_be32(inner.p + AT_FROM));
	to = by_number(s, load_be32(inner.p + AT_TO));
	if (load_be64(inner.p + AT_SUM) != sum_of(inner.p) || !from || !to ||
	    memcmp(inner.p + 12, from->inside.b, 4) != 0 ||
	    memcmp(inner.p + 16, to->inside.b, 4) != 0 || checksum(inner.p, IP_LEN) != 0)
		check_failed(s, at, from, "a packet was changed on its way");
	*ret_to = to;
	return from;
}

struct machine *app_asker(const struct machine *at, struct bytes inner, uint64_t *ret_number,
			  bool *ret_question)
{
	struct machine *to, *from = app_sender(at, inner, &to);

	if (!from)
		return NULL;
	*ret_number = load_be64(inner.p + AT_NUMBER);
	*ret_question = load_be32(inner.p + AT_KIND) == QUESTION;
	return *ret_question ? from : to;
}

/* `from` is the machine itself, or another hub that it stands for. */
static void send_packet(struct machine *m, const struct machine *from, const struct machine *to,
			uint64_t number, uint32_t kind)
{
	uint8_t p[INNER_LEN];

	write_packet(p, from, to, number, kind);
	plane_out(m, BYTES_OF(p));
}

/* ---- moves --------------------------------------------------------------------------------- */

/* Between a site and its hub, as long as nothing else is on their lines. */
static dur_t round_trip(const struct machine *m)
{
	const struct machine *hub = m->app.partner;

	return (dur_t){ 2 * (m->line.delay.ns + hub->line.delay.ns) };
}

/* Asked so often, which is added to what it may take; and what all bytes take on the lines. */
static dur_t hurry(const struct machine *m)
{
	return (dur_t){ round_trip(m).ns / 8 };
}

static mono_t must_be_answered(const struct machine *m)
{
	int64_t ns = m->app.trips * round_trip(m).ns + hurry(m).ns + dur_ms(1).ns;

	return mono_add(m->app.moved, (dur_t){ ns });
}

static void check_move(struct machine *m)
{
	if (m->app.moved.ns && mono_before(must_be_answered(m), m->s->now.mono))
		check_failed(m->s, m, m->app.partner,
			     "no answer %lld us after a move; a round trip takes %lld",
			     (long long)(mono_since(m->s->now.mono, m->app.moved).ns / 1000),
			     (long long)(round_trip(m).ns / 1000));
}

struct in_flight {
	const struct machine *m;
	uint64_t spi_i; /* of the SA */
	bool ours, theirs; /* a request of that end */
};

static bool note_theirs(void *ctx, const struct ike_sa_info *info)
{
	struct in_flight *f = ctx;

	f->theirs |= info->asks && f->spi_i == info->spi_i;
	return !f->theirs;
}

static bool note_ours(void *ctx, const struct ike_sa_info *info)
{
	struct in_flight *f = ctx;
	const struct machine *hub = f->m->app.partner;

	f->ours |= info->asks;
	f->spi_i = info->spi_i;
	if (hub->ike)
		ike_each_sa(hub->ike, hub->s->now, note_theirs, f);
	return !f->theirs;
}

/* A request under way is over before there may be one about the move (RFC 4555 section 3.5): ours
 * goes out again at once, which is a round trip more; the hub's when its time has come. */
void app_moves(struct machine *m)
{
	struct in_flight f = { .m = m };

	if (!m->s->sc->trips || !m->ike || !m->s->sc->to_hub || m->good.ns == MONO_NEVER.ns ||
	    m->s->phase == PHASE_LEAVING)
		return;
	ike_each_sa(m->ike, m->s->now, note_ours, &f);
	if (f.theirs)
		return;
	m->app.trips = m->s->sc->trips + f.ours;
	m->app.moved = m->s->now.mono;
	m->app.first = m->app.asked + 1;
}

/* The engine knows. */
void app_moved(struct machine *m)
{
	if (m->app.moved.ns == m->s->now.mono.ns)
		app_ask(m);
}

/* ---- questions and answers ----------------------------------------------------------------- */

static dur_t pause_of(struct machine *m)
{
	if (m->app.began.ns)
		return talk_hurry(m);
	return m->app.moved.ns ? hurry(m) : (dur_t){ dice_in(&m->dice, &m->s->sc->traffic) };
}

/* On lines without faults. */
static void check_lost(const struct machine *m)
{
	if (m->app.awaited)
		check_failed(m->s, m, m->app.partner, "question %llu, or its answer, was lost",
			     (unsigned long long)m->app.asked);
}

void app_ask(struct machine *m)
{
	check_move(m);
	check_lost(m);
	if (m->s->sc->swift)
		check_black_hole(m);
	if (!talk_goes_on(m))
		return;
	heap_arm(&m->s->timers, &m->ask, mono_add(m->s->now.mono, pause_of(m)));
	if (!m->ike || m->leaving || !m->inside.family || !m->app.partner->inside.family)
		return;
	m->s->counts.asked++;
	m->app.open++;
	m->app.awaited = m->s->sc->lossless && m->s->phase == PHASE_FAULTS && m->s->counts.checks;
	send_packet(m, m, m->app.partner, ++m->app.asked, QUESTION);
}

static void answered(struct machine *m, uint64_t number)
{
	m->s->counts.answered++;
	check_answered(m);
	talk_answered(m, number);
	if (number == m->app.asked)
		m->app.awaited = false;
	if (!m->app.moved.ns || number < m->app.first)
		return;
	check_move(m);
	m->s->counts.moves++;
	m->app.moved.ns = 0;
	heap_arm(&m->s->timers, &m->ask, mono_add(m->s->now.mono, pause_of(m)));
}

/* False: it was here before.  What fell out of the window has been under way for hours. */
static bool first_time(struct esp_window *w, uint64_t number)
{
	if (esp_window_test(w, number) != ESP_OK)
		return false;
	esp_window_set(w, number);
	return true;
}

void app_input(struct machine *m, struct bytes inner)
{
	struct machine *to, *from = app_sender(m, inner, &to);
	uint64_t number = load_be64(inner.p + AT_NUMBER);
	bool question = load_be32(inner.p + AT_KIND) == QUESTION;

	if (!from)
		return; /* an error of the network */
	if (to != m && !(to->hub && m->hub))
		check_failed(m->s, m, from, "a packet for %s came out here", to->name);
	if (question ? talk_asked(from, number) != to : talk_asked(to, number) != from)
		check_failed(m->s, m, from, "a packet that nobody sent");
	if (!first_time(question ? &from->app.questions : &m->app.answers, number))
		check_failed(m->s, m, from, "packet %llu came out twice",
			     (unsigned long long)number);
	if (question) {
		send_packet(m, to, from, number, ANSWER);
		return;
	}
	answered(m, number);
}
