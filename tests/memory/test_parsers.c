/*
 * Each allocation fails in turn while bytes from outside are read: commands of IMAP, the configuration, messages between gate and core. What comes out
 * is an error that says so, or the whole, never something that lacks a part.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing.h"
#include "gate/message.h"
#include "gate/peer.h"
#include "imap/input.h"
#include "imap/list.h"
#include "server/config.h"

/* ---- IMAP ---- */

static const char *const commands[] = {
	"a NOOP",
	"a ID (\"name\" \"Mutt\" \"version\" \"a \\\"b\\\"\")",
	"a ENABLE QRESYNC UTF8=ACCEPT",
	"a SELECT inbox (QRESYNC (7 99 1:5,9 (1,5 2:3)) CONDSTORE)",
	"a EXAMINE {5+}\r\ninbox",
	"a CREATE \"Entw&APw-rfe/2024/\" (USE (\\Drafts))",
	"a RENAME inbox {4+}\r\nOld/",
	"a DELETE \"say \\\"x\\\"\"",
	"a LIST \"\" (inbox \"a*\" Entw&APw-rfe) RETURN (CHILDREN STATUS (UNSEEN))",
	"a LSUB inbox/ %",
	"a STATUS \"inbox/a\" (MESSAGES SIZE)",
	"a UID FETCH 1:*,5,7:9 (FLAGS BINARY[1.2.3] BODY.PEEK[1.2.HEADER.FIELDS (TO {2+}\r\nCC)]<3.5>)",
	"a FETCH 7 BODY[HEADER.FIELDS.NOT (A B C D E F G H I J K)]",
	"a STORE 1,2,3 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Seen $Label other)",
	"a UID COPY 1:5,7 inbox",
	"a MOVE $ \"Tr\\\\ash\"",
	"a UID EXPUNGE 1,2",
	"a SEARCH RETURN (ALL) CHARSET ISO-8859-1 OR (TEXT {3+}\r\nf\xfcr NOT SUBJECT x) UID 1,2,4 KEYWORD $a",
	"a UID SEARCH CHARSET UTF-8 FROM \"f\xc3\xbcr\" HEADER X-A \"a \\\"b\\\"\" SINCE 1-Feb-2024 3:5",
};

struct parsed {
	int error;
	size_t arena_used;
	char names[256];
};

static void describe(const struct imap_command *c, struct parsed *parsed)
{
	const char *name = c->info->name ? c->info->name : "";
	struct slice text = SLICE(""), more = SLICE("");
	int len;

	if (!strcmp(name, "SELECT") || !strcmp(name, "EXAMINE"))
		text = c->select.mailbox;
	else if (!strcmp(name, "CREATE"))
		text = c->create.mailbox, more = c->create.given;
	else if (!strcmp(name, "RENAME"))
		text = c->rename.from, more = c->rename.to;
	else if (!strcmp(name, "DELETE"))
		text = c->mailbox;
	else if (!strcmp(name, "STATUS"))
		text = c->status.mailbox;
	else if (!strcmp(name, "COPY") || !strcmp(name, "MOVE"))
		text = c->copy.mailbox;
	len = snprintf(
		parsed->names, sizeof(parsed->names), "%s '%.*s' '%.*s'", name, SLICE_ARG(text), SLICE_ARG(more));
	if (strcmp(name, "LIST") != 0 && strcmp(name, "LSUB") != 0)
		return;
	for (size_t i = 0; i < c->list->pattern_count; i++)
		len += snprintf(parsed->names + len, sizeof(parsed->names) - (size_t)len, " '%.*s'",
			SLICE_ARG(c->list->patterns[i]));
}

static void parse(struct slice text, struct parsed *parsed)
{
	struct imap_lexer l = {.rest = text, .depth_max = 10, .set_ranges_max = 100};
	struct imap_command command;
	const char *problem;

	parsed->error = arena_new(1 << 20, &l.arena);
	if (parsed->error)
		return;
	parsed->error = imap_command_parse(&l, &command, &problem);
	parsed->arena_used = arena_used(l.arena);
	if (!parsed->error)
		describe(&command, parsed);
	arena_free(&l.arena);
}

