/*
 * values.h - inside the codec of words: the values of attributes that have an inner structure.
 *
 * A reader takes a value whole, or says why not; what it writes to is the caller's alone until the
 * word is taken as a whole.
 */
#pragma once

#include "wire/mesh/wire_mesh.h"

/* Selectors of one side, by whose word. */
struct mesh_ts {
	struct wire_mesh_ts *list; /* room for one of each authority */
	size_t *n;
};

MUST enum wire_mesh_fault mesh_read_ident(struct bytes value, struct wire_mesh_ident *ret);
/* One more.  WIRE_MESH_TS are as many as all of a side may be. */
MUST enum wire_mesh_fault mesh_read_ts(struct arena *ar, struct bytes value, struct mesh_ts side);
MUST enum wire_mesh_fault mesh_read_candidate(struct bytes value, struct wire_mesh_candidate *ret);
MUST enum wire_mesh_fault mesh_read_path(struct bytes value, struct wire_mesh_path *ret);
MUST enum wire_mesh_fault mesh_read_hub(struct bytes value, struct wire_mesh_hub *ret);
MUST enum wire_mesh_fault mesh_read_member(struct arena *ar, struct bytes value,
					   struct wire_mesh_member *ret);

/* The same, written. */
void mesh_write_ident(struct wr *w, const struct wire_mesh_ident *id);
void mesh_write_ts(struct wr *w, const struct wire_mesh_ts *ts);
void mesh_write_candidate(struct wr *w, const struct wire_mesh_candidate *c);
void mesh_write_path(struct wr *w, const struct wire_mesh_path *p);
void mesh_write_hub(struct wr *w, const struct wire_mesh_hub *h);
void mesh_write_member(struct wr *w, const struct wire_mesh_member *m);
