#include "daemon/put.h"

#include <stdio.h>

#include "obs/obs.h"

void put(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

void put_text(json_t *o, const char *key, const char *s)
{
	put(o, key, json_string(s));
}

void put_clean(json_t *o, const char *key, const char *s)
{
	char buf[OBS_LINE_MAX];
	struct text t = TEXT_OF(buf);

	obs_clean(&t, bytes_str(s));
	put_text(o, key, buf);
}

void put_num(json_t *o, const char *key, uint64_t v)
{
	put(o, key, json_integer((json_int_t)v));
}

void put_hex(json_t *o, const char *key, unsigned digits, uint64_t v)
{
	char buf[17];

	snprintf(buf, sizeof(buf), "%0*llx", (int)digits, (unsigned long long)v);
	put_text(o, key, buf);
}

void put_age(json_t *o, dur_t age)
{
	put_num(o, "age_s", (uint64_t)(age.ns > 0 ? age.ns / 1000000000 : 0));
}

void put_until(json_t *o, const char *key, dur_t left)
{
	if (left.ns >= 0)
		put_num(o, key, (uint64_t)(left.ns / 1000000000));
}

void put_endpoint(json_t *o, const char *key, const struct endpoint *e)
{
	char buf[ENDPOINT_TEXT_MAX];

	put_text(o, key, endpoint_text(e, buf));
}

void put_ident(json_t *o, const char *key, const struct policy_ident *id)
{
	char buf[PUT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	policy_ident_text(&t, id);
	put_text(o, key, buf);
}

void put_suite(json_t *o, const struct policy_suite *s)
{
	char buf[PUT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	policy_suite_text(&t, s);
	put_text(o, "proposal", buf);
}

void put_ts(json_t *o, const char *key, const struct wire_ts_list *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->n; i++) {
		char buf[PUT_TEXT_MAX];
		struct text t = TEXT_OF(buf);

		policy_ts_text(&t, &l->ts[i]);
		json_array_append_new(list, json_string(buf));
	}
	put(o, key, list);
}

void put_strings(json_t *o, const char *key, const char *const *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(v[i]));
	put(o, key, list);
}
