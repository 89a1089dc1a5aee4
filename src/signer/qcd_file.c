/*
 * qcd_file.c - the secret that QCD tokens are made with (RFC 6290 section 5.1), in a file.
 *
 *	warren-qcd-1 0123...cdef\n		32 bytes in hexadecimal
 *
 * Made when there is none.  What else is there is to be replaced by who opened it: tokens that
 *peers have fit nothing any more then, which costs time after a crash and nothing else.
 */
#include "signer/internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/process.h"

static const char head[] = "warren-qcd-1 ";

enum {
	HEAD = sizeof(head) - 1,
	SECRET = 32,
	FILE_LEN = HEAD + 2 * SECRET + 1,
};

static void write_text(const struct secret *s, char ret[static FILE_LEN])
{
	static const char digits[] = "0123456789abcdef";

	memcpy(ret, head, HEAD);
	for (size_t i = 0; i < SECRET; i++) {
		ret[HEAD + 2 * i] = digits[s->b[i] >> 4];
		ret[HEAD + 2 * i + 1] = digits[s->b[i] & 15];
	}
	ret[FILE_LEN - 1] = '\n';
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_text(const char *text, size_t n, struct secret *ret)
{
	struct secret s = { .n = SECRET };
	bool ok = n == FILE_LEN && memcmp(text, head, HEAD) == 0 && text[FILE_LEN - 1] == '\n';

	for (size_t i = 0; ok && i < SECRET; i++) {
		int high = digit(text[HEAD + 2 * i]), low = digit(text[HEAD + 2 * i + 1]);

		ok = high >= 0 && low >= 0;
		s.b[i] = (uint8_t)(high << 4 | low);
	}
	if (ok)
		*ret = s;
	secret_done(&s);
	return ok;
}

static enum status make(int fd, struct secret *ret, struct text *why)
{
	struct secret s = { .n = SECRET };
	char text[FILE_LEN];
	enum status st = ST_OK;

	plat_random(s.b, SECRET);
	write_text(&s, text);
	if (pwrite(fd, text, sizeof(text), 0) != (ssize_t)sizeof(text) || fsync(fd) < 0) {
		text_add(why, "the secret for QCD tokens cannot be written");
		plat_errno(why, errno);
		st = ST_IO;
	} else {
		*ret = s;
	}
	wipe(text, sizeof(text));
	secret_done(&s);
	return st;
}

enum status qcd_file(int fd, struct secret *ret, struct text *why)
{
	char text[FILE_LEN + 1]; /* one more than it may have */
	struct stat sb;
	ssize_t n;
	bool good;

	if (fstat(fd, &sb) < 0 || !S_ISREG(sb.st_mode)) {
		text_add(why, "the secret for QCD tokens is not in a regular file");
		return ST_INVAL;
	}
	n = pread(fd, text, sizeof(text), 0);
	if (n < 0) {
		text_add(why, "the secret for QCD tokens cannot be read");
		plat_errno(why, errno);
		return ST_IO;
	}
	good = read_text(text, (size_t)n, ret);
	wipe(text, sizeof(text));
	if (good)
		return ST_OK;
	if (n == 0)
		return make(fd, ret, why);
	text_add(why, "the secret for QCD tokens is malformed");
	return ST_INVAL;
}
