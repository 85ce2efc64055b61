#include "transcript.h"

/* One line per line of a transcript: */
/* clang-format off */

static void anybody_may_ask_and_leave(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_POP3, transport_open,
		"C: CAPA",
		"S: +OK Capabilities follow", "S: TOP", "S: UIDL", "S: RESP-CODES", "S: AUTH-RESP-CODE", "S: PIPELINING",
		"S: UTF8 USER", "S: LANG", "S: EXPIRE NEVER", "S: STLS", "S: SASL SCRAM-SHA-256", "S: IMPLEMENTATION Penfold", "S: .",
		"C: quit",
		"S: +OK Bye",
		"> close");
	TRANSCRIPT(GATE_POP3, transport_tls,
		"C: CAPA",
		"S: +OK Capabilities follow", "S: TOP", "S: UIDL", "S: RESP-CODES", "S: AUTH-RESP-CODE", "S: PIPELINING",
		"S: UTF8 USER", "S: LANG", "S: EXPIRE NEVER", "S: USER",
		"S: SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN", "S: IMPLEMENTATION Penfold", "S: .");
}

static void user_and_pass_become_plain(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_POP3, transport_tls,
		"C: USER ann@example.org",
		"S: +OK Now the password",
		"C: PASS  two words ",
		"> start PLAIN [^ann@example.org^ two words ]",
		"C: STAT",
		"< ok",
		"> handover  [STAT|]");
	TRANSCRIPT(GATE_POP3, transport_loopback,
		"C: PASS secret",
		"S: -ERR USER comes first",
		"C: USER",
		"S: -ERR USER wants a name",
		"C: USER ann",
		"S: +OK Now the password",
		"C: PASS wrong",
		"> start PLAIN [^ann^wrong]",
		"< wrong",
		"S: -ERR [AUTH] Wrong user name or password",
		"C: PASS again",
		"S: -ERR USER comes first");
}

static void a_password_in_clear_is_refused(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_POP3, transport_open,
		"C: USER ann",
		"S: -ERR [AUTH] Passwords are taken over TLS only",
		"C: PASS secret",
		"S: -ERR [AUTH] Passwords are taken over TLS only",
		"C: AUTH PLAIN AGFubgBzZWNyZXQ=",
		"S: -ERR [AUTH] Passwords are taken over TLS only",
		"C: AUTH LOGIN",
		"S: -ERR [AUTH] Passwords are taken over TLS only");
}

static void auth_with_and_without_initial_response(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_POP3, transport_tls,
		"C: AUTH PLAIN AGFubgBzZWNyZXQ=",
		"> start PLAIN [^ann^secret]",
		"< forbidden",
		"S: -ERR [SYS/PERM] This account may not be used with POP3",
		"C: AUTH PLAIN",
		"S: + ",
		"C: AGFubgBzZWNyZXQ=",
		"> start PLAIN [^ann^secret]",
		"< unavailable",
		"S: -ERR [SYS/TEMP] Login is not possible at the moment, please try again",
		"C: AUTH PLAIN =",
		"> start PLAIN []",
		"< throttled",
		"S: -ERR [SYS/TEMP] Too many failed logins, please wait a while",
		"C: AUTH PLAIN ?",
		"S: -ERR The initial response is not base64",
		"C: AUTH NTLM",
		"S: -ERR No such mechanism here",
		"C: AUTH",
		"S: +OK Mechanisms follow", "S: SCRAM-SHA-256-PLUS", "S: SCRAM-SHA-256", "S: PLAIN", "S: LOGIN", "S: .",
		"C: AUTH LOGIN",
		"> start LOGIN",
		"< challenge Username:",
		"S: + VXNlcm5hbWU6",
		"C: *",
		"S: -ERR Authentication cancelled",
		"> cancel");
}

