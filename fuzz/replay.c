/*
 * replay.c - the main() of a fuzz target in an ordinary build: every file of the directories given
 * goes through LLVMFuzzerTestOneInput once.  An empty or missing corpus is an error, since a replay
 * of nothing proves nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *dir, const char *name)
{
	static uint8_t buf[1 << 20];
	char path[4096];
	FILE *f;
	size_t n;
	uint8_t *copy;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (!f)
		return -1;
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	/* An exact heap copy, so that the address sanitizer sees a read past the end. */
	copy = malloc(n ? n : 1);
	if (!copy)
		return -1;
	for (size_t i = 0; i < n; i++)
		copy[i] = buf[i];
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	return 0;
}

static int run_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	if (!d) {
		perror(path);
		return -1;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (run_file(path, e->d_name)) {
			fprintf(stderr, "%s/%s: cannot be read\n", path, e->d_name);
			n = -1;
			break;
		}
		n++;
	}
	closedir(d);
	return n;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int n = run_dir(argv[i]);

		if (n <= 0) {
			fprintf(stderr, "%s: no corpus\n", argv[i]);
			return 1;
		}
		total += n;
	}
	printf("%d inputs\n", total);
	return total ? 0 : 1;
}
