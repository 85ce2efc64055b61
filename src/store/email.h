/*
 * Emails: taking messages in, reading them back.
 *
 * An email is the immutable message: body, packed description (mail/mail.h), thread. Mailbox entries of one account share it.
 */
#ifndef PENFOLD_STORE_EMAIL_H
#define PENFOLD_STORE_EMAIL_H

#include "store/mailbox.h"

/* ---- Taking in: any one thread, no account needed yet ---- */

/*
 * A message on its way in: bytes are made canonical, parsed and compressed as they come. What is larger than one body frame (256 KiB) goes
 * to the journal at once, so a message of any size needs little memory; freed without being added, that space is dead.
 */
struct ingest;
MUST_CHECK int ingest_new(struct store *store, struct ingest **ret_ingest);
/* -EMSGSIZE above settings.message_bytes_max (canonical size), -ENOSPC. After an error the ingest can only be freed. */
MUST_CHECK int ingest_write(struct ingest *ingest, struct slice bytes);
MUST_CHECK int ingest_finish(struct ingest *ingest);
uint64_t ingest_bytes(const struct ingest *ingest); /* canonical size so far */
void ingest_free(struct ingest **ingest);

struct append_item {
	struct ingest *
		ingest; /* finished; may be added again, to other accounts too (each then has its own copy of the body) */
	struct flag_set flags;
	int64_t internaldate; /* seconds since 1970; INT64_MIN: now */
	int16_t zone;
};
/*
 * Adds messages to a mailbox, all or none (MULTIAPPEND), with UIDs ret_first_uid and on. -EDQUOT (quota, settings.messages_max), -ENOSPC,
 * -ENOBUFS (keywords), -EINVAL.
 * On the account's shard.
 */
MUST_CHECK int mailbox_append(struct mailbox *mailbox, const struct append_item *items, size_t count,
	const struct actor *actor, uint32_t *ret_first_uid);

/* ---- Reading: on the account's shard ---- */

/*
 * Where a description is unpacked to, again and again for one email after the other. Starts as EMAIL_ROOM_INIT. What it was packed with stays in
 * front of it, which is where LZ4 unpacks fastest.
 */
struct email_room {
	struct buffer bytes;
	const struct dictionary *in_front;
};
#define EMAIL_ROOM_INIT \
	((struct email_room){BUFFER_INIT(MAIL_PACKED_BYTES_MAX + STORE_DESCRIPTION_DICTIONARY_BYTES_MAX), NULL})
void email_room_free(struct email_room *room);
void email_room_recycle(struct email_room *room, size_t keep); /* what is more than `keep` bytes is given back */

/* How much of a description is wanted: less is unpacked sooner. */
enum email_extent {
	EMAIL_WHOLE, /* for mail_unpack() */
	EMAIL_FRONT, /* for mail_unpack_front(): there may be more of it */
};

struct email {
	uint64_t id, thread;
	uint64_t bytes;
	struct slice packed; /* of that extent; in the caller's `room` until that is used again */
};
/*
 * -ENOENT when the email is not there (any more), -EBADMSG when it
 * cannot be read. Emails of expunged entries are found until their retention ends.
 */
MUST_CHECK int email_find(struct account *account, uint64_t id, enum email_extent extent, struct email_room *room,
	struct email *ret_email);

/*
 * Reads canonical bytes of the message, decompressing the frames it needs. A reader keeps the segments it reads from alive and holds at most one
 * decompressed frame; reading forward costs each frame once.
 */
struct body_reader;
MUST_CHECK int body_reader_new(struct account *account, uint64_t email_id, struct body_reader **ret_reader);
void body_reader_free(struct body_reader **reader);
/* Appends up to `bytes` bytes from offset `at`: fewer only at the message's end. -EBADMSG: the stored bytes are damaged. After an error `out` may have some. */
MUST_CHECK int body_reader_read(struct body_reader *reader, uint64_t at, uint64_t bytes, struct buffer *out);
/* The same without copying: what is at `at`, at least one byte, at most to the end of its frame; valid until the next call. */
MUST_CHECK int body_reader_peek(struct body_reader *reader, uint64_t at, struct slice *ret_bytes);

/* RFC 8474 forms: "E" / "T" / "M" and 16 hexadecimal digits; the other way round -EINVAL. */
void object_id_put(struct buffer *b, char kind, uint64_t id);
MUST_CHECK int object_id_parse(struct slice text, char kind, uint64_t *ret_id);

#endif