/* As a session does: assembled from pieces, literals inline. */
static void read_command(const char *command, struct parsed *parsed)
{
	struct imap_input in;
	struct slice parts[] = {slice_of(command), SLICE("\r\n")};

	*parsed = (struct parsed){.error = -EIO};
	input_init(&in, 4000, 4000);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		while (parts[i].len) {
			enum imap_input_event event;

			parts[i] = slice_from(parts[i], input_feed(&in, slice_first(parts[i], 30), &event));
			if (event == INPUT_LITERAL)
				assert_true(input_accept(&in));
			else if (event == INPUT_COMMAND)
				parse(buffer_slice(&in.text), parsed);
			else if (event == INPUT_HOPELESS)
				parsed->error = -ENOMEM;
		}
	}
	input_free(&in);
}

static void one_command(void *context)
{
	static struct parsed whole;
	struct parsed parsed;

	read_command(context, &parsed);
	if (!failing_happened()) {
		whole = parsed;
		assert_int_equal(parsed.error, 0);
	} else if (parsed.error) {
		if (parsed.error != -ENOMEM && parsed.error != -ENOBUFS)
			fail_msg("%s: %d", (const char *)context, parsed.error);
	} else {
		assert_string_equal(parsed.names, whole.names);
		assert_int_equal(parsed.arena_used, whole.arena_used);
	}
}

static void commands_of_imap(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		assert_true(failing_each(one_command, (void *)(uintptr_t)commands[i]) >= 2);
}

/* ---- Configuration ---- */

static const char config_text[] =
	"# comment\ndata_dir = /srv/mail\nhostname = mail.example.org\nuser = mail\n"
	"listen_imap = 143, [::1]:1143, 192.0.2.1:144\nlisten_lmtp = /run/lmtp\n"
	"tls_certificate = /a /b\ntls_certificate = /c /d\nretention = 7d\nlog_level = warn\n";

static void configuration(void *context UNUSED)
{
	static char whole[4096];
	char text[sizeof(whole)];
	struct buffer problem = BUFFER_INIT(4096);
	struct config c;
	struct arena *arena;

	if (arena_new(1 << 16, &arena))
		return;
	if (config_parse(slice_of(config_text), "f", arena, &c, &problem) == 0) {
		int len = snprintf(text, sizeof(text), "%.*s %.*s %.*s %d %d", SLICE_ARG(c.data_dir),
			SLICE_ARG(c.hostname), SLICE_ARG(c.user), (int)c.retention_s, (int)c.log_level);

		for (size_t i = 0; i < c.listener_count; i++)
			len += snprintf(text + len, sizeof(text) - (size_t)len, " %.*s:%u",
				SLICE_ARG(c.listeners[i].host), c.listeners[i].port);
		for (size_t i = 0; i < c.certificate_count; i++)
			len += snprintf(text + len, sizeof(text) - (size_t)len, " %.*s %.*s",
				SLICE_ARG(c.certificates[i].chain), SLICE_ARG(c.certificates[i].key));
		if (!failing_happened())
			memcpy(whole, text, sizeof(text));
		assert_string_equal(text, whole);
		assert_int_equal(problem.len, 0);
	} else {
		assert_true(failing_happened());
		assert_true(slice_starts(buffer_slice(&problem), SLICE("f:")) || buffer_error(&problem) == -ENOMEM);
	}
	buffer_free(&problem);
	arena_free(&arena);
}

static void a_bad_configuration(void *context)
{
	struct buffer problem = BUFFER_INIT(4096);
	struct config c;
	struct arena *arena;

	if (arena_new(1 << 16, &arena))
		return;
	if (config_parse(slice_of(context), "f", arena, &c, &problem) == 0)
		assert_int_not_equal(config_validate(&c, &problem), 0);
	buffer_free(&problem);
	arena_free(&arena);
}

static void the_configuration(void **state UNUSED)
{
	static const char *const bad[] = {"hostname = mail.example.org\n", "listen_imap = 143\n", "listen_imap = x\n",
		"listen_imap = 143\nlisten_imap = 144\n", "nonsense\n"};

	assert_true(failing_each(configuration, NULL) >= 2);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(failing_each(a_bad_configuration, (void *)(uintptr_t)bad[i]) >= 1);
}

/* ---- Gate and core ---- */

/* Core's end of a channel, with a gate that is played. */
struct core {
	struct net_loop *loop;
	struct gate_peer *peer;
	struct net_task end;
	int gate;
	unsigned starts, steps, handovers, closed;
	bool through;
};

static void on_start(void *owner, const struct gate_auth_start *start)
{
	struct core *core = owner;

	assert_true(
		slice_equal(start->mechanism, SLICE("SCRAM-SHA-256")) && slice_equal(start->initial, SLICE("n,,n=a")));
	core->starts++;
	gate_peer_challenge(core->peer, start->id, SLICE("r=1,s=2,i=4096"));
}

