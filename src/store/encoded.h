/*
 * Base64 within bodies is kept as the bytes it stands for: a third less to compress, and what is compressible in them shows. Only what comes
 * back exactly as it was is taken out: lines of one width with CRLF between them, in strict base64 (RFC 4648 §4, RFC 2045 §6.8).
 */
#ifndef PENFOLD_STORE_ENCODED_H
#define PENFOLD_STORE_ENCODED_H

#include "base/buffer.h"

/* What a piece of a body was split into. */
struct encoded {
	/* For each run of base64, three varints: bytes of text before it, digits a line, bytes that it stands for. */
	struct buffer runs;
	struct buffer text;  /* what is not base64, one after the other */
	struct buffer bytes; /* what the runs stand for, one after the other */
};

/* True: `e` holds it in pieces. False: there is no base64 worth it, or no memory; `e` holds nothing of use. */
bool encoded_split(struct slice raw, struct encoded *e);
/* Appends to `out` what was split, `raw` bytes. -EBADMSG: the pieces do not make that. */
MUST_CHECK int encoded_join(struct slice runs, struct slice text, struct slice bytes, size_t raw, struct buffer *out);

#endif
