#include "transcript.h"

/* One line per line of a transcript: */
/* clang-format off */

static void anybody_may_ask_and_leave(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_open,
		"C: a1 CAPABILITY",
		"S: * CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE STARTTLS LOGINDISABLED AUTH=SCRAM-SHA-256",
		"S: a1 OK CAPABILITY completed",
		"C: a2 noop",
		"S: a2 OK NOOP completed",
		"C: a3 LOGOUT",
		"S: * BYE Logging out",
		"S: a3 OK LOGOUT completed",
		"> close",
		"C: a4 NOOP");
}

static void tls_takes_passwords_and_offers_no_more_tls(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 CAPABILITY",
		"S: * CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN",
		"S: a1 OK CAPABILITY completed",
		"C: a2 STARTTLS",
		"S: a2 BAD TLS is on already");
}

static void login_becomes_plain(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN ann@example.org \"se cret\\\"\\\\\"",
		"> start PLAIN [^ann@example.org^se cret\"\\]",
		"< ok",
		"> handover a1 []");
	TRANSCRIPT(GATE_IMAP, transport_loopback,
		"C: a1 login \"\" pass]word",
		"> start PLAIN [^^pass]word]");
}

static void login_takes_literals(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN {3}",
		"S: + OK",
		"C: ann {6}",
		"S: + OK",
		"C: secret",
		"> start PLAIN [^ann^secret]");
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN {3+}",
		"C: ann {6}",
		"S: + OK",
		"C: se\r\net",
		"> start PLAIN [^ann^se|et]");
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN {0+}",
		"C:  {0+}",
		"C:",
		"> start PLAIN [^^]");
}

static void a_literal_that_is_too_long_is_refused(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN {2049}",
		"S: a1 BAD [TOOBIG] Literal too long",
		"C: a2 NOOP",
		"S: a2 OK NOOP completed",
		"C: a3 LOGIN {99999999999999999999}",
		"S: a3 BAD LOGIN wants a user name and a password");
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN {2049+}",
		"S: * BYE [TOOBIG] Literal too long",
		"> close");
}

static void a_literal_where_none_belongs_is_not_asked_for(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 APPEND INBOX {5}",
		"S: a1 BAD No literal is taken here",
		"C: a2 APPEND INBOX {17+}",
		"C: x LOGIN user pass",
		"S: a2 BAD Unknown command, or not before login");
}

static void a_password_in_clear_is_refused_before_it_is_sent(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_open,
		"C: a1 LOGIN {3}",
		"S: a1 BAD No literal is taken here",
		"C: a2 LOGIN ann secret",
		"S: a2 NO [PRIVACYREQUIRED] Passwords are taken over TLS only",
		"C: a3 AUTHENTICATE PLAIN",
		"S: a3 NO [PRIVACYREQUIRED] Passwords are taken over TLS only",
		"C: a4 AUTHENTICATE LOGIN",
		"S: a4 NO [PRIVACYREQUIRED] Passwords are taken over TLS only");
}

static void starttls_begins_a_handshake(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_open,
		"C: a1 STARTTLS now",
		"S: a1 BAD Arguments that this command does not have",
		"C: a2 STARTTLS",
		"S: a2 OK Begin TLS negotiation now",
		"> starttls",
		"C: a3 LOGIN ann injected");
}

static void authenticate_with_an_initial_response(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=",
		"> start PLAIN [^ann^secret]",
		"< wrong",
		"S: a1 NO [AUTHENTICATIONFAILED] Wrong user name or password",
		"C: a2 authenticate plain =",
		"> start PLAIN []",
		"< unavailable",
		"S: a2 NO [UNAVAILABLE] Login is not possible at the moment, please try again",
		"C: a3 AUTHENTICATE PLAIN AGFu=bgBz",
		"S: a3 BAD The initial response is not base64",
		"C: a4 AUTHENTICATE LOGIN AGFu",
		"S: a4 BAD This mechanism has no initial response",
		"C: a5 AUTHENTICATE CRAM-MD5",
		"S: a5 NO [CANNOT] No such mechanism here",
		"C: a6 AUTHENTICATE",
		"S: a6 BAD AUTHENTICATE wants the name of a mechanism");
}

static void authenticate_without_an_initial_response(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 AUTHENTICATE PLAIN",
		"S: + ",
		"C: AGFubgBzZWNyZXQ=",
		"> start PLAIN [^ann^secret]",
		"< ok",
		"> handover a1 []");
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 AUTHENTICATE PLAIN",
		"S: + ",
		"C: *",
		"S: a1 BAD Authentication cancelled",
		"C: a2 AUTHENTICATE PLAIN",
		"S: + ",
		"C: not base64",
		"S: a2 BAD That was not base64",
		"C: a3 NOOP",
		"S: a3 OK NOOP completed");
}

