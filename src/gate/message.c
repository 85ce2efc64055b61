#include "gate/message.h"

#include "base/codec.h"

/* A text of a message: where it lies in the struct, and how long it may be. */
struct field {
	size_t offset;
	size_t bytes_max;
};

#define FIELD(member, max)                                   \
	{                                                    \
		offsetof(struct gate_message, member), (max) \
	}

static const struct field start_fields[] = {FIELD(mechanism, GATE_MECHANISM_MAX), FIELD(sasl, GATE_SASL_MAX),
	FIELD(peer, GATE_ADDRESS_MAX), FIELD(local, GATE_ADDRESS_MAX), FIELD(tls_text, GATE_TLS_TEXT_MAX),
	FIELD(tls_exporter, GATE_BINDING_MAX), FIELD(tls_unique, GATE_BINDING_MAX), FIELD(client, GATE_CLIENT_MAX)};
static const struct field sasl_fields[] = {FIELD(sasl, GATE_SASL_MAX)};
static const struct field handover_fields[] = {FIELD(tag, GATE_TAG_MAX), FIELD(pipelined, GATE_PIPELINED_MAX)};
static const struct field hello_fields[] = {FIELD(mechanisms.open, GATE_MECHANISMS_MAX),
	FIELD(mechanisms.loopback, GATE_MECHANISMS_MAX), FIELD(mechanisms.tls_exporter, GATE_MECHANISMS_MAX),
	FIELD(mechanisms.tls_unique, GATE_MECHANISMS_MAX)};
static const struct field failed_fields[] = {FIELD(text, GATE_TEXT_MAX)};

/* What each kind may carry. */
struct form {
	const struct field *fields;
	size_t field_count;
	unsigned flags;      /* allowed ones */
	unsigned number_end; /* allowed numbers are below */
};

static const struct form to_core_forms[GATE_TO_CORE_END] = {
	[GATE_AUTH_START] = {start_fields, ARRAY_LEN(start_fields),
		GATE_FLAG_INITIAL | GATE_FLAG_TLS | GATE_FLAG_CONFIDENTIAL, GATE_PROTOCOLS},
	[GATE_AUTH_STEP] = {sasl_fields, ARRAY_LEN(sasl_fields), 0, 1},
	[GATE_AUTH_CANCEL] = {NULL, 0, 0, 1},
	[GATE_HANDOVER] = {handover_fields, ARRAY_LEN(handover_fields), GATE_FLAG_UTF8, 1},
};
static const struct form from_core_forms[GATE_FROM_CORE_END - GATE_HELLO] = {
	[GATE_HELLO - GATE_HELLO] = {hello_fields, ARRAY_LEN(hello_fields), 0, 1},
	[GATE_CHALLENGE - GATE_HELLO] = {sasl_fields, ARRAY_LEN(sasl_fields), 0, 1},
	[GATE_OK - GATE_HELLO] = {sasl_fields, ARRAY_LEN(sasl_fields), 0, 1},
	[GATE_FAILED - GATE_HELLO] = {failed_fields, ARRAY_LEN(failed_fields), 0, GATE_FAILURES},
};

static const struct form *form_of(unsigned kind, bool to_core)
{
	if (to_core)
		return kind >= GATE_AUTH_START && kind < GATE_TO_CORE_END ? &to_core_forms[kind] : NULL;
	return kind >= GATE_HELLO && kind < GATE_FROM_CORE_END ? &from_core_forms[kind - GATE_HELLO] : NULL;
}

void gate_message_encode(const struct gate_message *message, struct buffer *out)
{
	const struct form *form = form_of(message->kind, message->kind < GATE_TO_CORE_END);

	CHECK(form);
	buffer_put_byte(out, (char)message->kind);
	buffer_put_varint(out, message->id);
	buffer_put_varint(out, message->flags);
	buffer_put_varint(out, message->number);
	for (size_t i = 0; i < form->field_count; i++) {
		struct slice text;

		memcpy(&text, (const char *)message + form->fields[i].offset, sizeof(text));
		CHECK(text.len <= form->fields[i].bytes_max);
		buffer_put_sized(out, text);
	}
}

int gate_message_decode(struct slice bytes, bool to_core, struct gate_message *ret_message)
{
	struct reader r = READER_INIT(bytes);
	unsigned kind = reader_u8(&r);
	const struct form *form = form_of(kind, to_core);
	struct gate_message message = {.kind = (enum gate_message_kind)kind};
	uint64_t flags, number;

	if (!form)
		return -EBADMSG;
	message.id = reader_varint(&r);
	flags = reader_varint(&r);
	number = reader_varint(&r);
	if ((flags & ~(uint64_t)form->flags) || number >= form->number_end)
		return -EBADMSG;
	message.flags = (unsigned)flags;
	message.number = (unsigned)number;
	for (size_t i = 0; i < form->field_count; i++) {
		struct slice text = reader_sized(&r);

		if (text.len > form->fields[i].bytes_max)
			return -EBADMSG;
		memcpy((char *)&message + form->fields[i].offset, &text, sizeof(text));
	}
	if (reader_finish(&r))
		return -EBADMSG;
	*ret_message = message;
	return 0;
}
