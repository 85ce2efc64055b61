#include "script.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { BINDINGS_MAX = 64, BLOCK_MAX = 64, PATIENCE_MS = 10000, QUIET_MS = 60, INPUT_MAX = 64 << 20 };

struct binding {
	struct slice name, value;
};
struct script {
	struct rig *rig;
	uint64_t account;
	struct script_client *clients;
	struct binding bindings[BINDINGS_MAX];
	size_t binding_count;
	struct arena *arena;
	struct buffer pipelined;
	unsigned line;
};

/* ---- Placeholders ---- */

/* "<name>" at the beginning: its length, or 0. */
static size_t placeholder(struct slice s)
{
	size_t end = slice_find_byte(s, '>');

	if (end == SIZE_MAX || end < 2 || s.at[0] != '<')
		return 0;
	if (slice_starts(s, SLICE("<...>")))
		return 5;
	for (size_t i = 1; i < end; i++) {
		if (!(s.at[i] >= 'a' && s.at[i] <= 'z') && !byte_is_digit(s.at[i]) && s.at[i] != '-')
			return 0;
	}
	return end + 1;
}

static struct slice *bound(struct script *s, struct slice name)
{
	for (size_t i = 0; i < s->binding_count; i++) {
		if (slice_equal(s->bindings[i].name, name))
			return &s->bindings[i].value;
	}
	return NULL;
}

static size_t word(struct slice s)
{
	size_t len = 0;

	while (len < s.len && !memchr(" )]\"\r", s.at[len], 5))
		len++;
	return len;
}

static bool matches(struct script *s, struct slice line, struct slice pattern)
{
	size_t len;
	struct slice *value;

	for (; pattern.len; pattern = slice_from(pattern, 1), line = slice_from(line, 1)) {
		len = placeholder(pattern);
		if (len)
			break;
		if (!line.len || line.at[0] != pattern.at[0])
			return false;
	}
	if (!pattern.len)
		return !line.len;
	if (slice_starts(pattern, SLICE("<...>"))) {
		for (size_t i = 0; i <= line.len; i++) {
			if (matches(s, slice_from(line, i), slice_from(pattern, len)))
				return true;
		}
		return false;
	}
	value = bound(s, slice_first(pattern, len));
	if (value)
		return slice_starts(line, *value) && matches(s, slice_from(line, value->len), slice_from(pattern, len));
	assert_true(s->binding_count < BINDINGS_MAX);
	s->bindings[s->binding_count].name = slice_first(pattern, len);
	s->bindings[s->binding_count++].value = slice_first(line, word(line));
	if (word(line) && matches(s, slice_from(line, word(line)), slice_from(pattern, len)))
		return true;
	s->binding_count--;
	return false;
}

/* The line a binding was found in goes; its value stays. */
static void keep_bindings(struct script *s, size_t from)
{
	for (size_t i = from; i < s->binding_count; i++)
		assert_int_equal(arena_copy(s->arena, s->bindings[i].value, &s->bindings[i].value), 0);
}

/* ---- Sending ---- */

static void put_unescaped(struct script *s, struct slice text, struct buffer *out)
{
	for (size_t i = 0; i < text.len; i++) {
		struct slice *value;
		size_t len = placeholder(slice_from(text, i));

		value = len ? bound(s, slice_first(slice_from(text, i), len)) : NULL;
		if (value) {
			buffer_put(out, *value);
			i += len - 1;
		} else if (text.at[i] == '\\' && i + 1 < text.len && strchr("rn0\\", text.at[i + 1])) {
			char c = text.at[++i];

			buffer_put_byte(out, c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : '\\');
		} else {
			buffer_put_byte(out, text.at[i]);
		}
	}
}

/* "text*N" */
static uint64_t repeats(struct slice *text)
{
	size_t at = slice_find_last_byte(*text, '*');
	uint64_t count;

	if (at == SIZE_MAX || slice_to_u64(slice_from(*text, at + 1), INPUT_MAX, &count) < 0)
		return 1;
	*text = slice_first(*text, at);
	return count;
}

