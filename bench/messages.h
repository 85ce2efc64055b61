/*
 * Mail for measurements: made from a number, always the same, so that whoever reads it back can tell whether it is right.
 *
 * The Message-ID names kind and number: <m.1234.bench@example.net>. Header fields are every message's own. Words come from a vocabulary
 * of syllables in which few words are frequent and most are rare; sizes of texts and attachments are log-normal, as those of real mail
 * are. Lines are at most 78 bytes, ASCII, and never begin with a dot, so that they need no stuffing.
 *
 * A struct messages does not change once it is made: any thread may use it.
 */
#ifndef PENFOLD_BENCH_MESSAGES_H
#define PENFOLD_BENCH_MESSAGES_H

#include "base/buffer.h"

enum { MESSAGES_POOL = 1024, MESSAGES_WORDS = 65536, MESSAGE_MAX = 4 << 20 };

enum message_kind {
	MESSAGE_MIXED, /* mean 23 KB; bodies from a pool of 1,024, so that making it costs nothing while something is timed */
	MESSAGE_SMALL,  /* 3.5 KB of text, every body its own */
	MESSAGE_UNIQUE, /* like mixed, every body its own */
};

struct messages;
/* Without the pool, which takes a moment to make, there is no MESSAGE_MIXED: such messages are none of ours then. */
struct messages *messages_new(bool with_pool);
void messages_free(struct messages **messages);

/* Appends message `number`; `out` needs room for MESSAGE_MAX. */
void messages_put(const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *out);
/* Its two halves: header with the empty line, and what follows; that is where it is kept, or appended to `scratch`. */
void messages_put_head(const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *out);
struct slice messages_body(
	const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *scratch);
void messages_put_subject(const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *out);
/* Just the mailbox: local@example.net. */
void messages_put_sender(const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *out);
void messages_put_id(enum message_kind kind, uint64_t number, struct buffer *out);

/* A word as seldom as most are; or one that about every tenth small message has. */
const char *messages_word(const struct messages *messages, bool rare, uint64_t seed);

/*
 * Whether `stored` ends with a message of ours, byte for byte, and is nothing but that where `exact`; a server that delivers puts fields in front.
 * `scratch` is overwritten. NULL when right, else what is wrong.
 */
const char *messages_wrong(
	const struct messages *messages, struct slice stored, bool exact, struct buffer *scratch, uint64_t *ret_number);

#endif