static void the_server_speaks_first_in_login(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 AUTHENTICATE LOGIN",
		"> start LOGIN",
		"< challenge Username:",
		"S: + VXNlcm5hbWU6",
		"C: YW5u",
		"> step [ann]",
		"< challenge Password:",
		"S: + UGFzc3dvcmQ6",
		"C: c2VjcmV0",
		"> step [secret]",
		"< forbidden",
		"S: a1 NO [AUTHORIZATIONFAILED] This account may not be used with IMAP");
}

static void additional_data_with_success_is_acknowledged(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_open,
		"C: a1 AUTHENTICATE SCRAM-SHA-256 biws",
		"> start SCRAM-SHA-256 [n,,]",
		"< challenge r=x",
		"S: + cj14",
		"C: Yz1iaXdz",
		"> step [c=biws]",
		"< ok v=y",
		"S: + dj15",
		"C:",
		"> handover a1 []");
	TRANSCRIPT(GATE_IMAP, transport_open,
		"C: a1 AUTHENTICATE SCRAM-SHA-256 biws",
		"> start SCRAM-SHA-256 [n,,]",
		"< ok v=y",
		"S: + dj15",
		"C: *",
		"S: a1 BAD Authentication cancelled",
		"> cancel",
		"C: a2 NOOP",
		"S: a2 OK NOOP completed");
}

static void an_exchange_can_be_cancelled_between_steps(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_open,
		"C: a1 AUTHENTICATE SCRAM-SHA-256 biws",
		"> start SCRAM-SHA-256 [n,,]",
		"< challenge r=x",
		"S: + cj14",
		"C: *",
		"S: a1 BAD Authentication cancelled",
		"> cancel",
		"C: a2 AUTHENTICATE SCRAM-SHA-256 biws",
		"> start SCRAM-SHA-256 [n,,]",
		"< challenge r=x",
		"S: + cj14",
		"C: !!!!",
		"S: a2 BAD That was not base64",
		"> cancel");
}

static void what_is_pipelined_behind_the_login_waits_for_core(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN ann secret",
		"> start PLAIN [^ann^secret]",
		"C: a2 SELECT INBOX",
		"C: a3 FETCH 1 BODY[]",
		"< ok",
		"> handover a1 [a2 SELECT INBOX|a3 FETCH 1 BODY[]|]");
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN ann secret",
		"> start PLAIN [^ann^secret]",
		"C: a2 SELECT INBOX",
		"< throttled",
		"S: a1 NO [UNAVAILABLE] Too many failed logins, please wait a while",
		"S: a2 BAD Unknown command, or not before login");
}

static void id_is_answered(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_open,
		"C: a1 ID (\"name\" \"Mutt\" \"version\" NIL {2}",
		"S: + OK",
		"C: os {5+}",
		"C: Linux)",
		"S: * ID (\"name\" \"Penfold\")",
		"S: a1 OK ID completed",
		"C: a2 ID NIL",
		"S: * ID (\"name\" \"Penfold\")",
		"S: a2 OK ID completed",
		"C: a3 ID ()",
		"S: * ID (\"name\" \"Penfold\")",
		"S: a3 OK ID completed",
		"C: a4 ID (\"name\")",
		"S: a4 BAD ID wants NIL or a list of names and values",
		"C: a5 ID (\"name\" \"x\"",
		"S: a5 BAD ID wants NIL or a list of names and values");
}

static void the_name_of_the_client_is_kept(void **state)
{
	static const struct prelogin_site site = {{"x", 1}, -1, 0};
	struct prelogin prelogin;
	struct buffer out = BUFFER_INIT(PRELOGIN_OUT_ROOM);
	struct slice in = SLICE("a ID (\"os\" \"x\" \"NAME\" \"Thunder\rbird\" \"version\" \"1\x01.2\")\r\n"
				"b ID (\"vendor\" \"y\" \"name\" \"Th\x7f""under\" \"version\" \"128.1\")\r\n");

	(void)state;
	prelogin_init(&prelogin, GATE_IMAP, &site, &transport_tls);
	assert_int_equal(prelogin_input(&prelogin, &in, &out), PRELOGIN_MORE);
	assert_string_equal(buffer_text(&prelogin.client), "Thunder 128.1");
	prelogin_clear(&prelogin);
	buffer_free(&out);
}

