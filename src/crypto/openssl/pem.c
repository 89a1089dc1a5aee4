#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/openssl/internal.h"

/* Never ask anybody: the daemon has no terminal. `u` notes that it was asked for. */
static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	bool *asked = u;

	(void)buf;
	(void)size;
	(void)rwflag;
	*asked = true;
	return -1;
}

/* More than any file of keys or certificates that makes sense. */
enum { FILE_MAX = 4 << 20 };

/* A file in memory, wiped when it goes: it may hold a private key. */
struct file {
	uint8_t *p;
	size_t n;
	BIO *bio;
};

static void file_done(struct file *f)
{
	BIO_free(f->bio);
	mem_free_secret(&mem_libc, f->p, f->n);
}

static enum status io_error(const char *path, struct text *why)
{
	text_fmt(why, "%s: %s", path, strerror(errno));
	return ST_IO;
}

static enum status read_all(int fd, const char *path, struct file *f, struct text *why)
{
	for (size_t done = 0; done < f->n;) {
		ssize_t n = read(fd, f->p + done, f->n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return io_error(path, why);
		if (n == 0) {
			text_fmt(why, "%s: became shorter while it was read", path);
			return ST_IO;
		}
		done += (size_t)n;
	}
	return ST_OK;
}

static enum status file_read(int fd, const char *path, struct file *f, struct text *why)
{
	struct stat sb;

	if (fstat(fd, &sb) < 0)
		return io_error(path, why);
	if (!S_ISREG(sb.st_mode) || sb.st_size > FILE_MAX) {
		text_fmt(why, "%s: %s", path,
			 S_ISREG(sb.st_mode) ? "larger than 4 MiB" : "not a regular file");
		return ST_INVAL;
	}
	f->n = (size_t)sb.st_size;
	f->p = mem_new(&mem_libc, f->n);
	return f->p ? read_all(fd, path, f, why) : ST_NOMEM;
}

/* The caller ends with file_done() in any case. */
static enum status file_open(const char *path, struct file *f, struct text *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum status st;

	*f = (struct file){ 0 };
	if (fd < 0)
		return io_error(path, why);
	st = file_read(fd, path, f, why);
	close(fd);
	if (st == ST_OK && !(f->bio = BIO_new_mem_buf(f->p, (int)f->n)))
		st = ST_NOMEM;
	return st;
}

static bool end_of_pem(void)
{
	unsigned long err = ERR_peek_last_error();

	return ERR_GET_LIB(err) == ERR_LIB_PEM && ERR_GET_REASON(err) == PEM_R_NO_START_LINE;
}

/* libcrypto's errors do not tell a file without a key from one with a broken key. */
static bool has_key_block(const struct file *f)
{
	static const char mark[] = "PRIVATE KEY-----";

	return memmem(f->p, f->n, mark, sizeof(mark) - 1) != NULL;
}

enum key_file { KEY_ABSENT, KEY_UNREADABLE, KEY_ENCRYPTED };

static enum status bad_key(const char *path, enum key_file what, struct text *why)
{
	if (what == KEY_ENCRYPTED)
		text_fmt(why, "%s: the private key is encrypted; a plain one is needed", path);
	else if (what == KEY_ABSENT)
		text_fmt(why, "%s: no PEM private key in this file", path);
	else
		text_fmt(why, "%s: the private key cannot be read", path);
	ERR_clear_error();
	return ST_INVAL;
}

enum status pem_load_key(const char *path, struct text *why, EVP_PKEY **ret_key)
{
	bool asked = false;
	bool present = false;
	EVP_PKEY *key = NULL;
	struct file f;
	enum status st = file_open(path, &f, why);

	ERR_clear_error();
	if (st == ST_OK) {
		present = has_key_block(&f);
		key = PEM_read_bio_PrivateKey(f.bio, NULL, no_passphrase, &asked);
	}
	file_done(&f);
	if (st != ST_OK)
		return st;
	if (!key)
		return bad_key(path,
			       asked     ? KEY_ENCRYPTED
			       : present ? KEY_UNREADABLE
					 : KEY_ABSENT,
			       why);
	*ret_key = key;
	return ST_OK;
}

static enum status bad_cert(const char *path, int good, struct text *why)
{
	if (good == 0 && end_of_pem())
		text_fmt(why, "%s: no PEM certificate in this file", path);
	else
		text_fmt(why, "%s: certificate %d cannot be read", path, good + 1);
	ERR_clear_error();
	return ST_INVAL;
}

/* Ends at the first block that is no certificate; returns how many there were, -1 out of memory. */
static int read_certs(BIO *bio, STACK_OF(X509) * certs)
{
	bool asked = false;
	X509 *cert;
	int n = 0;

	while ((cert = PEM_read_bio_X509(bio, NULL, no_passphrase, &asked)) != NULL) {
		if (sk_X509_push(certs, cert) <= 0) {
			X509_free(cert);
			return -1;
		}
		n++;
	}
	return n;
}

enum status pem_load_certs(const char *path, STACK_OF(X509) * certs, struct text *why)
{
	struct file f;
	enum status st = file_open(path, &f, why);
	int n = 0;

	ERR_clear_error();
	if (st == ST_OK)
		n = read_certs(f.bio, certs);
	file_done(&f);
	if (st != ST_OK || n < 0)
		return st != ST_OK ? st : ST_NOMEM;
	if (n == 0 || !end_of_pem())
		return bad_cert(path, n, why);
	ERR_clear_error();
	return ST_OK;
}
