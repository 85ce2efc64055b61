/*
 * Files that say which messages have which words: what SEARCH asks instead of opening every message.
 *
 * A file, once written, never changes. It covers a range of an account's email numbers: those it lists are in it whole; those of the range that it
 * does not list have to be looked at by whoever asks. It is derived: it may be lost or rotten at any time, which is noticed (every byte is
 * below a CRC-32C) and costs only the time to look at the messages themselves.
 *
 * What is in it, all as mail_text_fold() left it:
 *   columns  the values of Subject, From, To, Cc and Bcc as they are
 *   words    of bodies, of headers ("NAME: VALUE"), and of each column: each different one once, with the messages that have it
 *
 * Words are runs of letters and digits; of scripts that put no space between words every two neighbouring characters are one; each other character
 * stands by itself. So a string within one word, one or two characters of such a script and any single character are answered exactly, as all words are looked
 * through for it; any other string by the messages that have all the pieces it consists of: those may have it, all others have not. In a column it is
 * then looked for in the values of those messages, but for a few that are cheaper to look at otherwise.
 * Words longer than WORDS_TERM_MAX are kept as overlapping pieces. Strings that are not UTF-8 are looked for in all values of a column, and of words not
 * answered at all.
 *
 * File operations go through struct file_system. No function here takes a lock; an object belongs to one thread at a time. -EBADMSG: damaged;
 * -ENOENT: not there.
 */
#ifndef PENFOLD_STORE_WORDS_H
#define PENFOLD_STORE_WORDS_H

#include "base/buffer.h"
#include "base/thread.h"
#include "store/disk/file.h"

enum words_stream {
	WORDS_SUBJECT,
	WORDS_FROM,
	WORDS_TO,
	WORDS_CC,
	WORDS_BCC,
	WORDS_COLUMNS, /* how many of these */
	WORDS_BODY = WORDS_COLUMNS,
	WORDS_HEAD,
	WORDS_STREAMS,
	WORDS_OF_COLUMN = WORDS_STREAMS, /* within a file: the words of each column */
	WORDS_STREAMS_ALL = WORDS_OF_COLUMN + WORDS_COLUMNS
};
enum {
	WORDS_FORMAT = 2,            /* whoever keeps files in another one has none */
	WORDS_TERM_MAX = 128,        /* bytes */
	WORDS_EMAILS_MAX = 131072,   /* in a file */
	WORDS_OF_EMAIL_MAX = 262144, /* bytes of different words in one text of an email: what has more is not listed */
	WORDS_BUILDER_BYTES = 32 << 20 /* of memory: a builder with more should be written */
};

/* Which file it is. `epoch` is random, of the index that the numbers come from: numbers of another one may mean other emails. */
struct words_id {
	uint64_t epoch;
	uint32_t account, first, last; /* the range of numbers, both included */
};

/* ---- Making one from messages ---- */

struct words_builder;
MUST_CHECK int words_builder_new(uint64_t seed, struct words_builder **ret_builder); /* seed: secret, of its tables */
void words_builder_free(struct words_builder **builder);
void words_builder_begin(struct words_builder *b, uint32_t number); /* the next message; ascending */
void words_builder_value(struct words_builder *b, enum words_stream column, struct slice folded);
/* A text, or the next piece of it. Returns how many bytes of its end are to be in front of the next piece; pieces end between characters. */
size_t words_builder_text(struct words_builder *b, enum words_stream stream, struct slice folded, bool last);
/* -ENOMEM. A message that is too large to be listed, or not to be, is left out. */
MUST_CHECK int words_builder_end(struct words_builder *b, bool list);
size_t words_builder_bytes(const struct words_builder *b);
uint32_t words_builder_count(const struct words_builder *b); /* messages listed */
/* Writes all, synced, and forgets it. What was begun of a file is removed when that fails. */
MUST_CHECK int words_builder_write(
	struct words_builder *b, const struct file_system *files, const char *path, const struct words_id *id);

/* ---- Reading one ---- */

/* What segments are unpacked with, kept for the next one. Any thread; freed after the last segment. */
struct words_contexts;
MUST_CHECK int words_contexts_new(const struct thread_system *threads, struct words_contexts **ret_contexts);
void words_contexts_free(struct words_contexts **contexts);

struct words_segment;
/* `contexts` may be NULL: it makes one for itself. */
MUST_CHECK int words_segment_open(const struct file_system *files, struct words_contexts *contexts, const char *path,
	const struct words_id *id, struct words_segment **ret_segment);
void words_segment_close(struct words_segment **segment);
uint32_t words_segment_count(const struct words_segment *segment);
const uint32_t *words_segment_numbers(const struct words_segment *segment); /* ascending */
/* They are the caller's from now on, to be given to free(); a segment without them can only be asked. */
uint32_t *words_segment_take_numbers(struct words_segment *segment);
MUST_CHECK int words_segment_verify(struct words_segment *segment); /* reads all of it */

/* Makes one of several, given in the order of their ranges, with those numbers (ascending) that they list and `live` has. */
MUST_CHECK int words_merge(struct words_segment *const *from, size_t count, const uint32_t *live, size_t live_count,
	const struct file_system *files, const char *path, const struct words_id *id);

/* ---- Asking ---- */

struct words_question {
	unsigned streams; /* bits: WORDS_BODY and WORDS_HEAD, or one column */
	struct slice text,
		name; /* folded. text "" is in every value of a column. name: of words, a field's, which has to be there, too */
};
/* Questions, asked of one file after the other; they must outlive it. */
struct words_ask;
MUST_CHECK int words_ask_new(const struct words_question *questions, size_t count, struct words_ask **ret_ask);
void words_ask_free(struct words_ask **ask);
MUST_CHECK int words_ask_begin(struct words_ask *ask, struct words_segment *segment);
/* One block of it, well below a millisecond; *ret_done after the last. */
MUST_CHECK int words_ask_step(struct words_ask *ask, bool *ret_done);
/*
 * Bit i: the file's i-th number may have it, and has it when it is in *ret_sure, too; NULL: all may. Until the next words_ask_begin().
 */
const uint64_t *words_ask_hits(const struct words_ask *ask, size_t question, const uint64_t **ret_sure);

#endif