static struct script_client *client(struct script *s, unsigned number);

static void send_all(struct script_client *c, struct slice bytes)
{
	while (bytes.len) {
		ssize_t sent = send(c->fd, bytes.at, bytes.len, MSG_NOSIGNAL);

		if (sent < 0)
			return; /* a server that closed is found out by what it does not answer */
		bytes = slice_from(bytes, (size_t)sent);
	}
}

static void say(struct script *s, struct script_client *c, struct slice text, bool line)
{
	struct buffer bytes = BUFFER_INIT(INPUT_MAX);
	uint64_t count = line ? 1 : repeats(&text);

	if (line) {
		/* Only placeholders: a line has backslashes of its own. */
		while (text.len) {
			size_t len = placeholder(text);
			struct slice *value = len ? bound(s, slice_first(text, len)) : NULL;

			buffer_put(&bytes, value ? *value : slice_first(text, 1));
			text = slice_from(text, value ? len : 1);
		}
		buffer_put_text(&bytes, "\r\n");
	} else {
		for (uint64_t i = 0; i < count; i++)
			put_unescaped(s, text, &bytes);
	}
	assert_int_equal(buffer_error(&bytes), 0);
	send_all(c, buffer_slice(&bytes));
	buffer_free(&bytes);
}

/* ---- Receiving ---- */

static bool receive_more(struct script_client *c, int patience_ms)
{
	struct pollfd ready = {.fd = c->fd, .events = POLLIN};
	char *room = buffer_room(&c->input, 65536);
	ssize_t got;

	assert_non_null(room);
	if (c->closed || poll(&ready, 1, patience_ms) <= 0)
		return false;
	got = recv(c->fd, room, 65536, 0);
	if (got > 0)
		buffer_added(&c->input, (size_t)got);
	c->closed = got <= 0;
	return got > 0;
}

/* The next line without its end, valid until drop_line(). */
static bool next_line(struct script_client *c, struct slice *ret_line)
{
	size_t end;

	while ((end = slice_find(buffer_slice(&c->input), SLICE("\r\n"))) == SIZE_MAX) {
		if (!receive_more(c, PATIENCE_MS))
			return false;
	}
	*ret_line = slice_first(buffer_slice(&c->input), end);
	return true;
}

static void drop_line(struct script_client *c, struct slice line)
{
	buffer_consume(&c->input, line.len + 2);
}

/* One of the patterns must match the next line; it is taken out. */
static void expect_one(struct script *s, struct script_client *c, struct slice *patterns, size_t *count)
{
	size_t bindings = s->binding_count;
	struct slice line;

	if (!next_line(c, &line))
		fail_msg("line %u: expected '%.*s', but %s", s->line, SLICE_ARG(patterns[0]),
			c->closed ? "the connection was closed" : "the server said nothing");
	for (size_t i = 0; i < *count; i++) {
		if (!matches(s, line, patterns[i]))
			continue;
		keep_bindings(s, bindings);
		drop_line(c, line);
		patterns[i] = patterns[--*count];
		return;
	}
	fail_msg("line %u: expected '%.*s'%s, got '%.*s'", s->line, SLICE_ARG(patterns[0]),
		*count > 1 ? " or one of its neighbours" : "", SLICE_ARG(line));
}

/* Lines are passed over until one matches. */
static void expect_after_others(struct script *s, struct script_client *c, struct slice pattern)
{
	size_t bindings = s->binding_count;
	struct slice line;

	for (;;) {
		if (!next_line(c, &line))
			fail_msg("line %u: '%.*s' did not come", s->line, SLICE_ARG(pattern));
		if (matches(s, line, pattern))
			break;
		drop_line(c, line);
	}
	keep_bindings(s, bindings);
	drop_line(c, line);
}

