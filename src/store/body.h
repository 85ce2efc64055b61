/*
 * Bodies: frames, dictionaries, messages that come in, emails that are found again, the threads they belong to.
 */
#ifndef PENFOLD_STORE_BODY_H
#define PENFOLD_STORE_BODY_H

#include "mail/mail.h"
#include "store/engine.h"

/* ---- Bodies ---- */

enum { FRAME_RAW_BYTES = 262144, FRAME_HEADER_BYTES = 13, DICTIONARY_MESSAGE_MAX = 65536 };
/* Of zstd. What base64 stands for rarely gets any smaller. */
enum { TEXT_LEVEL = 2, BYTES_LEVEL = 1, TIGHT_TEXT_LEVEL = 12, TIGHT_BYTES_LEVEL = 9 };
/* As mail comes in, shorter pieces are stored as they are: for a day their bytes are worth less than the time of who reads them. */
enum { LZ4_LEAST = 32768 };
struct frame_packing {
	bool fast;  /* what is long, by LZ4: of what comes in and is to be packed again. Else by zstd: */
	bool tight; /* as what stays: it is not packed again */
	int text_level, bytes_level;
	const ZSTD_CDict *dictionary; /* of small texts, with its own level; NULL: none */
	uint32_t dictionary_id;
};
/* Compresses into `out`, header first (frame.c). Any thread. */
MUST_CHECK int frame_pack_as(struct store *store, const struct frame_packing *packing, struct slice raw,
	bool whole_message, struct buffer *out);
/* As what comes in. */
MUST_CHECK int frame_pack(struct store *store, struct slice raw, bool whole_message, struct buffer *out);
bool frame_is_tight(struct slice stored);
/* Reads a frame from the journal and appends what it was made from. -EBADMSG: place, CRC, size or dictionary do not fit. Any thread. */
MUST_CHECK int frame_unpack(struct store *store, const struct frame_ref *ref, struct buffer *out);
/* The same of a frame in memory, whoever has it. */
MUST_CHECK int frame_unpack_stored(struct store *store, struct slice stored, uint32_t raw_bytes, struct buffer *out);
/* Appends a frame as a record of its own; fills place and offset. */
MUST_CHECK int frame_write(struct store *store, struct slice stored, struct frame_ref *ref);
void frame_contexts_free_all(struct dictionaries *dictionaries);

/* body.c: without an account, for checks and the search index: from the disk itself, and keeping nothing. -ENOENT: a segment is gone. */
MUST_CHECK int body_reader_for_row(struct store *store, const struct email_row *row, struct body_reader **ret_reader);
/*
 * An email's row as the index has it at this moment, good only for `use`, whose result it returns. -ENOENT: there is no such row; -EAGAIN: `use`
 * said -ENOENT, so its segment went just now, and it is elsewhere.
 */
MUST_CHECK int email_row_use(struct store *store, uint64_t email_id,
	int (*use)(struct store *store, const struct email_row *row, void *context), void *context);

/* email.c: where an email's description is now, pending or in the index. */
MUST_CHECK int email_row_find(struct account *account, uint64_t id, struct email_row *ret_row, struct buffer *frames);

/* thread.c */
uint32_t thread_hashes(const struct mail_message *message, struct buffer *out); /* le64 each; returns how many */
/* The thread an email joins: 0 when it begins a new one. Hashes not known yet are appended to `fresh`. */
MUST_CHECK int thread_find(struct account *account, struct slice hashes, uint64_t *ret_thread, struct buffer *fresh,
	uint64_t *ret_fresh_count);

/* ingest.c */
struct ingest {
	struct store *store;
	struct ingest *next_idle;
	struct mail_parser *parser;
	struct buffer raw;    /* canonical, of the frame being filled */
	struct buffer stored; /* the last frame, compressed: goes into the email's own record */
	struct buffer frames; /* frame_ref of those written ahead */
	struct buffer packed;
	struct buffer described; /* `packed` in its stored form: description.h */
	struct buffer hashes;    /* le64 each: of References, then of the Message-ID */
	uint32_t frame_count, hash_count, last_raw_bytes;
	uint64_t bytes;
	struct mail_canon canon;
	struct frames_hold hold;
	bool finished;
	int error;
};
void ingests_free(struct store *store);
/* Before each frame, and after it. To be released after the record that names the frames was appended, or when there will be none. */
void frames_hold(struct store *store, struct frames_hold *hold);
MUST_CHECK int frames_hold_place(struct store *store, struct frames_hold *hold, const struct record_place *place);
void frames_release(struct store *store, struct frames_hold *hold);
bool frames_are_held(struct store *store, const struct segment_info *segment);

#endif