static void a_command_needs_a_tag(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_open,
		"C:",
		"C: a1",
		"S: a1 BAD Unknown command, or not before login",
		"C: a+b NOOP",
		"S: * BAD A command begins with a tag",
		"C: a(b NOOP",
		"S: * BAD A command begins with a tag",
		"C:  NOOP",
		"S: * BAD A command begins with a tag",
		"C: + LOGIN {3}",
		"S: * BAD No literal is taken here",
		"C: a] NOOP",
		"S: a] OK NOOP completed",
		"C: a2 NOOP  ",
		"S: a2 OK NOOP completed",
		"C: a3 NOOP x",
		"S: a3 BAD Arguments that this command does not have");
}

static void too_many_bad_commands_end_it(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_open,
		"C: GET / HTTP/1.1", "S: GET BAD Unknown command, or not before login",
		"C: Host: example.org", "S: Host: BAD Unknown command, or not before login",
		"C: a3 SELECT INBOX", "S: a3 BAD Unknown command, or not before login",
		"C: a4 NOOP x", "S: a4 BAD Arguments that this command does not have",
		"C: a5 LOGIN", "S: a5 NO [PRIVACYREQUIRED] Passwords are taken over TLS only",
		"C: a6 X", "S: a6 BAD Unknown command, or not before login",
		"C: a7 X", "S: a7 BAD Unknown command, or not before login",
		"C: a8 X", "S: a8 BAD Unknown command, or not before login",
		"C: a9 X", "S: a9 BAD Unknown command, or not before login",
		"C: b1 X", "S: b1 BAD Unknown command, or not before login",
		"C: b2 X", "S: b2 BAD Unknown command, or not before login", "S: * BYE Too many invalid commands", "> close",
		"C: b3 X");
}

static void too_many_failed_logins_end_it(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN a b", "> start PLAIN [^a^b]", "< wrong",
		"S: a1 NO [AUTHENTICATIONFAILED] Wrong user name or password",
		"C: a2 LOGIN a b", "> start PLAIN [^a^b]", "< wrong",
		"S: a2 NO [AUTHENTICATIONFAILED] Wrong user name or password",
		"C: a3 LOGIN a b", "> start PLAIN [^a^b]", "< wrong",
		"S: a3 NO [AUTHENTICATIONFAILED] Wrong user name or password",
		"C: a4 LOGIN a b", "> start PLAIN [^a^b]", "< wrong A word from core",
		"S: a4 NO [AUTHENTICATIONFAILED] A word from core",
		"C: a5 LOGIN a b", "> start PLAIN [^a^b]", "< wrong",
		"S: a5 NO [AUTHENTICATIONFAILED] Wrong user name or password",
		"S: * BYE Too many failed logins",
		"> close");
}

static void malformed_logins_are_bad(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_IMAP, transport_tls,
		"C: a1 LOGIN ann", "S: a1 BAD LOGIN wants a user name and a password",
		"C: a2 LOGIN ann secret more", "S: a2 BAD LOGIN wants a user name and a password",
		"C: a3 LOGIN \"ann secret", "S: a3 BAD LOGIN wants a user name and a password",
		"C: a4 LOGIN \"ann\\", "S: a4 BAD LOGIN wants a user name and a password",
		"C: a5 LOGIN  ann secret", "S: a5 BAD LOGIN wants a user name and a password",
		"C: a6 LOGIN {3+}", "C: a^n secret", "S: a6 BAD LOGIN wants a user name and a password",
		"C: a7 LOGIN (ann) secret", "S: a7 BAD LOGIN wants a user name and a password");
}

static void a_command_without_end_is_given_up(void **state)
{
	static const struct prelogin_site site = {{"x", 1}, -1, 0};
	struct prelogin prelogin;
	struct buffer out = BUFFER_INIT(PRELOGIN_OUT_ROOM);
	char bytes[PRELOGIN_COMMAND_MAX];
	struct slice in;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	in = slice_make(bytes, sizeof(bytes) - 1);
	prelogin_init(&prelogin, GATE_IMAP, &site, &transport_tls);
	assert_int_equal(prelogin_input(&prelogin, &in, &out), PRELOGIN_MORE);
	in = slice_make(bytes, sizeof(bytes));
	assert_int_equal(prelogin_input(&prelogin, &in, &out), PRELOGIN_CLOSE);
	assert_string_equal(buffer_text(&out), "* BYE Command too long\r\n");
	prelogin_clear(&prelogin);
	buffer_free(&out);
}