static void on_step(void *owner, uint64_t id, struct slice response)
{
	struct core *core = owner;

	assert_true(slice_equal(response, SLICE("c=biws,r=1,p=x")));
	core->steps++;
	core->through = gate_peer_ok(core->peer, id, SLICE("v=y")) == 0;
}

static void on_cancel(void *owner UNUSED, uint64_t id UNUSED)
{
	fail();
}

static void on_handover(void *owner, const struct gate_handover *handover)
{
	struct core *core = owner;

	assert_true(core->through && handover->fd >= 0);
	assert_true(slice_equal(handover->pipelined, SLICE("b NOOP\r\n")));
	core->handovers++;
	(void)close(handover->fd);
}

static void on_closed(void *owner, const char *why UNUSED)
{
	struct core *core = owner;

	core->closed++;
	gate_peer_free(&core->peer);
}

static void end_of_turn(struct net_task *task)
{
	net_loop_stop(CONTAINER_OF(task, struct core, end)->loop);
}

static void say(struct core *core, const struct gate_message *message, int fd)
{
	char bytes[1024];
	struct buffer b = {bytes, 0, sizeof(bytes), sizeof(bytes), 0}; /* no allocation of ours */

	gate_message_encode(message, &b);
	assert_int_equal(buffer_error(&b), 0);
	if (net_message_send(core->gate, buffer_slice(&b), &fd, fd >= 0) != 0)
		assert_int_equal(core->closed, 1);
	core->end.run = end_of_turn;
	net_loop_post(core->loop, &core->end);
	net_loop_run(core->loop);
}

/* What the gate was told, in the order of messages. */
static void listen_to(struct core *core)
{
	static const enum gate_message_kind expected[] = {GATE_HELLO, GATE_CHALLENGE, GATE_OK};
	char bytes[2048];
	size_t told = 0;
	ssize_t got;

	while ((got = recv(core->gate, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		struct gate_message message;

		assert_int_equal(gate_message_decode(slice_make(bytes, (size_t)got), false, &message), 0);
		assert_true(told < ARRAY_LEN(expected) && message.kind == expected[told]);
		told++;
	}
	assert_true(told == ARRAY_LEN(expected) || core->closed);
	assert_true(!core->handovers || told == ARRAY_LEN(expected));
}

static void a_login(struct core *core)
{
	const struct gate_message start = {.kind = GATE_AUTH_START,
		.id = 7,
		.flags = GATE_FLAG_INITIAL,
		.mechanism = SLICE("SCRAM-SHA-256"),
		.sasl = SLICE("n,,n=a"),
		.peer = SLICE("192.0.2.1:9")};
	const struct gate_message step = {.kind = GATE_AUTH_STEP, .id = 7, .sasl = SLICE("c=biws,r=1,p=x")};
	const struct gate_message handover = {
		.kind = GATE_HANDOVER, .id = 7, .tag = SLICE("a"), .pipelined = SLICE("b NOOP\r\n")};
	int pair[2];

	say(core, &start, -1);
	if (!core->closed)
		say(core, &step, -1);
	if (core->closed)
		return;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	say(core, &handover, pair[0]);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void channel(void *context UNUSED)
{
	static const struct gate_peer_events events = {on_start, on_step, on_cancel, on_handover, on_closed};
	const struct gate_mechanisms mechanisms = {SLICE("A"), SLICE("B"), SLICE("C"), SLICE("D")};
	struct core core = {.gate = -1};
	int pair[2], error;

	if (net_loop_new(&core.loop))
		return;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	core.gate = pair[1];
	error = gate_peer_new(core.loop, pair[0], &mechanisms, &events, &core, &core.peer);
	if (error) {
		assert_int_equal(error, -ENOMEM);
		(void)close(pair[0]);
	} else {
		a_login(&core);
		listen_to(&core);
		assert_true(core.handovers + core.closed == 1);
		assert_true(core.handovers == 1 || failing_happened());
		gate_peer_free(&core.peer);
	}
	(void)close(pair[1]);
	net_loop_free(&core.loop);
}

static void messages_between_gate_and_core(void **state UNUSED)
{
	assert_true(failing_each(channel, NULL) >= 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_of_imap),
		cmocka_unit_test(the_configuration),
		cmocka_unit_test(messages_between_gate_and_core),
	};

	return cmocka_run_group_tests_name("memory: parsers", tests, NULL, NULL);
}
