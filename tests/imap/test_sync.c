/*
 * Devices of one account do random things to one mailbox. Each keeps, from the untagged answers alone, its own idea of the mailbox - numbers, UIDs, flags
 * - as a client does; whenever it has been told everything, that idea must be the mailbox (RFC 9051 §7). One device speaks IMAP4rev1, one has
 * CONDSTORE enabled, one QRESYNC.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "rig.h"

enum { DEVICES = 3, MESSAGES_MAX = 300, MESSAGES_MOST = 120, FLAGS_TEXT_MAX = 120, STEPS = 1500, ANSWER_MAX = 4 << 20 };

struct message {
	uint64_t uid; /* 0: not told yet */
	bool flags_known;
	char flags[FLAGS_TEXT_MAX];
};
struct device {
	int fd;
	unsigned tags;
	struct buffer input;
	size_t used;
	struct message messages[MESSAGES_MAX];
	size_t count;
	bool no_expunges; /* the command in flight keeps them back */
	const char *command;
};
struct test {
	struct rig rig;
	uint64_t account, random;
	struct device devices[DEVICES];
};

/* ---- What a client makes of untagged answers ---- */

static uint64_t number_at(struct slice text)
{
	uint64_t number = 0;

	for (size_t i = 0; i < text.len && byte_is_digit(text.at[i]); i++)
		number = number * 10 + (uint64_t)(text.at[i] - '0');
	return number;
}

static bool find_behind(struct slice line, const char *word, struct slice *ret_rest)
{
	size_t at = slice_find(line, slice_of(word));

	if (at == SIZE_MAX)
		return false;
	*ret_rest = slice_from(line, at + strlen(word));
	return true;
}

static void drop_message(struct device *d, size_t index)
{
	if (d->no_expunges)
		fail_msg("expunge told during '%s'", d->command);
	assert_true(index < d->count);
	memmove(&d->messages[index], &d->messages[index + 1], (d->count - index - 1) * sizeof(d->messages[0]));
	d->count--;
}

static void take_vanished(struct device *d, struct slice set)
{
	while (set.len) {
		struct slice range = slice_split(&set, ',');
		uint64_t first = number_at(slice_split(&range, ':')), last = range.len ? number_at(range) : first;

		for (size_t i = d->count; i-- > 0;)
			if (d->messages[i].uid >= first && d->messages[i].uid <= last)
				drop_message(d, i);
	}
}

static void take_exists(struct device *d, uint64_t count)
{
	assert_true(count >= d->count && count <= MESSAGES_MAX);
	while (d->count < count)
		d->messages[d->count++] = (struct message){0};
}

static void take_fetch(struct device *d, uint64_t number, struct slice items)
{
	struct message *message;
	struct slice rest;
	size_t end;

	if (number < 1 || number > d->count)
		fail_msg("'%s': FETCH of %llu of %zu", d->command, (unsigned long long)number, d->count);
	message = &d->messages[number - 1];
	if (find_behind(items, "UID ", &rest)) {
		if (message->uid && message->uid != number_at(rest))
			fail_msg("'%s': number %llu is UID %llu, was %llu", d->command, (unsigned long long)number,
				(unsigned long long)number_at(rest), (unsigned long long)message->uid);
		message->uid = number_at(rest);
	}
	if (!find_behind(items, "FLAGS (", &rest))
		return;
	end = slice_find_byte(rest, ')');
	assert_true(end < FLAGS_TEXT_MAX);
	memcpy(message->flags, rest.at, end);
	message->flags[end] = '\0';
	message->flags_known = true;
}

static void take_line(struct device *d, struct slice line)
{
	struct slice rest;

	if (find_behind(line, "* VANISHED ", &rest))
		take_vanished(d, rest);
	else if (find_behind(line, " EXISTS", &rest))
		take_exists(d, number_at(slice_from(line, 2)));
	else if (find_behind(line, " EXPUNGE", &rest))
		drop_message(d, (size_t)number_at(slice_from(line, 2)) - 1);
	else if (find_behind(line, " FETCH (", &rest))
		take_fetch(d, number_at(slice_from(line, 2)), rest);
}

/* ---- Commands ---- */

static struct slice read_line(struct device *d)
{
	struct slice rest = slice_from(buffer_slice(&d->input), d->used);
	size_t end;

	while ((end = slice_find(rest, SLICE("\r\n"))) == SIZE_MAX) {
		char *room = buffer_room(&d->input, 65536);
		ssize_t got = room ? recv(d->fd, room, 65536, 0) : -1;

		if (got <= 0)
			fail_msg("'%s': the connection was closed", d->command);
		buffer_added(&d->input, (size_t)got);
		rest = slice_from(buffer_slice(&d->input), d->used);
	}
	d->used += end + 2;
	return slice_first(rest, end);
}

static void command_once(struct device *d, const char *text)
{
	char line[400], tag[16];
	struct slice answer;
	int len;

	(void)snprintf(tag, sizeof(tag), "t%u ", d->tags++);
	len = snprintf(line, sizeof(line), "%s%s\r\n", tag, text);
	d->command = text;
	d->no_expunges = slice_starts(slice_of(text), SLICE("FETCH")) || slice_starts(slice_of(text), SLICE("STORE")) ||
			 slice_starts(slice_of(text), SLICE("SEARCH"));
	assert_int_equal(send(d->fd, line, (size_t)len, 0), len);
	buffer_consume(&d->input, d->used);
	d->used = 0;
	for (answer = read_line(d); !slice_starts(answer, slice_of(tag)); answer = read_line(d))
		take_line(d, answer);
	answer = slice_from(answer, strlen(tag));
	if (slice_starts(answer, SLICE("BAD")))
		fail_msg("'%s' was answered by '%.*s'", text, SLICE_ARG(answer));
}

