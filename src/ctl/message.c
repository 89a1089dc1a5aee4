/*
 * message.c - JSON objects of the control protocol.
 */
#include "ctl/ctl.h"

#include <stdlib.h>

/* jansson parses by recursion; this keeps its depth in our hands.  Brackets inside strings do not
 * count; on malformed input the count may be anything, and the parser refuses it. */
static bool shallow(struct bytes line, unsigned max)
{
	bool string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < line.n; i++) {
		uint8_t c = line.p[i];

		if (string && c == '\\')
			i++;
		else if (c == '"')
			string = !string;
		else if (!string && (c == '{' || c == '['))
			depth++;
		else if (!string && (c == '}' || c == ']') && depth > 0)
			depth--;
		if (depth > max)
			return false;
	}
	return true;
}

enum status ctl_object_parse(struct bytes line, unsigned depth, struct text *why,
			     json_t **ret_object)
{
	json_error_t error;
	json_t *o;

	if (!shallow(line, depth)) {
		text_fmt(why, "nested deeper than %u", depth);
		return ST_INVAL;
	}
	o = json_loadb((const char *)line.p, line.n, JSON_REJECT_DUPLICATES, &error);
	if (!o) {
		text_add(why, "no JSON: ");
		text_quote(why, bytes_str(error.text));
		return ST_INVAL;
	}
	if (json_is_object(o)) {
		*ret_object = o;
		return ST_OK;
	}
	json_decref(o);
	text_add(why, "not a JSON object");
	return ST_INVAL;
}

enum status ctl_request_parse(struct bytes line, struct text *why, json_int_t *id,
			      struct ctl_request *ret_request)
{
	struct ctl_request r = { 0 };
	enum status st;
	json_t *number;

	*id = -1;
	st = ctl_object_parse(line, CTL_DEPTH_MAX, why, &r.object);
	if (st != ST_OK)
		return st;
	number = json_object_get(r.object, "id");
	if (json_is_integer(number) && json_integer_value(number) >= 0)
		*id = r.id = json_integer_value(number);
	r.cmd = json_string_value(json_object_get(r.object, "cmd"));
	if (*id >= 0 && r.cmd) {
		*ret_request = r;
		return ST_OK;
	}
	text_add(why, *id < 0 ? "a request needs \"id\", an integer from 0"
			      : "a request needs \"cmd\", a string");
	ctl_request_done(&r);
	return ST_INVAL;
}

void ctl_request_done(struct ctl_request *r)
{
	json_decref(r->object);
	r->object = NULL;
	r->cmd = NULL;
}

/* Takes the reference. */
static char *line_of(json_t *o)
{
	char *s = o ? json_dumps(o, JSON_COMPACT) : NULL;
	size_t n = s ? strlen(s) : 0;
	char *line = s ? realloc(s, n + 2) : NULL;

	json_decref(o);
	if (!line) {
		free(s);
		return NULL;
	}
	line[n] = '\n';
	line[n + 1] = '\0';
	return line;
}

char *ctl_result_line(json_int_t id, json_t *result)
{
	return line_of(json_pack("{s:I, s:b, s:O}", "id", id, "ok", 1, "result", result));
}

/* What is no UTF-8 in a message is shown as bytes. */
static json_t *string_of(const char *s)
{
	json_t *j = json_string(s);
	char buf[CTL_ERROR_MAX];
	struct text t = TEXT_OF(buf);

	if (j)
		return j;
	text_quote(&t, bytes_str(s));
	return json_string(buf);
}

char *ctl_error_line(json_int_t id, const char *error)
{
	return line_of(json_pack("{s:o, s:b, s:o}", "id", id < 0 ? json_null() : json_integer(id),
				 "ok", 0, "error", string_of(error)));
}

char *ctl_event_line(json_t *event)
{
	return line_of(json_pack("{s:O}", "event", event));
}
