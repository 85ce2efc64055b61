#include "fake_backend.h"

static const struct {
	const char *address;
	int refused; /* at RCPT */
	int result;  /* at the end */
	int targets; /* accounts it stands for */
} people[] = {
	{"ann@example.org", 0, 0, 1},
	{"bob@example.org", 0, 0, 1},
	{"postmaster@host.example", 0, 0, 1},
	{"off@example.org", -EPERM, 0, 0},
	{"broken@example.org", -EIO, 0, 0},
	{"full@example.org", 0, -EDQUOT, 1},
	{"disk@example.org", 0, -ENOSPC, 1},
	{"both@example.org", 0, 0, 2},
	{"half@example.org", 0, -EDQUOT, 2},
	{"many@example.org", 0, 0, 40},
};

static int resolve(void *context UNUSED, struct slice address, struct lmtp_envelope *envelope)
{
	if (slice_ends(address, SLICE("@elsewhere.example")))
		return -EXDEV;
	for (size_t i = 0; i < ARRAY_LEN(people); i++) {
		if (!slice_equal(address, slice_of(people[i].address)))
			continue;
		for (int n = 0; n < people[i].targets; n++) {
			int error = lmtp_envelope_target(envelope, i * 100 + (unsigned)n, SLICE("detail"));

			if (error)
				return error;
		}
		return people[i].refused;
	}
	return -ENOENT;
}

static int begin(void *context)
{
	struct fake *fake = context;

	CHECK(!fake->open);
	if (fake->begin_error)
		return fake->begin_error;
	fake->begun++;
	fake->open = true;
	buffer_reset(&fake->message);
	return 0;
}

static int write_bytes(void *context, struct slice bytes)
{
	struct fake *fake = context;

	CHECK(fake->open);
	if (fake->write_error)
		return fake->write_error;
	buffer_put(&fake->message, bytes);
	return buffer_error(&fake->message) == -ENOBUFS ? -EMSGSIZE : 0;
}

void fake_deliver_now(struct fake *fake)
{
	struct lmtp_envelope *e = &fake->protocol->envelope;

	for (uint32_t i = 0; i < e->target_count; i++) {
		size_t person = e->targets[i].account / 100;

		/* The last of several targets is the one that fails. */
		if (e->targets[i].account % 100 == (unsigned)people[person].targets - 1u)
			e->targets[i].error = people[person].result;
	}
	lmtp_protocol_delivered(fake->protocol);
}

static void deliver(void *context)
{
	struct fake *fake = context;

	CHECK(fake->open);
	fake->open = false;
	fake->delivered++;
	if (!fake->slow)
		fake_deliver_now(fake);
}

static void abandon(void *context)
{
	struct fake *fake = context;

	CHECK(fake->open);
	fake->open = false;
	fake->abandoned++;
}

static void put_id(void *context UNUSED, struct buffer *out)
{
	buffer_put_text(out, "5e551.1");
}

static void answered(void *context, struct slice recipient UNUSED, int error UNUSED)
{
	struct fake *fake = context;

	fake->answers++;
}

static int64_t now_s(void *context UNUSED)
{
	return 1772359200; /* Sun, 01 Mar 2026 10:00:00 +0000 */
}

struct lmtp_backend fake_backend(struct fake *fake)
{
	return (struct lmtp_backend){resolve, begin, write_bytes, deliver, abandon, put_id, answered, now_s, fake};
}
