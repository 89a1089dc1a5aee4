#include "obs/obs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

obs_time obs_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (obs_time){ (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 };
}

/* systemd.exec(5): $JOURNAL_STREAM is "device:inode" of the stream to the journal; stderr may have
 * been redirected since. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t dev, ino;
	struct stat sb;

	if (!stream || sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) != 2)
		return false;
	return fstat(fd, &sb) == 0 && sb.st_dev == dev && sb.st_ino == ino;
}

void obs_log_init(struct obs_log *log, enum obs_level level)
{
	*log = (struct obs_log){ .fd = STDERR_FILENO, .level = level };
	log->journal = is_journal(log->fd);
}

void obs_log(struct obs_log *log, enum obs_level level, obs_time t, const char *peer,
	     const char *message, const struct obs_field *fields)
{
	char buf[OBS_LINE_MAX + 1];
	struct text line = { buf, 0, OBS_LINE_MAX };

	if (level > log->level)
		return;
	buf[0] = '\0';
	obs_line_text(&line, log->journal, level, t, peer, message, fields);
	buf[line.n] = '\n';
	if (write(log->fd, buf, line.n + 1) != (ssize_t)line.n + 1)
		log->lost++;
}