static void scram_ends_with_an_empty_answer(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_POP3, transport_open,
		"C: AUTH SCRAM-SHA-256 biws",
		"> start SCRAM-SHA-256 [n,,]",
		"< challenge r=x",
		"S: + cj14",
		"C: Yz1iaXdz",
		"> step [c=biws]",
		"< ok v=y",
		"S: + dj15",
		"C:",
		"> handover  []");
}

static void stls_begins_a_handshake_but_not_after_utf8(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_POP3, transport_open,
		"C: STLS",
		"S: +OK Begin TLS negotiation now",
		"> starttls",
		"C: USER injected");
	TRANSCRIPT(GATE_POP3, transport_open,
		"C: UTF8",
		"S: +OK UTF-8 it is",
		"C: STLS",
		"S: -ERR Not after UTF8");
	TRANSCRIPT(GATE_POP3, transport_tls,
		"C: STLS",
		"S: -ERR TLS is on already");
}

static void there_is_one_language(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_POP3, transport_open,
		"C: LANG",
		"S: +OK Languages follow", "S: en English", "S: .",
		"C: LANG *",
		"S: +OK en English it is",
		"C: LANG EN",
		"S: +OK en English it is",
		"C: LANG mul",
		"S: -ERR We do not speak that");
}

static void commands_of_other_states_are_refused_and_counted(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_POP3, transport_open,
		"C: NOOP", "S: -ERR Unknown command, or not before login",
		"C: STAT", "S: -ERR Unknown command, or not before login",
		"C: CAPA x", "S: -ERR Arguments that this command does not have",
		"C:", "S: -ERR Unknown command, or not before login",
		"C: APOP ann c4c9334bac560ecc979e58001b3e22fb", "S: -ERR Unknown command, or not before login",
		"C: x", "S: -ERR Unknown command, or not before login",
		"C: x", "S: -ERR Unknown command, or not before login",
		"C: x", "S: -ERR Unknown command, or not before login",
		"C: x", "S: -ERR Unknown command, or not before login",
		"C: x", "S: -ERR Unknown command, or not before login", "S: -ERR Too many invalid commands", "> close");
}

static void nul_bytes_are_no_part_of_names(void **state)
{
	(void)state;
	TRANSCRIPT(GATE_POP3, transport_tls,
		"C: USER ann^root",
		"S: -ERR USER wants a name",
		"C: USER ann",
		"S: +OK Now the password",
		"C: PASS x^y",
		"S: -ERR That is no password");
}

static void what_the_site_promises_is_announced(void **state)
{
	static const struct prelogin_site promising = {{"mail.example.org", 16}, 30, 60};
	struct prelogin prelogin;
	struct buffer out = BUFFER_INIT(PRELOGIN_OUT_ROOM);
	struct slice in = SLICE("CAPA\nUTF8\n");

	(void)state;
	prelogin_init(&prelogin, GATE_POP3, &promising, &transport_tls);
	prelogin_greet(&prelogin, &out);
	assert_int_equal(prelogin_input(&prelogin, &in, &out), PRELOGIN_MORE);
	assert_true(slice_starts(buffer_slice(&out), SLICE("+OK mail.example.org Penfold ready\r\n")));
	assert_true(slice_find(buffer_slice(&out), SLICE("\r\nEXPIRE 30\r\nLOGIN-DELAY 60\r\n")) != SIZE_MAX);
	assert_true(prelogin.utf8);
	prelogin_clear(&prelogin);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anybody_may_ask_and_leave),
		cmocka_unit_test(user_and_pass_become_plain),
		cmocka_unit_test(a_password_in_clear_is_refused),
		cmocka_unit_test(auth_with_and_without_initial_response),
		cmocka_unit_test(scram_ends_with_an_empty_answer),
		cmocka_unit_test(stls_begins_a_handshake_but_not_after_utf8),
		cmocka_unit_test(there_is_one_language),
		cmocka_unit_test(commands_of_other_states_are_refused_and_counted),
		cmocka_unit_test(nul_bytes_are_no_part_of_names),
		cmocka_unit_test(what_the_site_promises_is_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
