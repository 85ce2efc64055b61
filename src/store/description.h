/*
 * Descriptions as the journal and the index keep them: what mail_pack() made, compressed with LZ4, which is unpacked in a quarter of a
 * microsecond, and with a dictionary trained from the first ones. It says a lot twice (header fields and the rendered ENVELOPE), and the
 * same as the next one.
 *
 * Stored form: the byte 2, varint dictionary (its id without DICTIONARY_DESCRIPTION_ID; 0: none), varint bytes when unpacked, varint bytes of them that
 * ENVELOPE and BODYSTRUCTURE need (mail_packed_front_bytes(); 0: not known), an LZ4 block. Or, as an older version wrote it, the byte 0 and the same without
 * the second number of bytes. Or, where that is no smaller, and as the oldest wrote it, the packed description itself, whose first byte is 1.
 */
#ifndef PENFOLD_STORE_DESCRIPTION_H
#define PENFOLD_STORE_DESCRIPTION_H

#include "store/dictionary.h"
#include "store/email.h"

/* The stored form, appended to `out`. Any thread. */
void description_put(struct store *store, struct slice packed, struct buffer *out);
/* What was packed, or as much of it as is wanted, in `room`. -EBADMSG: damaged, or its dictionary is unknown; the buffer's own errors. Any thread. */
MUST_CHECK int description_read(struct store *store, struct slice stored, enum email_extent extent,
	struct email_room *room, struct slice *ret_packed);

/* The same with the dictionary at hand; NULL: none. */
void description_pack(const struct dictionary *dictionary, struct slice packed, struct buffer *out);

#endif
