/*
 * put.h - members of JSON objects, as the answers of the control socket have them
 * (docs/control.md).
 *
 * Out of memory a member is missing; who answers looks whether the whole is there.
 */
#pragma once

#include <jansson.h>

#include "base/base.h"
#include "policy/policy.h"

/* Texts of identities, proposals and selectors for people; longer ones end in "...". */
enum { PUT_TEXT_MAX = 512 };

/* Takes `value` over. */
void put(json_t *o, const char *key, json_t *value);
void put_text(json_t *o, const char *key, const char *s);
/* What came from elsewhere and may be no UTF-8, or have controls in it. */
void put_clean(json_t *o, const char *key, const char *s);
void put_num(json_t *o, const char *key, uint64_t v);
void put_hex(json_t *o, const char *key, unsigned digits, uint64_t v);
/* "age_s", in seconds. */
void put_age(json_t *o, dur_t age);
/* In seconds; only what will come. */
void put_until(json_t *o, const char *key, dur_t left);
void put_endpoint(json_t *o, const char *key, const struct endpoint *e);
void put_ident(json_t *o, const char *key, const struct policy_ident *id);
void put_suite(json_t *o, const struct policy_suite *s); /* "proposal" */
void put_ts(json_t *o, const char *key, const struct wire_ts_list *l);
void put_strings(json_t *o, const char *key, const char *const *v, size_t n);