static void expect_quiet(struct script *s, struct script_client *c)
{
	if (!c->input.len)
		(void)receive_more(c, QUIET_MS);
	if (c->input.len)
		fail_msg("line %u: expected nothing, got '%.*s'", s->line,
			SLICE_ARG(slice_first(buffer_slice(&c->input), 200)));
}

static void expect_closed(struct script *s, struct script_client *c)
{
	while (receive_more(c, PATIENCE_MS))
		;
	if (c->input.len || !c->closed)
		fail_msg("line %u: expected the end, got '%.*s'", s->line,
			SLICE_ARG(slice_first(buffer_slice(&c->input), 200)));
}

static struct script_client *client(struct script *s, unsigned number)
{
	struct script_client *c = &s->clients[number];
	struct slice line;

	if (c->fd >= 0)
		return c;
	c->input = BUFFER_INIT(INPUT_MAX);
	assert_int_equal(
		rig_connect(s->rig, s->account, number == 1 ? buffer_slice(&s->pipelined) : SLICE(""), &c->fd), 0);
	assert_true(next_line(c, &line));
	assert_true(slice_starts(line, SLICE("login OK [CAPABILITY IMAP4rev1 ")));
	drop_line(c, line);
	return c;
}

/* ---- Directives ---- */

static const struct {
	const char *name;
	size_t offset, bytes;
} limit_names[] = {
#define LIMIT(field)                                                                                  \
	{                                                                                             \
#field, offsetof(struct imap_limits, field), sizeof(((struct imap_limits *)0)->field) \
	}
	LIMIT(line_bytes_max),
	LIMIT(literal_bytes_max),
	LIMIT(list_depth_max),
	LIMIT(set_ranges_max),
	LIMIT(bad_max),
	LIMIT(idle_ms),
	LIMIT(arena_bytes_max),
	LIMIT(append_bytes_max),
	LIMIT(append_items_max),
	LIMIT(output_bytes_max),
#undef LIMIT
};

static void set_limit(struct script *s, struct slice text)
{
	struct slice name = slice_split(&text, ' ');
	uint64_t value;

	assert_int_equal(slice_to_u64(text, UINT32_MAX, &value), 0);
	for (size_t i = 0; i < ARRAY_LEN(limit_names); i++) {
		char *at = (char *)&s->rig->services.limits + limit_names[i].offset;
		unsigned small = (unsigned)value;

		if (!slice_equal(name, slice_of(limit_names[i].name)))
			continue;
		if (limit_names[i].bytes == sizeof(small))
			memcpy(at, &small, sizeof(small));
		else
			memcpy(at, &value, sizeof(value));
		return;
	}
	fail_msg("line %u: no such limit", s->line);
}

static void begin_to_stop(void *context)
{
	imap_sessions_stop(context);
}

static void directive(struct script *s, struct slice line)
{
	struct slice verb = slice_split(&line, ' '), mailbox;
	struct buffer message = BUFFER_INIT(INPUT_MAX);
	uint64_t quota;

	if (slice_equal(verb, SLICE("limit"))) {
		set_limit(s, line);
	} else if (slice_equal(verb, SLICE("quota"))) {
		assert_int_equal(slice_to_u64(line, UINT32_MAX, &quota), 0);
		assert_int_equal(rig_account(s->rig, quota, &s->account), 0);
	} else if (slice_equal(verb, SLICE("shutdown"))) {
		rig_call(s->rig, begin_to_stop, &s->rig->services);
	} else if (slice_equal(verb, SLICE("pipelined"))) {
		put_unescaped(s, line, &s->pipelined);
	} else if (slice_equal(verb, SLICE("deliver"))) {
		mailbox = slice_split(&line, ' ');
		put_unescaped(s, line, &message);
		assert_int_equal(rig_deliver(s->rig, s->account, mailbox, buffer_slice(&message)), 0);
	} else {
		fail_msg("line %u: what is '%.*s'?", s->line, SLICE_ARG(verb));
	}
	buffer_free(&message);
}

