/* RETR and TOP: a message on its way out, a piece at a time (RFC 1939 §5, §7). */
#include "pop3/protocol.h"

enum {
	PIECE_MAX = 65536,
	TOP_PIECE_MAX = 16384,
	ROOM_MORE = 128 /* for dots, the line before, the end, and what reading writes beyond */
};

static void finish(struct pop3_protocol *p, enum pop3_phase next)
{
	p->backend->close(p->backend->context);
	p->phase = next;
}

void pop3_cannot_read(uint32_t number, int error, struct buffer *out)
{
	/* Removed by another device so long ago that it is not kept any more; RFC 1939 has no other way to say so than an error. */
	if (error == -ENOENT)
		buffer_printf(out, "-ERR Message %u has been removed by another device\r\n", number);
	else
		buffer_printf(out, "-ERR [SYS/TEMP] Message %u cannot be read now\r\n", number);
}

static uint64_t next_bytes(const struct pop3_protocol *p)
{
	uint64_t most = p->stuff.lines_left == POP3_ALL_LINES ? PIECE_MAX : TOP_PIECE_MAX;

	return MIN(p->body_bytes - p->body_at, most);
}

/* Room for what is coming in one step, instead of many that each copy what is there already; where one answer follows another, for more of them. */
static void make_room(const struct pop3_protocol *p, struct buffer *out)
{
	size_t wanted = (size_t)next_bytes(p) + ROOM_MORE;

	if (out->len > ROOM_MORE && wanted > out->room - out->len)
		wanted = MAX(wanted, out->max / 2); /* what is queued before a session waits */
	if (wanted <= out->max - out->len)
		(void)buffer_room(out, wanted); /* where it fails, putting the piece there fails, too */
}

/* Appends the next piece: of what there is room for, half, as stuffing adds up to a third. After an error `out` is as it was, but for the error. */
static int put_piece(struct pop3_protocol *p, struct buffer *out)
{
	size_t room = MAX((out->max - out->len) / 2, (size_t)1), from = out->len;
	uint64_t bytes = MIN(next_bytes(p), (uint64_t)room);
	bool more = true;
	int error = 0;

	if (bytes) {
		error = p->backend->append(p->backend->context, p->body_at, bytes, out);
		if (!error && out->len - from != bytes)
			error = -EBADMSG;
		if (!error) {
			more = pop3_stuff_added(&p->stuff, from, out);
			error = buffer_error(out);
		}
		if (error) {
			buffer_truncate(out, from);
			return error;
		}
		p->body_at += bytes;
		p->sent_bytes += bytes;
	}
	if (!more || p->body_at == p->body_bytes) {
		pop3_stuff_finish(&p->stuff, out);
		finish(p, buffer_error(out) ? POP3_CLOSED : POP3_COMMANDS);
	}
	return 0;
}

static void begin(struct pop3_protocol *p, const struct pop3_command *command, uint64_t bytes, struct buffer *out)
{
	p->phase = POP3_BODY;
	p->body_at = 0;
	p->body_bytes = bytes;
	p->stuff = pop3_stuff_start(command->verb == POP3_RETR ? POP3_ALL_LINES : command->lines);
	make_room(p, out);
	if (command->verb == POP3_RETR) {
		buffer_put(out, SLICE("+OK "));
		buffer_put_u64(out, bytes);
		buffer_put(out, SLICE(" octets\r\n"));
	} else {
		buffer_put(out, SLICE("+OK Top of message follows\r\n"));
	}
}

void pop3_retrieve(struct pop3_protocol *p, const struct pop3_command *command, struct buffer *out)
{
	const struct pop3_backend *b = p->backend;
	struct pop3_message message;
	size_t before = out->len;
	int error;

	if (!pop3_message_find(p, command->number, out, &message))
		return;
	error = b->open(b->context, message.email);
	if (!error) {
		begin(p, command, message.bytes, out);
		error = put_piece(p, out);
		if (error) {
			/* Better an error now than half a message. Where that cannot be said either, nothing more may be done. */
			finish(p, buffer_error(out) ? POP3_CLOSED : POP3_COMMANDS);
			buffer_truncate(out, before);
		}
	}
	if (error)
		pop3_cannot_read(command->number, error, out);
	else if (command->verb == POP3_RETR)
		p->retrieved++;
	else
		p->topped++;
}

void pop3_retrieve_more(struct pop3_protocol *p, struct buffer *out)
{
	make_room(p, out);
	/* No end of the answer: the client must not take what it has for the whole. */
	if (put_piece(p, out))
		finish(p, POP3_CLOSED);
}
