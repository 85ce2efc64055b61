/* RETR and TOP: a message on its way out, a piece at a time (RFC 1939 §5, §7). */
#include "pop3/protocol.h"

enum { PIECE_MAX = 16384, ROOM_MAX = 65536, ROOM_MORE = 64 /* for dots, the line before and the end */ };

static void finish(struct pop3_protocol *p)
{
	p->backend->close(p->backend->context);
	p->phase = POP3_COMMANDS;
}

void pop3_cannot_read(uint32_t number, int error, struct buffer *out)
{
	/* Removed by another device so long ago that it is not kept any more; RFC 1939 has no other way to say so than an error. */
	if (error == -ENOENT)
		buffer_printf(out, "-ERR Message %u has been removed by another device\r\n", number);
	else
		buffer_printf(out, "-ERR [SYS/TEMP] Message %u cannot be read now\r\n", number);
}

void pop3_retrieve(struct pop3_protocol *p, const struct pop3_command *command, struct buffer *out)
{
	const struct pop3_backend *b = p->backend;
	struct pop3_message message;
	struct slice first;
	int error;

	if (!pop3_message_find(p, command->number, out, &message))
		return;
	error = b->open(b->context, message.email);
	if (error) {
		pop3_cannot_read(command->number, error, out);
		return;
	}
	p->phase = POP3_BODY;
	p->body_at = 0;
	p->body_bytes = message.bytes;
	/* Better an error now than half a message. */
	error = message.bytes ? b->peek(b->context, 0, &first) : 0;
	if (error) {
		finish(p);
		pop3_cannot_read(command->number, error, out);
		return;
	}
	if (command->verb == POP3_RETR) {
		p->stuff = pop3_stuff_start(POP3_ALL_LINES);
		p->retrieved++;
		buffer_put(out, SLICE("+OK "));
		buffer_put_u64(out, message.bytes);
		buffer_put(out, SLICE(" octets\r\n"));
	} else {
		p->stuff = pop3_stuff_start(command->lines);
		p->topped++;
		buffer_put(out, SLICE("+OK Top of message follows\r\n"));
	}
}

/* Room for what is coming in one step, instead of many that each copy what is there already; where one answer follows another, for more of them. */
static void make_room(const struct pop3_protocol *p, struct buffer *out)
{
	size_t wanted = (size_t)MIN(p->body_bytes - p->body_at, (uint64_t)ROOM_MAX) + ROOM_MORE;

	if (out->len > ROOM_MORE && wanted > out->room - out->len)
		wanted = MAX(wanted, out->max / 2); /* what is queued before a session waits */
	if (wanted <= out->max - out->len)
		(void)buffer_room(out, wanted); /* where it fails, putting the piece there fails, too */
}

void pop3_retrieve_more(struct pop3_protocol *p, struct buffer *out)
{
	struct slice piece;
	bool more = p->body_at < p->body_bytes;

	if (more && p->backend->peek(p->backend->context, p->body_at, &piece)) {
		/* No end of the answer: the client must not take what it has for the whole. */
		finish(p);
		p->phase = POP3_CLOSED;
		return;
	}
	if (more) {
		make_room(p, out);
		piece = slice_first(piece, MIN((uint64_t)PIECE_MAX, p->body_bytes - p->body_at));
		p->body_at += piece.len;
		p->sent_bytes += piece.len;
		more = pop3_stuff_feed(&p->stuff, piece, out) && p->body_at < p->body_bytes;
	}
	if (more)
		return;
	pop3_stuff_finish(&p->stuff, out);
	finish(p);
}