static void a_flood_of_questions_waits_for_its_answers(void **state)
{
	static const struct prelogin_site site = {{"x", 1}, -1, 0};
	struct prelogin prelogin;
	struct buffer out = BUFFER_INIT(PRELOGIN_OUT_ROOM), flood = BUFFER_INIT(65536);
	unsigned drains = 0;
	struct slice in;

	(void)state;
	for (int i = 0; i < 1000; i++)
		buffer_put_text(&flood, "a CAPABILITY\r\n");
	in = buffer_slice(&flood);
	prelogin_init(&prelogin, GATE_IMAP, &site, &transport_tls);
	while (prelogin_input(&prelogin, &in, &out) == PRELOGIN_DRAIN) {
		assert_int_equal(buffer_error(&out), 0);
		assert_true(out.len < PRELOGIN_OUT_MAX + 512);
		buffer_reset(&out);
		drains++;
	}
	assert_int_equal(in.len, 0);
	assert_true(drains > 10);
	prelogin_clear(&prelogin);
	buffer_free(&out);
	buffer_free(&flood);
}

static void the_greeting_says_what_is_possible(void **state)
{
	static const struct prelogin_site site = {{"mail.example.org", 16}, -1, 0};
	static const struct prelogin_transport bare = {{NULL, 0}, false, false, false};
	struct prelogin prelogin;
	struct buffer out = BUFFER_INIT(PRELOGIN_OUT_ROOM);
	struct slice in = SLICE("a STARTTLS\r\n");

	(void)state;
	prelogin_init(&prelogin, GATE_IMAP, &site, &bare);
	prelogin_greet(&prelogin, &out);
	assert_int_equal(prelogin_input(&prelogin, &in, &out), PRELOGIN_MORE);
	assert_string_equal(buffer_text(&out),
		"* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE LOGINDISABLED] mail.example.org Penfold ready\r\n"
		"a NO There is no TLS here\r\n");
	prelogin_clear(&prelogin);
	buffer_free(&out);
}

static void nothing_said_before_tls_counts_after_it(void **state)
{
	static const struct prelogin_site site = {{"x", 1}, -1, 0};
	struct prelogin prelogin;
	struct buffer out = BUFFER_INIT(PRELOGIN_OUT_ROOM);
	struct slice in = SLICE("a ID (\"name\" \"x\")\r\nb STARTTLS\r\nc LOGIN a b\r\n");

	(void)state;
	prelogin_init(&prelogin, GATE_IMAP, &site, &transport_open);
	assert_int_equal(prelogin_input(&prelogin, &in, &out), PRELOGIN_START_TLS);
	assert_true(slice_equal(in, SLICE("c LOGIN a b\r\n")));
	assert_int_equal(prelogin_input(&prelogin, &in, &out), PRELOGIN_MORE);
	assert_true(slice_equal(in, SLICE("c LOGIN a b\r\n")));
	prelogin_set_transport(&prelogin, &transport_tls);
	assert_int_equal(prelogin.client.len, 0);
	assert_int_equal(prelogin_input(&prelogin, &in, &out), PRELOGIN_AUTH_START);
	prelogin_clear(&prelogin);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anybody_may_ask_and_leave),
		cmocka_unit_test(tls_takes_passwords_and_offers_no_more_tls),
		cmocka_unit_test(login_becomes_plain),
		cmocka_unit_test(login_takes_literals),
		cmocka_unit_test(a_literal_that_is_too_long_is_refused),
		cmocka_unit_test(a_literal_where_none_belongs_is_not_asked_for),
		cmocka_unit_test(a_password_in_clear_is_refused_before_it_is_sent),
		cmocka_unit_test(starttls_begins_a_handshake),
		cmocka_unit_test(authenticate_with_an_initial_response),
		cmocka_unit_test(authenticate_without_an_initial_response),
		cmocka_unit_test(the_server_speaks_first_in_login),
		cmocka_unit_test(additional_data_with_success_is_acknowledged),
		cmocka_unit_test(an_exchange_can_be_cancelled_between_steps),
		cmocka_unit_test(what_is_pipelined_behind_the_login_waits_for_core),
		cmocka_unit_test(id_is_answered),
		cmocka_unit_test(the_name_of_the_client_is_kept),
		cmocka_unit_test(a_command_needs_a_tag),
		cmocka_unit_test(too_many_bad_commands_end_it),
		cmocka_unit_test(too_many_failed_logins_end_it),
		cmocka_unit_test(malformed_logins_are_bad),
		cmocka_unit_test(a_command_without_end_is_given_up),
		cmocka_unit_test(a_flood_of_questions_waits_for_its_answers),
		cmocka_unit_test(the_greeting_says_what_is_possible),
		cmocka_unit_test(nothing_said_before_tls_counts_after_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
