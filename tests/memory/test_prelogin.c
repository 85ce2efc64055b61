/*
 * Each allocation fails in turn while somebody says hello and logs in. Core is told what the client said, whole, or nothing; the client gets the answer it
 * would get, or the connection's end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing.h"
#include "gate/prelogin.h"

enum { TEXT_MAX = 4096, STEPS_MAX = 16 };

struct client {
	enum gate_protocol protocol;
	const char *lines[STEPS_MAX]; /* ended by NULL */
	unsigned decisions;           /* what core is to be told */
};

static const struct client clients[] = {
	{GATE_IMAP,
		{"a CAPABILITY\r\n", "b ID (\"name\" \"Mutt\" \"version\" NIL)\r\n",
			"c LOGIN \"ann@example.org\" {13+}\r\ncorrect horse\r\n",
			"d AUTHENTICATE PLAIN AGFubgBob3JzZQ==\r\n", "e AUTHENTICATE SCRAM-SHA-256\r\n",
			"biwsbj1hLHI9eA==\r\n", "Yz1iaXdzLHI9eHk=\r\n", "\r\n", NULL},
		4},
	{GATE_POP3,
		{"CAPA\r\n", "USER ann@example.org\r\n", "PASS correct horse\r\n", "AUTH PLAIN AGFubgBob3JzZQ==\r\n",
			"AUTH SCRAM-SHA-256\r\n", "biwsbj1hLHI9eA==\r\n", "Yz1iaXdzLHI9eHk=\r\n", "\r\n", NULL},
		4},
};

struct play {
	struct prelogin prelogin;
	struct buffer out;
	char text[TEXT_MAX]; /* all that was said to the client and to core, line by line */
	size_t len;
	unsigned decisions;
	bool closed, through;
};

static void note(struct play *play, struct slice bytes)
{
	assert_true(play->len + bytes.len < sizeof(play->text));
	if (bytes.len)
		memcpy(play->text + play->len, bytes.at, bytes.len);
	play->len += bytes.len;
}

/* Core lets nobody in but by SCRAM, with one challenge. */
static enum prelogin_action core_answers(struct play *play, bool is_start)
{
	struct prelogin *p = &play->prelogin;

	play->decisions++;
	note(play, slice_make(p->mechanism, p->mechanism_len));
	note(play, buffer_slice(&p->sasl));
	if (p->mechanism[0] != 'S')
		return prelogin_failed(p, GATE_WRONG, SLICE(""), &play->out);
	if (!is_start)
		return prelogin_ok(p, SLICE("v=final"), &play->out);
	prelogin_challenge(p, SLICE("r=x,s=y,i=4096"), &play->out);
	return PRELOGIN_MORE;
}

static void say(struct play *play, const char *line)
{
	struct slice rest = slice_of(line);
	enum prelogin_action action;

	do {
		action = prelogin_input(&play->prelogin, &rest, &play->out);
		if (action == PRELOGIN_AUTH_START || action == PRELOGIN_AUTH_STEP)
			action = core_answers(play, action == PRELOGIN_AUTH_START);
	} while (rest.len && action != PRELOGIN_CLOSE && action != PRELOGIN_HANDOVER);
	play->through = action == PRELOGIN_HANDOVER;
	/* Answers that cannot be written end the connection, too. */
	play->closed = action == PRELOGIN_CLOSE || buffer_error(&play->out);
	if (!play->closed)
		note(play, buffer_slice(&play->out));
	buffer_reset(&play->out);
}

static void log_in(void *context)
{
	static struct play whole;
	static const struct prelogin_site site = {{"mail.example.org", 16}, 30, 60};
	static const struct prelogin_transport transport = {{"SCRAM-SHA-256 PLAIN LOGIN", 25}, true, false, false};
	const struct client *client = context;
	struct play play = {.out = BUFFER_INIT(PRELOGIN_OUT_ROOM)};

	prelogin_init(&play.prelogin, client->protocol, &site, &transport);
	prelogin_greet(&play.prelogin, &play.out);
	play.closed = buffer_error(&play.out);
	for (size_t i = 0; client->lines[i] && !play.closed && !play.through; i++)
		say(&play, client->lines[i]);
	prelogin_clear(&play.prelogin);
	buffer_free(&play.out);
	if (!failing_happened()) {
		whole = play;
		assert_true(play.through && play.decisions == client->decisions);
	}
	if (play.len > whole.len || memcmp(play.text, whole.text, play.len) != 0)
		fail_msg("said something else: %.*s", (int)play.len, play.text);
	assert_true(play.closed || play.len == whole.len);
}

static void each_allocation_before_the_login_fails_in_turn(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		assert_true(failing_each(log_in, (void *)(uintptr_t)&clients[i]) >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_before_the_login_fails_in_turn),
	};

	return cmocka_run_group_tests_name("memory: before the login", tests, NULL, NULL);
}
