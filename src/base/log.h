/*
 * The log: one structured line per event, `key=value` pairs, values quoted where needed.
 *
 *   2026-03-01T10:00:00.123Z info event=login account=ann@example.org device="phone" session=4f2a proto=imap
 *
 * Only sessions and the server log; modules return errors. A line is at most LOG_LINE_MAX bytes, longer ones are cut;
 * control bytes in values are escaped as \xNN, so that nothing from outside can forge a line. Never log a password,
 * a credential or mail content. log_event() may be called from any thread; each line is one write(2).
 */
#ifndef PENFOLD_BASE_LOG_H
#define PENFOLD_BASE_LOG_H

#include "base/buffer.h"

enum { LOG_LINE_MAX = 2048 };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log; /* where lines go and from which level on; shared by all threads of a process */

MUST_CHECK int log_new(int fd, enum log_level level, struct log **ret_log); /* does not own the descriptor */
void log_free(struct log **log);
void log_set_level(struct log *log, enum log_level level);

struct log_field {
	const char *key;
	struct slice value;
};
/* Fields with an empty value are left out. A NULL log drops the event. */
void log_event(struct log *log, enum log_level level, const char *event, const struct log_field *fields, size_t count);
#define LOG(log, level, event, ...)                                           \
	log_event(log, level, event, (const struct log_field[]){__VA_ARGS__}, \
		sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
