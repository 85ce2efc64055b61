/* The message: what follows DATA and BDAT, its delivery and one answer for each recipient. */
#include "lmtp/protocol.h"

enum { TRACE_MAX = 8192 };

static void write_trace(struct lmtp_protocol *p)
{
	const struct lmtp_envelope *e = &p->envelope;
	struct buffer id = BUFFER_INIT(64), trace = BUFFER_INIT(TRACE_MAX);
	int error;

	p->backend->id(p->backend->context, &id);
	lmtp_trace_put(
		&(struct lmtp_trace){
			.sender = e->sender,
			.client = buffer_slice(&p->client),
			.peer = p->peer,
			.hostname = p->hostname,
			.id = buffer_slice(&id),
			.recipient = e->recipient_count == 1 ? e->recipients[0].text : (struct slice){NULL, 0},
			.smtputf8 = e->smtputf8,
			.now_s = p->backend->now_s(p->backend->context),
		},
		&trace);
	error = buffer_error(&trace);
	p->message_error = error ? error : p->backend->write(p->backend->context, buffer_slice(&trace));
	buffer_free(&trace);
	buffer_free(&id);
}

void lmtp_message_begin(struct lmtp_protocol *p)
{
	p->data = (struct lmtp_data){0};
	p->hops = (struct lmtp_hops){0};
	p->message_error = p->backend->begin(p->backend->context);
	p->has_message = p->message_error == 0;
	if (p->has_message)
		write_trace(p);
}

void lmtp_message_abandon(struct lmtp_protocol *p)
{
	if (p->has_message)
		p->backend->abandon(p->backend->context);
	p->has_message = false;
}

static void take(struct lmtp_protocol *p, struct slice piece)
{
	if (p->message_error)
		return;
	lmtp_hops_feed(&p->hops, piece);
	if (p->hops.count > p->limits->hops_max)
		p->message_error = -ELOOP;
	else
		p->message_error = p->backend->write(p->backend->context, piece);
}

/* The message is whole: to its targets, or straight to the answers when it could not be taken. */
static void finish_message(struct lmtp_protocol *p)
{
	struct lmtp_envelope *e = &p->envelope;

	p->next_answer = 0;
	if (p->message_error) {
		for (uint32_t i = 0; i < e->target_count; i++)
			e->targets[i].error = p->message_error;
		lmtp_message_abandon(p);
		p->phase = LMTP_ANSWERS;
		return;
	}
	p->phase = LMTP_DELIVERING;
	p->has_message = false;
	p->backend->deliver(p->backend->context);
}

void lmtp_message_feed(struct lmtp_protocol *p, struct slice *input, struct buffer *out UNUSED)
{
	struct slice piece;

	for (;;) {
		switch (lmtp_data_next(&p->data, input, &piece)) {
		case LMTP_DATA_PIECE:
			take(p, piece);
			break;
		case LMTP_DATA_END:
			finish_message(p);
			return;
		case LMTP_DATA_MORE:
			return;
		}
	}
}

void lmtp_chunk_begin(struct lmtp_protocol *p, const struct lmtp_command *command, struct buffer *out UNUSED)
{
	p->phase = LMTP_CHUNK;
	p->chunk_left = command->chunk_bytes;
	p->chunk_is_last = command->chunk_is_last;
	p->chunking = p->has_sender;
	p->chunk_is_refused = !p->has_sender || p->envelope.recipient_count == 0;
	/* After an error the message stays refused until the transaction ends (RFC 3030 §2). */
	if (!p->chunk_is_refused && !p->has_message && !p->message_error)
		lmtp_message_begin(p);
}

/* A chunk without a transaction or without a recipient it could be for. */
static void refuse_chunk(struct lmtp_protocol *p, struct buffer *out)
{
	/* "If there were no previously successful RCPT commands [...] then the BDAT LAST command returns zero replies", RFC 2033 §4.3. */
	bool silent = p->has_sender && p->chunk_is_last;

	p->phase = LMTP_COMMANDS;
	if (silent) {
		lmtp_transaction_reset(p);
		return;
	}
	lmtp_answer(out, p->has_sender ? "503 5.5.1 No recipient was accepted" : "503 5.5.1 Say MAIL first");
}

void lmtp_chunk_feed(struct lmtp_protocol *p, struct slice *input, struct buffer *out)
{
	struct slice piece = slice_first(*input, (size_t)MIN(p->chunk_left, (uint64_t)input->len));

	*input = slice_from(*input, piece.len);
	p->chunk_left -= piece.len;
	if (!p->chunk_is_refused && piece.len)
		take(p, piece);
	if (p->chunk_left)
		return;
	if (p->chunk_is_refused) {
		refuse_chunk(p, out);
	} else if (p->chunk_is_last) {
		finish_message(p);
	} else {
		p->phase = LMTP_COMMANDS;
		lmtp_answer(out, p->message_error ? lmtp_error_answer(p->message_error) : "250 2.0.0 Chunk taken");
	}
}

static const struct {
	int error;
	const char *answer;
} error_answers[] = {
	{0, "250 2.1.5 Delivered"},
	{-ENOENT, "550 5.1.1 No such user here"},
	{-EXDEV, "550 5.1.2 Not a domain of this server"},
	{-EPERM, "450 4.2.1 Mailbox is disabled"},
	{-EDQUOT, "552 5.2.2 Mailbox is over its quota"},
	{-EMSGSIZE, "552 5.3.4 Message is too big"},
	{-ENOSPC, "452 4.3.1 Disk is full"},
	{-ENOBUFS, "452 4.5.3 Too many recipients"},
	{-ELOOP, "554 5.4.6 Mail loop: too many Received fields"},
};

const char *lmtp_error_answer(int error)
{
	for (size_t i = 0; i < ARRAY_LEN(error_answers); i++)
		if (error_answers[i].error == error)
			return error_answers[i].answer;
	return "451 4.3.0 Something is wrong here, try again later";
}

void lmtp_answer_next(struct lmtp_protocol *p, struct buffer *out)
{
	struct lmtp_envelope *e = &p->envelope;
	int error = lmtp_envelope_result(e, p->next_answer);

	lmtp_answer(out, lmtp_error_answer(error));
	p->backend->answered(p->backend->context, e->recipients[p->next_answer].text, error);
	if (++p->next_answer < e->recipient_count)
		return;
	p->phase = LMTP_COMMANDS;
	lmtp_transaction_reset(p);
}