/* VANISHED names UIDs, so a client asks for those of new messages at once. */
static void command(struct device *d, const char *text)
{
	bool unknown = false;

	command_once(d, text);
	for (size_t i = 0; i < d->count; i++)
		unknown |= d->messages[i].uid == 0;
	if (unknown)
		command_once(d, "FETCH 1:* (UID)");
}

static uint64_t below(struct test *t, uint64_t bound)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random % bound;
}

/* A range of numbers this device knows, or of UIDs there may be. */
static void put_set(struct test *t, const struct device *d, char *set, size_t room, bool uid)
{
	uint64_t most = uid ? 600 : d->count, first = 1 + below(t, most), last = first + below(t, 4);

	(void)snprintf(set, room, "%llu:%llu", (unsigned long long)first, (unsigned long long)MIN(last, most));
}

static void forget_flags(struct device *d)
{
	for (size_t i = 0; i < d->count; i++)
		d->messages[i].flags_known = false;
}

static void store(struct test *t, struct device *d, const char *set, bool uid)
{
	static const char *const flags[] = {"\\Seen", "\\Deleted", "\\Deleted", "\\Flagged", "Work", "$Junk"};
	static const char *const modes[] = {"", "+", "-"};
	bool silent = below(t, 4) == 0;
	char text[300];

	(void)snprintf(text, sizeof(text), "%sSTORE %s %sFLAGS%s (%s)", uid ? "UID " : "", set, modes[below(t, 3)],
		silent ? ".SILENT" : "", flags[below(t, ARRAY_LEN(flags))]);
	/* The client would know what it did itself; this one asks again. */
	if (silent)
		forget_flags(d);
	command(d, text);
}

static void act(struct test *t, struct device *d)
{
	static const struct {
		const char *verb, *rest;
		bool adds;
	} with_set[] = {
		{"FETCH", " (FLAGS)", false},
		{"FETCH", " (BODY[TEXT]<0.1>)", false},
		{"COPY", " INBOX", true},
		{"COPY", " Archive", false},
		{"MOVE", " Trash", false},
		{"SEARCH", " BODY x", false},
		{"MOVE", " INBOX", false},
	};
	bool uid = d->count == 0 || below(t, 2);
	char text[300], set[60];
	size_t form;

	put_set(t, d, set, sizeof(set), uid);
	switch (below(t, 6)) {
	case 0:
		command(d, below(t, 3) ? "NOOP" : "EXPUNGE");
		return;
	case 1:
	case 2:
		store(t, d, set, uid);
		return;
	case 3:
		if (d->count < MESSAGES_MOST)
			assert_int_equal(
				rig_deliver(&t->rig, t->account, SLICE("INBOX"), SLICE("Subject: s\n\nx\n")), 0);
		return;
	default:
		form = below(t, ARRAY_LEN(with_set));
		if (with_set[form].adds && d->count >= MESSAGES_MOST)
			return;
		(void)snprintf(text, sizeof(text), "%s%s %s%s%s", uid ? "UID " : "", with_set[form].verb,
			uid && with_set[form].verb[0] == 'S' ? "UID " : "", set, with_set[form].rest);
		command(d, text);
	}
}

/* After NOOP a device has been told everything: what it has learnt must be what the mailbox says. */
static void compare(struct device *d, const struct device *other)
{
	struct device told;

	command(d, "NOOP");
	told = *d;
	command(d, d->count ? "UID FETCH 1:* (UID FLAGS)" : "NOOP");
	assert_int_equal(told.count, d->count);
	for (size_t i = 0; i < d->count; i++)
		if (told.messages[i].flags_known)
			assert_string_equal(told.messages[i].flags, d->messages[i].flags);
	if (!other)
		return;
	assert_int_equal(other->count, d->count);
	for (size_t i = 0; i < d->count; i++) {
		assert_int_equal(other->messages[i].uid, d->messages[i].uid);
		assert_string_equal(other->messages[i].flags, d->messages[i].flags);
	}
}

static void every_device_knows_the_mailbox(void **state)
{
	struct test *t = *state;

	for (unsigned step = 0; step < STEPS; step++) {
		act(t, &t->devices[below(t, DEVICES)]);
		if (step % 50 != 49)
			continue;
		for (unsigned i = 0; i < DEVICES; i++)
			compare(&t->devices[i], i ? &t->devices[i - 1] : NULL);
	}
}

static int setup(void **state)
{
	static struct test t;
	static const char *const enable[DEVICES] = {"NOOP", "ENABLE CONDSTORE", "ENABLE QRESYNC"};

	t = (struct test){.random = 362436069};
	assert_int_equal(rig_start(&t.rig), 0);
	assert_int_equal(rig_account(&t.rig, 0, &t.account), 0);
	t.rig.services.limits.output_bytes_max = 512;
	for (unsigned i = 0; i < DEVICES; i++) {
		t.devices[i].input = BUFFER_INIT(ANSWER_MAX);
		assert_int_equal(rig_connect(&t.rig, t.account, SLICE(""), &t.devices[i].fd), 0);
		command(&t.devices[i], enable[i]);
		command(&t.devices[i], "SELECT INBOX");
	}
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;

	for (unsigned i = 0; i < DEVICES; i++) {
		(void)close(t->devices[i].fd);
		buffer_free(&t->devices[i].input);
	}
	rig_stop(&t->rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_device_knows_the_mailbox),
	};

	return cmocka_run_group_tests_name("imap: views of several devices", tests, setup, teardown);
}
