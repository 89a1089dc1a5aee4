/* Any bytes as what a client sends, cut into two reads where the first byte says: the same lines as
 * in one read; every line is a request or has a reason why not; answers are good lines. */
#include <stdlib.h>

#include "ctl/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* An answer is one line and an object again. */
static void check_answer(char *line)
{
	char buf[CTL_ERROR_MAX];
	struct text why = TEXT_OF(buf);
	struct ctl_lines l;
	struct bytes one;
	json_t *o;

	require(line != NULL);
	ctl_lines_init(&l, CTL_REPLY_MAX);
	require(ctl_lines_feed(&l, bytes_str(line)) == ST_OK);
	require(ctl_lines_next(&l, &one) && one.n + 1 == strlen(line));
	require(ctl_object_parse(one, 4 * CTL_DEPTH_MAX, &why, &o) == ST_OK);
	json_decref(o);
	ctl_lines_done(&l);
	free(line);
}

static void check_line(struct bytes line)
{
	char buf[CTL_ERROR_MAX];
	struct text why = TEXT_OF(buf);
	struct ctl_request r;
	json_int_t id;

	if (ctl_request_parse(line, &why, &id, &r) == ST_OK) {
		require(r.cmd && id == r.id && id >= 0);
		check_answer(ctl_result_line(id, r.object));
		ctl_request_done(&r);
		return;
	}
	require(why.n > 0 && id >= -1);
	check_answer(ctl_error_line(id, buf));
}

/* The lines of a stream that comes in two pieces; the number of their bytes. */
static size_t run(struct bytes in, size_t cut, bool check)
{
	struct ctl_lines l;
	struct bytes line;
	size_t sum = 0;

	ctl_lines_init(&l, CTL_LINE_MAX);
	for (int i = 0; i < 2; i++) {
		struct bytes piece = i ? bytes_of(in.p + cut, in.n - cut) : bytes_of(in.p, cut);

		if (ctl_lines_feed(&l, piece) != ST_OK)
			break;
		while (ctl_lines_next(&l, &line)) {
			sum = sum * 31 + line.n + 1;
			if (check)
				check_line(line);
		}
	}
	ctl_lines_done(&l);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in;

	if (size == 0)
		return 0;
	in = bytes_of(data + 1, size - 1);
	/* Past the limit the pieces that came before it differ; below it they must not. */
	if (in.n <= CTL_LINE_MAX)
		require(run(in, in.n * data[0] / 256, true) == run(in, in.n, false));
	else
		(void)run(in, in.n * data[0] / 256, true);
	return 0;
}
