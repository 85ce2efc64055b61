/*
 * QRESYNC against a model: a client remembers the mailbox at many moments; later, whatever happened in between, each memory brought up to date by
 * SELECT (QRESYNC ...) or by UID FETCH (CHANGEDSINCE ... VANISHED) must be the mailbox as it is (RFC 7162 §3.2.5, §3.2.6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "rig.h"

enum { UIDS_MAX = 400, FLAGS_TEXT_MAX = 120, MOMENTS = 12, CHANGES_PER_MOMENT = 14, ANSWER_MAX = 4 << 20 };

struct cache {
	uint64_t modseq;
	uint32_t uidnext;
	bool there[UIDS_MAX];
	char flags[UIDS_MAX][FLAGS_TEXT_MAX];
};
struct client {
	int fd;
	unsigned tags;
	struct buffer input;
	size_t used;
};
struct test {
	struct rig rig;
	uint64_t account, random;
	uint32_t uidvalidity;
	struct client changer, watcher;
	struct cache moments[MOMENTS], now;
};

/* ---- A client that understands just enough ---- */

static void connect_client(struct test *t, struct client *c)
{
	*c = (struct client){.input = BUFFER_INIT(ANSWER_MAX)};
	assert_int_equal(rig_connect(&t->rig, t->account, SLICE(""), &c->fd), 0);
}

static struct slice read_line(struct client *c)
{
	struct slice rest = slice_from(buffer_slice(&c->input), c->used);
	size_t end;

	while ((end = slice_find(rest, SLICE("\r\n"))) == SIZE_MAX) {
		char *room = buffer_room(&c->input, 65536);
		ssize_t got = room ? recv(c->fd, room, 65536, 0) : -1;

		assert_true(got > 0);
		buffer_added(&c->input, (size_t)got);
		rest = slice_from(buffer_slice(&c->input), c->used);
	}
	c->used += end + 2;
	return slice_first(rest, end);
}

/* Sends a command and shows `each` every untagged line of its answer, which must be OK. */
static void command(struct client *c, const char *text, void (*each)(void *context, struct slice line), void *context)
{
	struct buffer line = BUFFER_INIT(65536);
	char tag[16];
	struct slice answer;

	(void)snprintf(tag, sizeof(tag), "t%u ", c->tags++);
	buffer_printf(&line, "%s%s\r\n", tag, text);
	assert_int_equal(send(c->fd, line.at, line.len, 0), (ssize_t)line.len);
	buffer_free(&line);
	buffer_consume(&c->input, c->used);
	c->used = 0;
	for (;;) {
		answer = read_line(c);
		if (slice_starts(answer, slice_of(tag)))
			break;
		if (each)
			each(context, answer);
	}
	if (!slice_starts(slice_from(answer, strlen(tag)), SLICE("OK")))
		fail_msg("'%s' was answered by '%.*s'", text, SLICE_ARG(answer));
}

static uint64_t number_behind(struct slice line, const char *word)
{
	size_t at = slice_find(line, slice_of(word));
	uint64_t number = 0;

	if (at == SIZE_MAX)
		return 0;
	for (at += strlen(word); at < line.len && byte_is_digit(line.at[at]); at++)
		number = number * 10 + (uint64_t)(line.at[at] - '0');
	return number;
}

static void take_fetch(struct cache *cache, struct slice line)
{
	uint64_t uid = number_behind(line, "UID ");
	struct slice flags = slice_from(line, slice_find(line, SLICE("FLAGS (")));
	size_t end = slice_find_byte(flags, ')');

	assert_true(uid > 0 && uid < UIDS_MAX);
	assert_true(end != SIZE_MAX && end < FLAGS_TEXT_MAX);
	cache->there[uid] = true;
	memcpy(cache->flags[uid], flags.at, end);
	cache->flags[uid][end] = '\0';
}

static void take_vanished(struct cache *cache, struct slice set)
{
	while (set.len) {
		struct slice range = slice_split(&set, ','), first = slice_split(&range, ':');
		uint64_t from, to;

		assert_int_equal(slice_to_u64(first, UINT32_MAX, &from), 0);
		to = from;
		if (range.len)
			assert_int_equal(slice_to_u64(range, UINT32_MAX, &to), 0);
		for (; from <= to && from < UIDS_MAX; from++)
			cache->there[from] = false;
	}
}

static void take_line(void *context, struct slice line)
{
	struct cache *cache = context;
	static const char vanished[] = "* VANISHED (EARLIER) ";

	if (slice_starts(line, slice_of(vanished)))
		take_vanished(cache, slice_from(line, sizeof(vanished) - 1));
	else if (slice_find(line, SLICE(" FETCH (")) != SIZE_MAX)
		take_fetch(cache, line);
	else if (slice_find(line, SLICE("[HIGHESTMODSEQ ")) != SIZE_MAX)
		cache->modseq = number_behind(line, "[HIGHESTMODSEQ ");
	else if (slice_find(line, SLICE("[UIDNEXT ")) != SIZE_MAX)
		cache->uidnext = (uint32_t)number_behind(line, "[UIDNEXT ");
}

static void take_uidvalidity(void *context, struct slice line)
{
	struct test *t = context;

	if (slice_find(line, SLICE("[UIDVALIDITY ")) != SIZE_MAX)
		t->uidvalidity = (uint32_t)number_behind(line, "[UIDVALIDITY ");
}

/* ---- Changes ---- */

static uint64_t below(struct test *t, uint64_t bound)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random % bound;
}

