#include "imap/fetch_run.h"

/* BODY[...] and kin: RFC 9051 §6.4.5. Bytes go out as they are stored, NUL included: who wants them told apart asks for BINARY (RFC 3516 §4.2). */

void fetch_put_name(struct fetch_run *run, struct slice name)
{
	struct buffer *out = session_out(run->session);

	if (!run->first)
		buffer_put_byte(out, ' ');
	run->first = false;
	buffer_put(out, name);
	buffer_put_byte(out, ' ');
}

void fetch_put_nil(struct fetch_run *run, const struct fetch_body *body)
{
	fetch_put_name(run, body->label);
	buffer_put_text(session_out(run->session), body->kind == FETCH_BINARY_SIZE ? "0" : "NIL");
}

void fetch_put_literal(struct fetch_run *run, uint64_t bytes, bool binary)
{
	struct buffer *out = session_out(run->session);

	fetch_put_name(run, run->body->label);
	/* No printf here: this is written a million times for a large mailbox. */
	buffer_put_text(out, binary ? "~{" : "{");
	buffer_put_u64(out, bytes);
	buffer_put_text(out, "}\r\n");
}

uint64_t fetch_partial(const struct fetch_body *body, uint64_t bytes, uint64_t *at)
{
	uint64_t offset;

	if (!body->partial)
		return bytes;
	offset = MIN(body->offset, bytes);
	*at += offset;
	return MIN(body->count, bytes - offset);
}

bool fetch_open_reader(struct fetch_run *run)
{
	int rc;

	if (run->reader)
		return true;
	rc = body_reader_new(run->session->account, run->entry.email, &run->reader);
	run->gone |= rc == -ENOENT;
	run->damaged |= rc && rc != -ENOENT;
	return !rc;
}

/* ---- Raw bytes ---- */

/* The first piece is read before the literal is announced: what cannot be read at all is NIL, not a broken promise. */
static void raw_begin(struct fetch_run *run, uint64_t at, uint64_t bytes)
{
	struct slice first;

	run->at = at;
	run->left = fetch_partial(run->body, bytes, &run->at);
	if (run->left && (!fetch_open_reader(run) || body_reader_peek(run->reader, run->at, &first))) {
		run->damaged = true;
		fetch_put_nil(run, run->body);
		return;
	}
	fetch_put_literal(run, run->left, false);
	run->flow = run->left ? FLOW_RAW : FLOW_NONE;
}

static void raw_step(struct fetch_run *run)
{
	struct slice bytes;

	if (body_reader_peek(run->reader, run->at, &bytes) || !bytes.len) {
		run->aborted = true;
		return;
	}
	bytes = slice_first(bytes, (size_t)MIN(run->left, (uint64_t)run->piece_bytes));
	buffer_put(session_out(run->session), bytes);
	run->at += bytes.len;
	run->left -= bytes.len;
	if (run->left == 0)
		run->flow = FLOW_NONE;
}

static void scratch_step(struct fetch_run *run)
{
	struct slice bytes = slice_from(buffer_slice(&run->scratch), (size_t)run->at);

	bytes = slice_first(bytes, run->piece_bytes);
	buffer_put(session_out(run->session), bytes);
	run->at += bytes.len;
	if (run->at >= run->scratch.len)
		run->flow = FLOW_NONE;
}

/* ---- Header fields ---- */

/* Announces what the scratch buffer holds, cut as the client asks. */
static void fields_answer(struct fetch_run *run)
{
	uint64_t at = 0, bytes;

	if (buffer_error(&run->scratch)) {
		run->damaged = true;
		fetch_put_nil(run, run->body);
		return;
	}
	bytes = fetch_partial(run->body, run->scratch.len, &at);
	fetch_put_literal(run, bytes, false);
	buffer_truncate(&run->scratch, (size_t)(at + bytes));
	run->at = at;
	run->flow = bytes ? FLOW_SCRATCH : FLOW_NONE;
}

static void fields_begin(struct fetch_run *run, uint64_t at, uint64_t bytes)
{
	const struct fetch_body *body = run->body;
	struct buffer header = BUFFER_INIT(FETCH_HEADER_BYTES_MAX);

	bytes = MIN(bytes, (uint64_t)FETCH_HEADER_BYTES_MAX);
	if (bytes && (!fetch_open_reader(run) || body_reader_read(run->reader, at, bytes, &header))) {
		run->damaged = true;
		fetch_put_nil(run, run->body);
	} else {
		buffer_reset(&run->scratch);
		mail_fields_select(buffer_slice(&header), body->names, body->name_count,
			body->fields == FIELDS_NOT_NAMED, &run->scratch);
		fields_answer(run);
	}
	buffer_free(&header);
}

/* The fields kept with the description answer most of what clients ask for without a look into the message. */
static bool fields_from_description(struct fetch_run *run)
{
	const struct fetch_body *body = run->body;

	if (body->fields != FIELDS_NAMED || !body->names_are_common || body->section.path_len)
		return false;
	if (!fetch_find(run) || !mail_common_is_complete(&run->brief))
		return false;
	buffer_reset(&run->scratch);
	mail_fields_select(run->brief.common, body->names, body->name_count, false, &run->scratch);
	fields_answer(run);
	return true;
}

/* ---- Any section ---- */

void fetch_body_begin(struct fetch_run *run)
{
	const struct fetch_body *body = run->body;
	const struct mail_part *part;
	uint64_t at, bytes;

	if (fields_from_description(run))
		return;
	if (!fetch_unpack(run)) {
		fetch_put_nil(run, body);
		return;
	}
	/* No such part: NIL, which is what a string that does not exist is (RFC 9051 §4.5). */
	if (mail_section_find(&run->message, &body->section, &at, &bytes, &part))
		fetch_put_nil(run, body);
	else if (body->kind != FETCH_RAW)
		fetch_binary_begin(run, part, at, bytes);
	else if (body->fields != FIELDS_ALL)
		fields_begin(run, at, bytes);
	else
		raw_begin(run, at, bytes);
}

void fetch_flow_step(struct fetch_run *run)
{
	switch (run->flow) {
	case FLOW_SCRATCH:
		scratch_step(run);
		break;
	case FLOW_RAW:
		raw_step(run);
		break;
	case FLOW_COUNT:
		fetch_count_step(run);
		break;
	case FLOW_DECODE:
		fetch_decode_step(run);
		break;
	case FLOW_NONE:
		break;
	}
}
