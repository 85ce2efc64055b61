#include "lmtp/envelope.h"

enum { BYTES_PER_NAME = 1024, ROOM_FIRST = 16 };

int lmtp_envelope_init(struct lmtp_envelope *envelope, uint32_t recipients_max, uint32_t targets_max)
{
	struct lmtp_envelope e = {.targets_max = targets_max};
	int error = arena_new((size_t)BYTES_PER_NAME * ((size_t)recipients_max + 16), &e.arena);

	if (error)
		return error;
	*envelope = e;
	return 0;
}

void lmtp_envelope_free(struct lmtp_envelope *envelope)
{
	arena_free(&envelope->arena);
	free(envelope->recipients);
	free(envelope->targets);
	*envelope = (struct lmtp_envelope){0};
}

void lmtp_envelope_reset(struct lmtp_envelope *envelope)
{
	arena_reset(envelope->arena);
	free(envelope->recipients);
	free(envelope->targets);
	*envelope = (struct lmtp_envelope){.arena = envelope->arena, .targets_max = envelope->targets_max};
}

int lmtp_envelope_sender(struct lmtp_envelope *envelope, struct slice text, bool smtputf8)
{
	struct slice copy;
	int error = arena_copy(envelope->arena, text, &copy);

	if (error)
		return error;
	envelope->sender = copy;
	envelope->smtputf8 = smtputf8;
	return 0;
}

/* Makes room for one more of `bytes` each. */
static int grow(void **array, uint32_t count, uint32_t *room, size_t bytes)
{
	uint32_t wanted = *room ? *room * 2 : ROOM_FIRST;
	void *grown;

	if (count < *room)
		return 0;
	grown = realloc(*array, wanted * bytes);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = wanted;
	return 0;
}

int lmtp_envelope_recipient(struct lmtp_envelope *envelope, struct slice text)
{
	void *array = envelope->recipients;
	struct lmtp_recipient r = {.first_target = envelope->target_count};
	int error = arena_copy(envelope->arena, text, &r.text);

	if (error)
		return error;
	error = grow(&array, envelope->recipient_count, &envelope->recipient_room, sizeof(r));
	envelope->recipients = array;
	if (error)
		return error;
	envelope->recipients[envelope->recipient_count++] = r;
	return 0;
}

int lmtp_envelope_target(struct lmtp_envelope *envelope, uint64_t account, struct slice detail)
{
	void *array = envelope->targets;
	struct lmtp_target t = {.account = account};
	struct lmtp_recipient *recipient = &envelope->recipients[envelope->recipient_count - 1];
	int error;

	if (envelope->target_count == envelope->targets_max)
		return -ENOBUFS;
	error = arena_copy(envelope->arena, detail, &t.detail);
	if (error)
		return error;
	error = grow(&array, envelope->target_count, &envelope->target_room, sizeof(t));
	envelope->targets = array;
	if (error)
		return error;
	envelope->targets[envelope->target_count++] = t;
	recipient->target_count++;
	return 0;
}

void lmtp_envelope_drop(struct lmtp_envelope *envelope)
{
	envelope->recipient_count--;
	envelope->target_count = envelope->recipients[envelope->recipient_count].first_target;
}

bool lmtp_error_lasts(int error)
{
	return error == -EDQUOT || error == -EMSGSIZE || error == -ENOENT || error == -EXDEV || error == -ELOOP;
}

int lmtp_envelope_result(const struct lmtp_envelope *envelope, uint32_t recipient)
{
	const struct lmtp_recipient *r = &envelope->recipients[recipient];
	int result = 0;

	for (uint32_t i = 0; i < r->target_count; i++) {
		int error = envelope->targets[r->first_target + i].error;

		if (error && (result == 0 || lmtp_error_lasts(result)))
			result = error;
	}
	return result;
}