/* "C", "S" with an optional digit: the client's number, and the character behind it. 0 when the line is none of them. */
static unsigned speaker(struct slice line, char *ret_mark, struct slice *ret_text)
{
	unsigned number = 1;
	size_t at = 1;

	if (line.len < 2 || (line.at[0] != 'C' && line.at[0] != 'S'))
		return 0;
	if (line.at[1] >= '1' && line.at[1] <= '9')
		number = (unsigned)(line.at[at++] - '0');
	if (at >= line.len || !memchr(":|?-.~", line.at[at], 6))
		return 0;
	*ret_mark = line.at[at];
	*ret_text = slice_from(line, at + 1);
	if (ret_text->len && ret_text->at[0] == ' ')
		*ret_text = slice_from(*ret_text, 1);
	return number;
}

/* All S? lines in a row for one client. */
static void expect_block(struct script *s, unsigned number, struct slice first, struct slice *rest)
{
	struct slice patterns[BLOCK_MAX] = {first};
	size_t count = 1;

	for (;;) {
		struct slice ahead = *rest, line = slice_split(&ahead, '\n'), text;
		char mark;

		if (!line.len || line.at[0] != 'S' || speaker(line, &mark, &text) != number || mark != '?')
			break;
		assert_true(count < BLOCK_MAX);
		patterns[count++] = text;
		*rest = ahead;
		s->line++;
	}
	while (count)
		expect_one(s, client(s, number), patterns, &count);
}

static void play_line(struct script *s, struct slice line, struct slice *rest)
{
	struct slice text, pattern[1];
	size_t one = 1;
	char mark;
	unsigned number = speaker(line, &mark, &text);

	if (!number) {
		directive(s, line);
		return;
	}
	pattern[0] = text;
	if (line.at[0] == 'C')
		say(s, client(s, number), text, mark == ':');
	else if (mark == ':')
		expect_one(s, client(s, number), pattern, &one);
	else if (mark == '?')
		expect_block(s, number, text, rest);
	else if (mark == '~')
		expect_after_others(s, client(s, number), text);
	else if (mark == '-')
		expect_quiet(s, client(s, number));
	else
		expect_closed(s, client(s, number));
}

/* The session is in no command, and everything it had to say was read: NOOP has its answer and no other. */
static void expect_nothing_left(struct script_client *c)
{
	struct slice line;

	if (c->fd < 0 || c->closed)
		return;
	send_all(c, SLICE("the-end NOOP\r\n"));
	if (!next_line(c, &line))
		fail_msg("the end: the server does not answer");
	if (!slice_starts(line, SLICE("the-end OK ")))
		fail_msg("the end: '%.*s' was not expected", SLICE_ARG(line));
}

void script_play(struct rig *rig, struct slice text, struct script_client *clients)
{
	struct script s = {.rig = rig, .clients = clients, .pipelined = BUFFER_INIT(65536)};

	rig->services.limits = imap_limits_default;
	assert_int_equal(arena_new(INPUT_MAX, &s.arena), 0);
	assert_int_equal(rig_account(rig, 0, &s.account), 0);
	for (size_t i = 0; i <= SCRIPT_CLIENTS_MAX; i++)
		clients[i].fd = -1;
	while (text.len) {
		struct slice line = slice_split(&text, '\n');

		s.line++;
		if (line.len && line.at[0] != '#')
			play_line(&s, line, &text);
	}
	for (size_t i = 1; i <= SCRIPT_CLIENTS_MAX; i++)
		expect_nothing_left(&clients[i]);
	buffer_free(&s.pipelined);
	arena_free(&s.arena);
}

void script_end(struct rig *rig, struct script_client *clients)
{
	for (size_t i = 1; i <= SCRIPT_CLIENTS_MAX; i++) {
		if (clients[i].fd >= 0)
			(void)close(clients[i].fd);
		clients[i].fd = -1;
		buffer_free(&clients[i].input);
	}
	rig_wait_sessions(rig);
}