static void change(struct test *t)
{
	static const char *const flags[] = {"\\Seen", "\\Flagged", "\\Deleted", "Work", "$Forwarded", "\\Answered"};
	char text[200];
	uint32_t uid = 1 + (uint32_t)below(t, UIDS_MAX / 3), to = uid + (uint32_t)below(t, 6);

	switch (below(t, 6)) {
	case 0:
	case 1:
		assert_int_equal(rig_deliver(&t->rig, t->account, SLICE("INBOX"), SLICE("Subject: x\n\ny\n")), 0);
		return;
	case 2:
		(void)snprintf(text, sizeof(text), "UID MOVE %u:%u Trash", uid, uid + (unsigned)below(t, 2));
		break;
	case 3:
		(void)snprintf(text, sizeof(text), "EXPUNGE");
		break;
	default:
		(void)snprintf(text, sizeof(text), "UID STORE %u:%u %cFLAGS (%s)", uid, to, "+-"[below(t, 2)],
			flags[below(t, ARRAY_LEN(flags))]);
	}
	command(&t->changer, text, NULL, NULL);
}

/* ---- Comparing ---- */

static void look(struct test *t, struct cache *cache)
{
	memset(cache, 0, sizeof(*cache));
	command(&t->watcher, "SELECT INBOX", take_line, cache);
	command(&t->watcher, "UID FETCH 1:* (FLAGS)", take_line, cache);
}

static void expect_now(const struct test *t, const struct cache *cache, unsigned moment, const char *how)
{
	for (unsigned uid = 1; uid < UIDS_MAX; uid++) {
		if (cache->there[uid] != t->now.there[uid])
			fail_msg("moment %u by %s: UID %u is %s", moment, how, uid,
				t->now.there[uid] ? "missing" : "still there");
		if (cache->there[uid])
			assert_string_equal(cache->flags[uid], t->now.flags[uid]);
	}
}

/* The UIDs of a cache as a set, one by one. */
static void put_known(struct buffer *b, const struct cache *cache)
{
	const char *separator = "";

	for (unsigned uid = 1; uid < UIDS_MAX; uid++) {
		if (!cache->there[uid])
			continue;
		buffer_printf(b, "%s%u", separator, uid);
		separator = ",";
	}
}

/* Pairs of number and UID: every third message the client remembers. */
static void put_matches(struct buffer *b, const struct cache *cache)
{
	struct buffer uids = BUFFER_INIT(8192);
	unsigned seq = 0;
	const char *separator = "";

	buffer_put_text(b, " (");
	for (unsigned uid = 1; uid < UIDS_MAX; uid++) {
		if (!cache->there[uid] || ++seq % 3)
			continue;
		buffer_printf(b, "%s%u", separator, seq);
		buffer_printf(&uids, "%s%u", separator, uid);
		separator = ",";
	}
	buffer_printf(b, " %s)", buffer_text(&uids));
	buffer_free(&uids);
}

static unsigned count_there(const struct cache *cache)
{
	unsigned count = 0;

	for (unsigned uid = 1; uid < UIDS_MAX; uid++)
		count += cache->there[uid];
	return count;
}

static void by_select(struct test *t, unsigned moment, bool known, bool match)
{
	struct cache cache = t->moments[moment];
	struct buffer text = BUFFER_INIT(65536);

	/* With known UIDs a client does not hear of new ones; it is told of them by EXISTS and UIDNEXT. */
	if ((known && count_there(&cache) == 0) || (match && count_there(&cache) < 3))
		return;
	buffer_printf(&text, "SELECT INBOX (QRESYNC (%u %llu", t->uidvalidity, (unsigned long long)cache.modseq);
	if (known) {
		buffer_put_byte(&text, ' ');
		put_known(&text, &cache);
		buffer_printf(&text, ",%u:%u", cache.uidnext, UIDS_MAX);
	}
	if (match)
		put_matches(&text, &cache);
	buffer_put_text(&text, "))");
	command(&t->watcher, buffer_text(&text), take_line, &cache);
	expect_now(t, &cache, moment, match ? "SELECT with match data" : known ? "SELECT with UIDs" : "SELECT");
	buffer_free(&text);
}

static void by_fetch(struct test *t, unsigned moment)
{
	struct cache cache = t->moments[moment];
	char text[200];

	(void)snprintf(text, sizeof(text), "UID FETCH 1:* (FLAGS) (CHANGEDSINCE %llu VANISHED)",
		(unsigned long long)MAX(cache.modseq, 1));
	command(&t->watcher, text, take_line, &cache);
	expect_now(t, &cache, moment, "FETCH");
}

static void every_memory_comes_up_to_date(void **state)
{
	struct test *t = *state;

	for (unsigned moment = 0; moment < MOMENTS; moment++) {
		look(t, &t->moments[moment]);
		for (unsigned i = 0; i < CHANGES_PER_MOMENT; i++)
			change(t);
	}
	look(t, &t->now);
	for (unsigned moment = 0; moment < MOMENTS; moment++) {
		by_select(t, moment, false, false);
		by_select(t, moment, true, false);
		by_select(t, moment, true, true);
		by_fetch(t, moment);
	}
}

static int setup(void **state)
{
	static struct test t;

	t = (struct test){.random = 2463534242};
	assert_int_equal(rig_start(&t.rig), 0);
	assert_int_equal(rig_account(&t.rig, 0, &t.account), 0);
	/* Small, so that the answers come in pieces. */
	t.rig.services.limits.output_bytes_max = 256;
	connect_client(&t, &t.changer);
	connect_client(&t, &t.watcher);
	command(&t.changer, "SELECT INBOX", take_uidvalidity, &t);
	command(&t.watcher, "ENABLE QRESYNC", NULL, NULL);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;

	(void)close(t->changer.fd);
	(void)close(t->watcher.fd);
	buffer_free(&t->changer.input);
	buffer_free(&t->watcher.input);
	rig_stop(&t->rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_memory_comes_up_to_date),
	};

	return cmocka_run_group_tests_name("imap: QRESYNC", tests, setup, teardown);
}
