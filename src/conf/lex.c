/*
 * lex.c - tokens of a configuration file.
 *
 *	word      printable ASCII without space and  " = { } , ; #
 *	string    "…" with \" \\ \n \t, on one line
 *	comment   from # to the end of the line
 *
 * The file is UTF-8; characters outside ASCII stand in strings and comments only.  Every byte that
 * is no part of that is reported where it is, and skipped.
 */
#include "conf/internal.h"

bool lex_has_mark(struct bytes text)
{
	static const uint8_t mark[LEX_MARK] = { 0xef, 0xbb, 0xbf };

	return text.n >= LEX_MARK && memcmp(text.p, mark, LEX_MARK) == 0;
}

void lex_init(struct lexer *lx, struct bytes text, struct arena *ar, struct conf_errors *errs)
{
	*lx = (struct lexer){ cur_of(text), { 1, 1 }, ar, errs, false };
	if (lex_has_mark(text))
		(void)cur_take(&lx->c, LEX_MARK);
}

const char *token_name(enum token_kind kind)
{
	static const char *const name[] = {
		[TOK_END] = "the end of the file",
		[TOK_NEWLINE] = "the end of the line",
		[TOK_SEMICOLON] = "\";\"",
		[TOK_WORD] = "a word",
		[TOK_STRING] = "a string",
		[TOK_EQUAL] = "\"=\"",
		[TOK_OPEN] = "\"{\"",
		[TOK_CLOSE] = "\"}\"",
		[TOK_COMMA] = "\",\"",
	};

	return name[kind];
}

/* The byte `ahead` of the cursor, -1 at the end. */
static int peek_at(const struct lexer *lx, size_t ahead)
{
	return ahead < cur_left(&lx->c) ? lx->c.p[ahead] : -1;
}

static int peek(const struct lexer *lx)
{
	return peek_at(lx, 0);
}

