/*
 * keylog.c - Wireshark's key tables: comma-separated values, one record a line, hexadecimal keys.
 *
 *	ikev2_decryption_table	SPIi,SPIr,SK_ei,SK_er,"cipher",SK_ai,SK_ar,"integrity"
 *	esp_sa
 *"IPv4","source","destination","0xSPI","cipher","0xkey","integrity","0xkey"
 *
 * Keys of AES-GCM have their salt behind them (RFC 5282 section 7.1, RFC 4106 section 8.1).  An ESP
 * record stands for one direction; addresses are "*", because a NAT or a move changes them and the
 * SPI is enough.
 */
#include "obs/obs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	KEYLOG_LINE_MAX = 1024,
};

struct obs_keylog {
	int ike;
	int esp;
};

static bool is_gcm(const struct crypto_cipher *c)
{
	return c->encr == CRYPTO_AES_GCM_16 && c->integ == CRYPTO_INTEG_NONE &&
	       (c->key_bits == 128 || c->key_bits == 192 || c->key_bits == 256);
}

enum status obs_keylog_ike_line(struct text *out, const struct ike_out *keys)
{
	unsigned long long spi_i = keys->u.keys.spi_i, spi_r = keys->u.keys.spi_r;

	if (!is_gcm(&keys->u.keys.cipher))
		return ST_INVAL;
	text_fmt(out, "%016llx,%016llx,", spi_i, spi_r);
	text_hex(out, keys->u.keys.sk_ei);
	text_add(out, ",");
	text_hex(out, keys->u.keys.sk_er);
	text_fmt(out, ",\"AES-GCM-%u with 16 octet ICV [RFC5282]\",,,\"NONE [RFC4306]\"\n",
		 keys->u.keys.cipher.key_bits);
	return ST_OK;
}

enum status obs_keylog_esp_line(struct text *out, unsigned family, uint32_t spi,
				const struct esp_keys *keys)
{
	if (!is_gcm(&keys->cipher))
		return ST_INVAL;
	text_fmt(out,
		 "\"IPv%u\",\"*\",\"*\",\"0x%08x\",\"AES-GCM with 16 octet ICV [RFC4106]\",\"0x",
		 family, spi);
	text_hex(out, secret_bytes(&keys->encr));
	text_add(out, "\",\"NULL\",\"\"\n");
	return ST_OK;
}

/* ---- files ---- */

/* Ours alone: a link, a pipe or a file prepared by somebody else is refused, without waiting. */
static enum status open_table(int dir, const char *name, struct text *why, int *ret_fd)
{
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = openat(dir, name, flags, 0600);
	struct stat sb;

	if (fd < 0) {
		text_fmt(why, "%s: %s", name, strerror(errno));
		return ST_IO;
	}
	if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && sb.st_uid == geteuid() &&
	    sb.st_nlink == 1 && fchmod(fd, 0600) == 0) {
		*ret_fd = fd;
		return ST_OK;
	}
	text_fmt(why, "%s: not a file of our own", name);
	close(fd);
	return ST_IO;
}

static enum status open_tables(struct obs_keylog *k, const char *dir, struct text *why)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum status st;

	if (fd < 0) {
		text_add(why, strerror(errno));
		return ST_IO;
	}
	st = open_table(fd, "ikev2_decryption_table", why, &k->ike);
	if (st == ST_OK)
		st = open_table(fd, "esp_sa", why, &k->esp);
	close(fd);
	return st;
}

void obs_keylog_free(struct obs_keylog *k)
{
	if (!k)
		return;
	if (k->ike >= 0)
		close(k->ike);
	if (k->esp >= 0)
		close(k->esp);
	mem_free(&mem_libc, k);
}

enum status obs_keylog_new(const char *dir, struct text *why, struct obs_keylog **ret_keylog)
{
	struct obs_keylog *k = mem_new(&mem_libc, sizeof(*k));
	enum status st;

	if (!k)
		return ST_NOMEM;
	k->ike = k->esp = -1;
	text_fmt(why, "key log in %s: ", dir);
	st = open_tables(k, dir, why);
	if (st == ST_OK)
		*ret_keylog = k;
	else
		obs_keylog_free(k);
	return st;
}

/* One write, so that a reader never sees half a record. */
static enum status append(int fd, const struct text *t)
{
	return write(fd, t->p, t->n) == (ssize_t)t->n ? ST_OK : ST_IO;
}

enum status obs_keylog_ike(struct obs_keylog *k, const struct ike_out *keys)
{
	char buf[KEYLOG_LINE_MAX];
	struct text line = TEXT_OF(buf);
	enum status st = obs_keylog_ike_line(&line, keys);

	if (st == ST_OK)
		st = append(k->ike, &line);
	wipe(buf, sizeof(buf));
	return st;
}

enum status obs_keylog_child(struct obs_keylog *k, const struct dp_child *child)
{
	unsigned family = child->remote.ip.family;
	char buf[KEYLOG_LINE_MAX];
	struct text lines = TEXT_OF(buf);
	enum status st = obs_keylog_esp_line(&lines, family, child->spi_in, &child->in);

	if (st == ST_OK)
		st = obs_keylog_esp_line(&lines, family, child->spi_out, &child->out);
	if (st == ST_OK)
		st = append(k->esp, &lines);
	wipe(buf, sizeof(buf));
	return st;
}
