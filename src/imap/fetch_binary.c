#include "imap/fetch_run.h"

/*
 * BINARY[...] and BINARY.SIZE[...] (RFC 3516, RFC 9051 §6.4.5): a part's content without its transfer encoding. A literal needs its size in
 * advance, so a long part is decoded twice: once to count, once to write.
 */

enum { DECODED_PIECE_BYTES_MAX = 8 << 20 /* what one piece of input can decode to is far less */ };

void fetch_decoding_free(struct fetch_run *run)
{
	mail_decoder_free(&run->decoding.decoder);
	buffer_free(&run->decoding.piece);
	buffer_free(&run->decoding.canonical);
}

/* Only what is encoded is decoded: multiparts and messages go out as they are. */
static enum mail_encoding encoding_of(const struct mail_part *part)
{
	return part && part->kind == MAIL_LEAF ? part->encoding : MAIL_BINARY;
}

static int decoding_start(struct fetch_run *run)
{
	struct fetch_decoding *d = &run->decoding;

	mail_decoder_free(&d->decoder);
	d->canon = (struct mail_canon){0};
	d->at = d->begin;
	d->total = 0;
	return mail_decoder_new(d->encoding, SLICE("us-ascii"), false, true, &d->decoder);
}

/* Decodes the next piece; *ret_bytes is valid until the next call. At the part's end *ret_end. */
static int decode_piece(struct fetch_run *run, uint64_t end, struct slice *ret_bytes, bool *ret_end)
{
	struct fetch_decoding *d = &run->decoding;
	struct slice bytes;
	int rc = 0;

	buffer_reset(&d->piece);
	buffer_reset(&d->canonical);
	if (d->at < end) {
		rc = body_reader_peek(run->reader, d->at, &bytes);
		if (rc)
			return rc == -EBADMSG ? -EIO : rc;
		bytes = slice_first(bytes, (size_t)MIN(end - d->at, (uint64_t)run->piece_bytes));
		d->at += bytes.len;
		rc = mail_decoder_feed(d->decoder, bytes, &d->piece);
	} else {
		*ret_end = true;
		rc = mail_decoder_finish(d->decoder, &d->piece);
	}
	if (d->text)
		mail_canon_feed(&d->canon, buffer_slice(&d->piece), &d->canonical);
	rc = rc ? rc : buffer_error(&d->piece);
	rc = rc ? rc : buffer_error(&d->canonical);
	if (!rc)
		*ret_bytes = buffer_slice(d->text ? &d->canonical : &d->piece);
	return rc;
}

static void cannot(struct fetch_run *run, int error)
{
	/* RFC 9051 §7.5.2: what cannot be decoded fails the command with UNKNOWN-CTE. */
	if (error == -EBADMSG)
		run->unknown_cte = true;
	else
		run->damaged = true;
	run->flow = FLOW_NONE;
	fetch_put_nil(run, run->body);
}

/* The decoded size is known now: announces it, and what follows is either in the scratch buffer already or decoded anew. */
static void counted(struct fetch_run *run, bool in_scratch)
{
	struct fetch_decoding *d = &run->decoding;
	uint64_t at = 0, bytes;

	run->flow = FLOW_NONE;
	if (run->body->kind == FETCH_BINARY_SIZE) {
		fetch_put_name(run, run->body->label);
		buffer_put_u64(session_out(run->session), d->total);
		return;
	}
	bytes = fetch_partial(run->body, d->total, &at);
	if (!in_scratch && decoding_start(run)) {
		cannot(run, -ENOMEM);
		return;
	}
	fetch_put_literal(run, bytes, d->has_nul);
	if (in_scratch) {
		buffer_truncate(&run->scratch, (size_t)(at + bytes));
		run->at = at;
	}
	d->skip = at;
	d->wanted = bytes;
	if (bytes)
		run->flow = in_scratch ? FLOW_SCRATCH : FLOW_DECODE;
}

static uint64_t part_end(const struct fetch_run *run)
{
	return run->decoding.begin + run->decoding.left;
}

void fetch_count_step(struct fetch_run *run)
{
	struct fetch_decoding *d = &run->decoding;
	bool keep = d->left <= FETCH_DECODE_AT_ONCE_BYTES, end = false;
	struct slice bytes;
	int rc = decode_piece(run, part_end(run), &bytes, &end);

	if (rc) {
		cannot(run, rc);
		return;
	}
	d->total += bytes.len;
	d->has_nul |= slice_find_byte(bytes, '\0') != SIZE_MAX;
	if (keep)
		buffer_put(&run->scratch, bytes);
	if (end && buffer_error(&run->scratch))
		cannot(run, -ENOMEM);
	else if (end)
		counted(run, keep);
}

void fetch_decode_step(struct fetch_run *run)
{
	struct fetch_decoding *d = &run->decoding;
	bool end = false;
	struct slice bytes;
	uint64_t skipped;

	if (decode_piece(run, part_end(run), &bytes, &end)) {
		run->aborted = true;
		return;
	}
	skipped = MIN(d->skip, (uint64_t)bytes.len);
	d->skip -= skipped;
	bytes = slice_first(slice_from(bytes, (size_t)skipped), (size_t)MIN(d->wanted, (uint64_t)SIZE_MAX));
	d->wanted -= bytes.len;
	buffer_put(session_out(run->session), bytes);
	if (d->wanted == 0)
		run->flow = FLOW_NONE;
	else if (end)
		run->aborted = true; /* shorter than when it was counted */
}

void fetch_binary_begin(struct fetch_run *run, const struct mail_part *part, uint64_t at, uint64_t bytes)
{
	struct fetch_decoding *d = &run->decoding;

	d->encoding = encoding_of(part);
	d->text = part && part->kind == MAIL_LEAF && slice_equal(part->type, SLICE("text"));
	d->begin = at;
	d->left = bytes;
	d->has_nul = false;
	d->piece.max = d->canonical.max = DECODED_PIECE_BYTES_MAX;
	buffer_reset(&run->scratch);
	if (d->encoding == MAIL_UNKNOWN) {
		cannot(run, -EBADMSG);
		return;
	}
	if ((bytes && !fetch_open_reader(run)) || decoding_start(run)) {
		cannot(run, -ENOMEM);
		return;
	}
	run->flow = FLOW_COUNT;
}