size_t lex_utf8(struct bytes at)
{
	int b = at.n ? at.p[0] : -1, second = at.n > 1 ? at.p[1] : -1;
	int low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
	int high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
	size_t n = b < 0      ? 0
		   : b < 0x80 ? 1
		   : b < 0xc2 ? 0
		   : b < 0xe0 ? 2
		   : b < 0xf0 ? 3
		   : b < 0xf5 ? 4
			      : 0;

	if (n > at.n || (n > 1 && (second < low || second > high)))
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((at.p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static size_t utf8_len(const struct lexer *lx)
{
	return lex_utf8(bytes_of(lx->c.p, cur_left(&lx->c)));
}

static bool at_newline(const struct lexer *lx)
{
	return peek(lx) == '\n' || (peek(lx) == '\r' && peek_at(lx, 1) == '\n');
}

/* Over one character, good or bad. */
static void step(struct lexer *lx)
{
	size_t n = utf8_len(lx);

	if (peek(lx) == '\n') {
		lx->at.line++;
		lx->at.col = 0;
	}
	(void)cur_take(&lx->c, n ? n : 1);
	lx->at.col++;
}

/* Reports the character at the cursor if no file may have it. */
static bool good_char(const struct lexer *lx)
{
	int b = peek(lx);

	if (b == '\t' || at_newline(lx) || (b >= 0x20 && b != 0x7f && utf8_len(lx)))
		return true;
	conf_error_add(lx->errs, lx->at, "bad byte 0x%02x, accepted: text in UTF-8", b);
	return false;
}

bool lex_is_word(int b)
{
	return b > 0x20 && b < 0x7f && !strchr("\"={},;#", b);
}

/* To the next byte that begins a token, or the end. */
static void skip_blank(struct lexer *lx)
{
	bool comment = false;

	while (peek(lx) >= 0 && !at_newline(lx)) {
		bool good = good_char(lx);

		comment = comment || peek(lx) == '#';
		if (!comment && good && peek(lx) != ' ' && peek(lx) != '\t') {
			if (peek(lx) < 0x80)
				return;
			conf_error_add(lx->errs, lx->at,
				       "a character that is not ASCII outside a string");
		}
		step(lx);
	}
}

static void lex_word(struct lexer *lx, struct token *ret)
{
	const uint8_t *start = lx->c.p;

	while (lex_is_word(peek(lx)))
		step(lx);
	ret->s = bytes_of(start, (size_t)(lx->c.p - start));
}

/* Bytes up to the end of the line: more than the string that begins here can decode to. */
static size_t line_left(const struct lexer *lx)
{
	const uint8_t *nl = cur_left(&lx->c) ? memchr(lx->c.p, '\n', cur_left(&lx->c)) : NULL;

	return nl ? (size_t)(nl - lx->c.p) : cur_left(&lx->c);
}

static bool lex_escape(struct lexer *lx, uint8_t *ret_byte)
{
	static const char from[] = LEX_ESCAPES, to[] = "\"\\\n\t";
	int b = peek_at(lx, 1);
	const char *at = b > 0 ? strchr(from, b) : NULL;

	if (!at) {
		conf_error_add(lx->errs, lx->at,
			       "unknown escape in a string, accepted: \\\" \\\\ \\n \\t");
		step(lx);
		return false;
	}
	*ret_byte = (uint8_t)to[at - from];
	step(lx);
	step(lx);
	return true;
}

/* One character of a string, decoded, to `w`. */
static bool lex_string_char(struct lexer *lx, struct wr *w)
{
	const uint8_t *p = lx->c.p;
	uint8_t byte;

	if (peek(lx) == '\\') {
		if (!lex_escape(lx, &byte))
			return false;
		wr_u8(w, byte);
		return true;
	}
	if (!good_char(lx)) {
		step(lx);
		return false;
	}
	step(lx);
	wr_put(w, bytes_of(p, (size_t)(lx->c.p - p)));
	return true;
}

/* How far the string reaches at most: decoding needs no more, and memory is not wasted on the rest
 * of a long line. */
static size_t string_span(const struct lexer *lx)
{
	size_t left = line_left(lx);

	for (size_t i = 0; i < left; i++) {
		if (peek_at(lx, i) == '"')
			return i;
		if (peek_at(lx, i) == '\\')
			i++;
	}
	return left;
}

static void lex_string(struct lexer *lx, struct token *ret)
{
	size_t cap;
	uint8_t *buf;
	struct wr w;

	step(lx);
	cap = string_span(lx) + 1;
	buf = arena_new(lx->ar, cap);
	if (!buf)
		lx->nomem = true;
	w = wr_of(buf, buf ? cap : 0);
	while (peek(lx) >= 0 && peek(lx) != '"' && !at_newline(lx))
		if (!lex_string_char(lx, &w))
			ret->bad = true;
	if (peek(lx) == '"') {
		step(lx);
	} else {
		conf_error_add(lx->errs, ret->at, "a string that its line does not close with \"");
		ret->bad = true;
	}
	ret->s = wr_bytes_of(&w);
	wr_u8(&w, 0);
	ret->bad = ret->bad || w.err;
}

static enum token_kind punctuation(int b)
{
	switch (b) {
	case ';': return TOK_SEMICOLON;
	case '=': return TOK_EQUAL;
	case '{': return TOK_OPEN;
	case '}': return TOK_CLOSE;
	default: return TOK_COMMA;
	}
}

void lex_next(struct lexer *lx, struct token *ret_token)
{
	skip_blank(lx);
	*ret_token = (struct token){ .kind = TOK_END, .at = lx->at };
	if (peek(lx) < 0)
		return;
	if (at_newline(lx)) {
		ret_token->kind = TOK_NEWLINE;
		if (peek(lx) == '\r')
			step(lx);
		step(lx);
	} else if (peek(lx) == '"') {
		ret_token->kind = TOK_STRING;
		lex_string(lx, ret_token);
	} else if (lex_is_word(peek(lx))) {
		ret_token->kind = TOK_WORD;
		lex_word(lx, ret_token);
	} else {
		ret_token->kind = punctuation(peek(lx));
		step(lx);
	}
}
