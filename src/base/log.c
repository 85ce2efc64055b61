#include "base/log.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

struct log {
	int fd;
	_Atomic int level;
};

int log_new(int fd, enum log_level level, struct log **ret_log)
{
	struct log *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	log->fd = fd;
	log->level = level;
	*ret_log = log;
	return 0;
}

void log_free(struct log **log)
{
	free(*log);
	*log = NULL;
}

void log_set_level(struct log *log, enum log_level level)
{
	log->level = level;
}

static bool needs_quotes(struct slice value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];

		if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c >= 0x7f)
			return true;
	}
	return false;
}

/* U+0080 to U+009F in UTF-8: terminals take them for control sequences as they take ESC. */
static bool is_control_pair(struct slice value, size_t i)
{
	return value.at[i] == '\xc2' && i + 1 < value.len && (unsigned char)value.at[i + 1] < 0xa0;
}

static void put_value(struct buffer *line, struct slice value)
{
	bool as_is = utf8_is_valid(value);

	if (!needs_quotes(value)) {
		buffer_put(line, value);
		return;
	}
	buffer_put_byte(line, '"');
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];

		if (c == '"' || c == '\\')
			buffer_printf(line, "\\%c", c);
		else if (as_is && is_control_pair(value, i))
			buffer_printf(line, "\\xc2\\x%02x", (unsigned char)value.at[++i]);
		else if (c < ' ' || c == 0x7f || (c >= 0x80 && !as_is))
			buffer_printf(line, "\\x%02x", c);
		else
			buffer_put_byte(line, (char)c);
	}
	buffer_put_byte(line, '"');
}

void log_event(struct log *log, enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	struct buffer line = BUFFER_INIT(LOG_LINE_MAX * 8);
	int64_t now_ms;
	struct civil_time t;
	ssize_t written;

	if (!log || level < (enum log_level)log->level)
		return;
	now_ms = clock_wall_ms(clock_system());
	t = civil_of(now_ms / 1000, 0);
	buffer_put_padded(&line, (uint64_t)t.year, 4);
	buffer_put_byte(&line, '-');
	buffer_put_padded(&line, (uint64_t)t.month, 2);
	buffer_put_byte(&line, '-');
	buffer_put_padded(&line, (uint64_t)t.day, 2);
	buffer_put_byte(&line, 'T');
	buffer_put_clock(&line, &t);
	buffer_put_byte(&line, '.');
	buffer_put_padded(&line, (uint64_t)(now_ms % 1000), 3);
	buffer_put(&line, SLICE("Z "));
	buffer_put_text(&line, names[level]);
	buffer_put(&line, SLICE(" event="));
	buffer_put_text(&line, event);
	/* What would be cut off anyhow is not written: it could fill the buffer, and then there would be no line end. */
	for (size_t i = 0; i < count && line.len < LOG_LINE_MAX; i++) {
		if (fields[i].value.len == 0)
			continue;
		buffer_put_byte(&line, ' ');
		buffer_put_text(&line, fields[i].key);
		buffer_put_byte(&line, '=');
		put_value(&line, slice_first(fields[i].value, LOG_LINE_MAX / 2));
	}
	if (line.len > LOG_LINE_MAX - 1)
		buffer_truncate(&line, LOG_LINE_MAX - 1);
	buffer_put_byte(&line, '\n');
	/* A log that cannot be written must not stop the mail. */
	written = write(log->fd, line.at, line.len);
	(void)written;
	buffer_free(&line);
}
