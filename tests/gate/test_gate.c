#include <dirent.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world.h"

#include "gate/peer.h"

static const char greeting[] = "* OK [CAPABILITY IMAP4rev1 IMAP4rev2";

static void open_world(struct world *world)
{
	world_prepare(world);
	world_start(world);
}

static struct client open_tls(const struct world *world, int port, const char *server_name, int version)
{
	struct client client = client_open(world, port);

	assert_true(client_tls(&client, server_name, version, NULL));
	return client;
}

/* ---- In clear ---- */

static void a_login_in_clear_hands_the_socket_over(void **state)
{
	struct world world;
	struct client client;
	struct seen seen;

	(void)state;
	open_world(&world);
	client = client_open(&world, WORLD_IMAP);
	client_expect(&client, greeting);
	client_say(&client, "a1 ID (\"name\" \"tester\")\r\na2 LOGIN ann wrong\r\n");
	client_expect(&client, "* ID ");
	client_expect(&client, "a1 OK");
	client_expect(&client, "a2 NO [AUTHENTICATIONFAILED]");
	client_say(&client, "a3 LOGIN ann secret\r\nhello core\r\n");
	client_expect(&client, "a3 OK Logged in");
	client_expect(&client, "hello core");
	seen = world_seen(&world);
	assert_int_equal(seen.starts, 2);
	assert_int_equal(seen.handovers, 1);
	assert_false(seen.tls);
	assert_true(seen.confidential);
	assert_string_equal(seen.client, "tester");
	assert_memory_equal(seen.peer, "127.0.0.1:", 10);
	assert_memory_equal(seen.local, "127.0.0.1:", 10);
	/* The gate has nothing to do with it any more. */
	assert_int_equal(gate_control_stop(world.control), 0);
	assert_int_equal(world_wait(&world), 0);
	client_say(&client, "still here\r\n");
	client_expect(&client, "still here");
	client_close(&client);
	world_end(&world);
}

static void sasl_goes_back_and_forth(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	open_world(&world);
	client = client_open(&world, WORLD_IMAP);
	client_expect(&client, greeting);
	client_say(&client, "a1 AUTHENTICATE LOGIN\r\n");
	client_expect(&client, "+ VXNlcm5hbWU6");
	client_say(&client, "YW5u\r\n");
	client_expect(&client, "+ UGFzc3dvcmQ6");
	client_say(&client, "*\r\n");
	client_expect(&client, "a1 BAD");
	client_say(&client, "a2 AUTHENTICATE PLAIN\r\n");
	client_expect(&client, "+ ");
	client_say(&client, "AGFubgBsYXRlcg==\r\n");
	client_expect(&client, "a2 NO [UNAVAILABLE]");
	client_say(&client, "a3 AUTHENTICATE X-FINAL =\r\n");
	client_expect(&client, "+ ZG9uZQ==");
	client_say(&client, "\r\npipelined\r\n");
	client_expect(&client, "a3 OK Logged in");
	client_expect(&client, "pipelined");
	assert_int_equal(world_seen(&world).cancels, 1);
	client_close(&client);
	world_end(&world);
}

static void pop3_says_what_was_enabled(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	open_world(&world);
	client = client_open(&world, WORLD_POP3);
	client_expect(&client, "+OK one.example.org Penfold ready");
	client_say(&client, "UTF8\r\nUSER ann\r\nPASS secret\r\nhello\r\n");
	client_expect(&client, "+OK");
	client_expect(&client, "+OK");
	client_expect(&client, " OK Logged in");
	client_expect(&client, "hello");
	assert_true(world_seen(&world).utf8);
	client_close(&client);
	client = open_tls(&world, WORLD_POP3S, NULL, 0);
	client_expect(&client, "+OK one.example.org Penfold ready");
	client_say(&client, "QUIT\r\n");
	client_expect(&client, "+OK Bye");
	client_expect_end(&client);
	client_close(&client);
	world_end(&world);
}

/* ---- TLS ---- */

static void a_login_over_tls_13_is_relayed(void **state)
{
	struct world world;
	struct client client;
	struct seen seen;
	char exporter[32], unique[64];
	size_t unique_len;

	(void)state;
	open_world(&world);
	client = open_tls(&world, WORLD_IMAPS, "one.example.org", TLS1_3_VERSION);
	client_expect(&client, greeting);
	client_say(&client, "a1 LOGIN ann secret\r\nhello core\r\n");
	client_expect(&client, "a1 OK Logged in");
	client_expect(&client, "hello core");
	client_say(&client, "and again\r\n");
	client_expect(&client, "and again");
	seen = world_seen(&world);
	assert_true(seen.tls);
	assert_memory_equal(seen.tls_text, "TLSv1.3 TLS_", 12);
	client_binding(&client, exporter, unique, &unique_len);
	assert_int_equal(seen.exporter_len, 32);
	assert_memory_equal(seen.exporter, exporter, 32);
	assert_int_equal(seen.unique_len, 0);
	client_say(&client, "QUIT\r\n");
	client_expect(&client, "bye");
	client_expect_end(&client);
	client_close(&client);
	world_end(&world);
}

static void log_in(struct client *client)
{
	client_expect(client, greeting);
	client_say(client, "a1 LOGIN ann secret\r\n");
	client_expect(client, "a1 OK Logged in");
}

/* It logs in and is bound by the first Finished message, whoever sent that. */
static void assert_bound_by_unique(struct world *world, struct client *client)
{
	char exporter[32], unique[64];
	size_t unique_len;
	struct seen seen;

	log_in(client);
	seen = world_seen(world);
	client_binding(client, exporter, unique, &unique_len);
	assert_memory_equal(seen.tls_text, "TLSv1.2 ECDHE-", 14);
	assert_int_equal(seen.exporter_len, 0);
	assert_int_equal(seen.unique_len, unique_len);
	assert_memory_equal(seen.unique, unique, unique_len);
}

static void tls_12_has_its_own_channel_binding(void **state)
{
	struct world world;
	struct client client, again;

	(void)state;
	open_world(&world);
	client = open_tls(&world, WORLD_IMAPS, NULL, TLS1_2_VERSION);
	assert_bound_by_unique(&world, &client);
	again = client_open(&world, WORLD_IMAPS);
	assert_true(client_tls_resumed(&again, &client));
	assert_bound_by_unique(&world, &again);
	client_close(&client);
	client_close(&again);
	world_end(&world);
}

static void nobody_renegotiates(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	open_world(&world);
	client = open_tls(&world, WORLD_IMAPS, NULL, TLS1_2_VERSION);
	log_in(&client);
	assert_false(client_renegotiate(&client));
	client_close(&client);
	world_end(&world);
}

static void old_tls_is_refused(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	open_world(&world);
	client = client_open(&world, WORLD_IMAPS);
	assert_false(client_tls(&client, NULL, TLS1_1_VERSION, NULL));
	client_close(&client);
	client = client_open(&world, WORLD_IMAPS);
	client_say(&client, "a1 LOGIN ann secret\r\n"); /* who does not know that this port is TLS */
	{
		char alert[100];

		assert_true(client_read(&client, alert, sizeof(alert)) < sizeof(alert));
	}
	client_close(&client);
	assert_int_equal(world_seen(&world).starts, 0);
	world_end(&world);
}

static void starttls_throws_away_what_was_injected(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	open_world(&world);
	client = client_open(&world, WORLD_IMAP);
	client_expect(&client, greeting);
	client_say(&client, "a1 STARTTLS\r\nx1 LOGIN mallory secret\r\n");
	client_expect(&client, "a1 OK");
	assert_true(client_tls(&client, NULL, 0, NULL));
	client_say(&client, "a2 NOOP\r\n");
	client_expect(&client, "a2 OK NOOP");
	assert_int_equal(world_seen(&world).starts, 0);
	client_say(&client, "a3 CAPABILITY\r\n");
	client_expect(&client, "* CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE AUTH=X-EXPORTER");
	client_expect(&client, "a3 OK");
	client_say(&client, "a4 LOGIN ann secret\r\n");
	client_expect(&client, "a4 OK Logged in");
	client_close(&client);
	client = client_open(&world, WORLD_POP3);
	client_expect(&client, "+OK");
	client_say(&client, "STLS\r\nUSER mallory\r\nPASS secret\r\n");
	client_expect(&client, "+OK");
	assert_true(client_tls(&client, NULL, 0, NULL));
	client_say(&client, "PASS secret\r\n");
	client_expect(&client, "-ERR USER comes first");
	client_close(&client);
	world_end(&world);
}

static void assert_certificate(const struct world *world, const char *server_name, const char *expected)
{
	struct client client = open_tls(world, WORLD_IMAPS, server_name, 0);
	char name[100];

	assert_string_equal(client_certificate_name(&client, name, sizeof(name)), expected);
	client_close(&client);
}

static void the_certificate_follows_the_name(void **state)
{
	struct world world;

	(void)state;
	open_world(&world);
	assert_certificate(&world, NULL, "one.example.org");
	assert_certificate(&world, "one.example.org", "one.example.org");
	assert_certificate(&world, "Two.Example.Org", "two.example.org");
	assert_certificate(&world, "other.example.org", "one.example.org");
	assert_certificate(&world, "mail.wild.example.org", "*.wild.example.org");
	assert_certificate(&world, "a.mail.wild.example.org", "one.example.org");
	assert_certificate(&world, "wild.example.org", "one.example.org");
	world_end(&world);
}

static void new_certificates_leave_connections_alone(void **state)
{
	struct world world;
	struct client client;
	struct gate_certificate broken;
	struct buffer problem = BUFFER_INIT(512);

	(void)state;
	open_world(&world);
	client = open_tls(&world, WORLD_IMAPS, NULL, 0);
	client_expect(&client, greeting);
	client_say(&client, "a1 LOGIN ann secret\r\n");
	client_expect(&client, "a1 OK Logged in");
	assert_int_equal(gate_control_certificates(world.control, &world.certificates[1], 2), 0);
	for (int i = 0; i < 100; i++) { /* until the message has been taken */
		struct client probe = open_tls(&world, WORLD_IMAPS, NULL, 0);
		char name[100];
		bool is_new = strcmp(client_certificate_name(&probe, name, sizeof(name)), "two.example.org") == 0;

		client_close(&probe);
		if (is_new)
			break;
		(void)poll(NULL, 0, 20);
	}
	assert_certificate(&world, "one.example.org", "two.example.org");
	client_say(&client, "still here\r\n");
	client_expect(&client, "still here");
	broken = (struct gate_certificate){world.certificates[0].chain, world.certificates[1].key};
	assert_int_equal(gate_certificates_check(&broken, 1, &problem), -EINVAL);
	assert_string_equal(buffer_text(&problem), "certificate 1: its key does not belong to it");
	assert_int_equal(gate_control_certificates(world.control, &broken, 1), 0);
	(void)poll(NULL, 0, 100);
	assert_certificate(&world, NULL, "two.example.org");
	client_close(&client);
	buffer_free(&problem);
	world_end(&world);
}

static void another_protocol_is_refused_by_alpn(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	open_world(&world);
	client = client_open(&world, WORLD_IMAPS);
	assert_true(client_tls(&client, NULL, 0, "\x04imap"));
	client_close(&client);
	client = client_open(&world, WORLD_IMAPS);
	assert_false(client_tls(&client, NULL, 0, "\x08http/1.1\x02h2"));
	client_close(&client);
	client = client_open(&world, WORLD_POP3S);
	assert_false(client_tls(&client, NULL, 0, "\x04imap"));
	client_close(&client);
	world_end(&world);
}

/* ---- The relay ---- */

static void assert_pattern(struct client *client, size_t bytes)
{
	char *got = malloc(bytes);

	assert_non_null(got);
	assert_int_equal(client_read(client, got, bytes), bytes);
	for (size_t i = 0; i < bytes; i++)
		if (got[i] != (char)('a' + i % 23))
			fail_msg("byte %zu is wrong", i);
	free(got);
}

static void much_goes_both_ways_past_a_slow_reader(void **state)
{
	static char block[65536];
	struct world world;
	struct client client;

	(void)state;
	open_world(&world);
	client = open_tls(&world, WORLD_IMAPS, NULL, 0);
	log_in(&client);
	client_say(&client, "SEND 6000000\r\n");
	(void)poll(NULL, 0, 200); /* everything between fills up */
	assert_pattern(&client, 6000000);
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 100; i++)
		client_write(&client, block, sizeof(block));
	client_say(&client, "\nCOUNT\r\n");
	client_expect(&client, "6553622"); /* with "SEND 6000000\r\n", "\n" and "COUNT\r\n" */
	client_close(&client);
	world_end(&world);
}

static void a_client_that_stops_writing_still_gets_the_rest(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	open_world(&world);
	client = open_tls(&world, WORLD_IMAPS, NULL, 0);
	log_in(&client);
	client_say(&client, "SEND 3000000\r\n");
	client_end_writing(&client);
	assert_pattern(&client, 3000000);
	client_expect_end(&client);
	client_close(&client);
	world_end(&world);
}

static void a_client_that_takes_nothing_is_let_go(void **state)
{
	struct world world;
	struct client client;
	char byte;

	(void)state;
	world_prepare(&world);
	world.settings.stalled_ms = 300;
	world_start(&world);
	client = open_tls(&world, WORLD_IMAPS, NULL, 0);
	log_in(&client);
	client_say(&client, "SEND 60000000\r\n");
	assert_int_equal(client_read(&client, &byte, 1), 1);
	(void)poll(NULL, 0, 1500);
	assert_int_equal(gate_control_stop(world.control), 0);
	assert_int_equal(world_wait(&world), 0); /* it would wait for the connection otherwise */
	client_close(&client);
	world_end(&world);
}

/* ---- Limits ---- */

static void whoever_does_not_shake_hands_is_let_go(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	world_prepare(&world);
	world.settings.handshake_ms = 200;
	world_start(&world);
	client = client_open(&world, WORLD_IMAPS);
	client_expect_end(&client);
	client_close(&client);
	client = client_open(&world, WORLD_IMAPS);
	client_say(&client, "\x16\x03\x01"); /* the beginning of a record, and no more */
	client_expect_end(&client);
	client_close(&client);
	world_end(&world);
}

static void whoever_does_not_log_in_is_let_go(void **state)
{
	struct world world;
	struct client client;

	(void)state;
	world_prepare(&world);
	world.settings.login_ms = 200;
	world_start(&world);
	client = client_open(&world, WORLD_IMAP);
	client_expect(&client, greeting);
	client_expect(&client, "* BYE You took too long");
	client_expect_end(&client);
	client_close(&client);
	client = client_open(&world, WORLD_IMAP);
	client_expect(&client, greeting);
	client_say(&client, "a1 LOGIN ann never\r\n");
	client_expect(&client, "* BYE You took too long");
	client_expect_end(&client);
	client_close(&client);
	(void)poll(NULL, 0, 50);
	assert_int_equal(world_seen(&world).cancels, 1);
	world_end(&world);
}

static void there_is_a_most_of_connections(void **state)
{
	struct world world;
	struct client clients[3];

	(void)state;
	world_prepare(&world);
	world.settings.connections_max = 2;
	world_start(&world);
	for (int i = 0; i < 2; i++) {
		clients[i] = client_open(&world, WORLD_IMAP);
		client_expect(&clients[i], greeting);
	}
	clients[2] = client_open(&world, WORLD_IMAP);
	client_expect(&clients[2], "* BYE [UNAVAILABLE] Too many connections");
	client_expect_end(&clients[2]);
	client_close(&clients[2]);
	clients[2] = client_open(&world, WORLD_POP3);
	client_expect(&clients[2], "-ERR [SYS/TEMP] Too many connections");
	client_expect_end(&clients[2]);
	client_close(&clients[2]);
	client_say(&clients[0], "a1 LOGOUT\r\n");
	client_expect(&clients[0], "* BYE");
	client_expect(&clients[0], "a1 OK");
	client_expect_end(&clients[0]);
	clients[2] = client_open(&world, WORLD_IMAP);
	client_expect(&clients[2], greeting);
	for (int i = 0; i < 3; i++)
		client_close(&clients[i]);
	world_end(&world);
}

/* Logins in flight: one that waits for its client, the others for core. False where nobody may have so many connections. */
static bool begin_logins(struct world *world, struct client *clients, unsigned count, uint64_t turn_ms)
{
	struct rlimit files = {0};

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	if (files.rlim_max < count + 100 || setrlimit(RLIMIT_NOFILE, &files) < 0)
		return false;
	world_prepare(world);
	world->settings.turn_ms = turn_ms;
	world_start(world);
	for (unsigned i = 0; i < count; i++) {
		clients[i] = client_open(world, WORLD_IMAP);
		client_expect(&clients[i], greeting);
		client_say(&clients[i], i ? "a1 LOGIN ann never\r\n" : "a1 AUTHENTICATE LOGIN\r\n");
	}
	client_expect(&clients[0], "+ VXNlcm5hbWU6");
	for (int i = 0; i < 1000 && world_seen(world).starts < count; i++)
		(void)poll(NULL, 0, 10);
	assert_int_equal(world_seen(world).starts, count);
	return true;
}

static void end_logins(struct world *world, struct client *clients)
{
	for (unsigned i = 0; i < GATE_EXCHANGES_MAX; i++)
		client_close(&clients[i]);
	world_end(world);
}

static struct client open_pop3(struct world *world)
{
	struct client client = client_open(world, WORLD_POP3);

	client_expect(&client, "+OK");
	client_say(&client, "USER ann\r\nPASS secret\r\n");
	client_expect(&client, "+OK");
	return client;
}

static void expect_no_more_starts(struct world *world, unsigned count)
{
	(void)poll(NULL, 0, 100);
	assert_int_equal(world_seen(world).starts, count);
}

/* Core would end a gate that asked for one more. */
static void there_is_a_most_of_logins_in_flight(void **state)
{
	static struct client clients[GATE_EXCHANGES_MAX];
	struct world world;
	struct client imap, pop3;

	(void)state;
	if (!begin_logins(&world, clients, GATE_EXCHANGES_MAX, 60000)) {
		print_message("# skipped: so many files may not be open here\n");
		skip();
	}
	imap = client_open(&world, WORLD_IMAP);
	client_expect(&imap, greeting);
	client_say(&imap, "a1 AUTHENTICATE LOGIN\r\n");
	(void)poll(NULL, 0, 50);
	pop3 = open_pop3(&world);
	expect_no_more_starts(&world, GATE_EXCHANGES_MAX);
	/* One that ends makes room for one: first come, first served. */
	client_say(&clients[0], "*\r\n");
	client_expect(&clients[0], "a1 BAD");
	client_expect(&imap, "+ VXNlcm5hbWU6");
	expect_no_more_starts(&world, GATE_EXCHANGES_MAX + 1);
	client_say(&imap, "*\r\n");
	client_expect(&imap, "a1 BAD");
	client_expect(&pop3, " OK Logged in");
	client_close(&pop3);
	/* A stop finds some in the line. */
	client_say(&clients[0], "a2 AUTHENTICATE LOGIN\r\n");
	client_expect(&clients[0], "+ VXNlcm5hbWU6");
	client_say(&imap, "a2 LOGIN ann secret\r\n");
	pop3 = open_pop3(&world);
	expect_no_more_starts(&world, GATE_EXCHANGES_MAX + 3);
	assert_int_equal(gate_control_stop(world.control), 0);
	client_expect(&imap, "* BYE The server is stopping");
	client_expect(&pop3, "-ERR");
	client_close(&imap);
	client_close(&pop3);
	end_logins(&world, clients);
}

static void who_waits_too_long_for_its_turn_is_told(void **state)
{
	static struct client clients[GATE_EXCHANGES_MAX];
	struct world world;
	struct client imap, pop3;

	(void)state;
	if (!begin_logins(&world, clients, GATE_EXCHANGES_MAX, 200)) {
		print_message("# skipped: so many files may not be open here\n");
		skip();
	}
	imap = client_open(&world, WORLD_IMAP);
	client_expect(&imap, greeting);
	client_say(&imap, "a1 LOGIN ann secret\r\na2 AUTHENTICATE X-FINAL =\r\na3 NOOP\r\n");
	client_expect(&imap, "a1 NO [UNAVAILABLE]");
	client_expect(&imap, "a2 NO [UNAVAILABLE]");
	client_expect(&imap, "a3 OK");
	pop3 = open_pop3(&world);
	client_expect(&pop3, "-ERR [SYS/TEMP]");
	assert_int_equal(world_seen(&world).starts, GATE_EXCHANGES_MAX);
	/* Nobody is left in the line. */
	client_say(&clients[0], "*\r\n");
	client_expect(&clients[0], "a1 BAD");
	expect_no_more_starts(&world, GATE_EXCHANGES_MAX);
	client_say(&pop3, "USER ann\r\nPASS secret\r\n");
	client_expect(&pop3, "+OK");
	client_expect(&pop3, " OK Logged in");
	client_close(&imap);
	client_close(&pop3);
	end_logins(&world, clients);
}

/* ---- The process ---- */

static void a_stop_waits_for_relayed_connections(void **state)
{
	struct world world;
	struct client relayed, waiting;

	(void)state;
	open_world(&world);
	relayed = open_tls(&world, WORLD_IMAPS, NULL, 0);
	log_in(&relayed);
	waiting = client_open(&world, WORLD_IMAP);
	client_expect(&waiting, greeting);
	assert_int_equal(gate_control_stop(world.control), 0);
	client_expect(&waiting, "* BYE The server is stopping");
	client_expect_end(&waiting);
	client_say(&relayed, "still here\r\n");
	client_expect(&relayed, "still here");
	client_close(&relayed);
	assert_int_equal(world_wait(&world), 0);
	client_close(&waiting);
	world_end(&world);
}

/* Core ends first: what it said last is still passed on. */
static void a_stop_outlives_core(void **state)
{
	struct world world;
	struct client relayed, waiting;

	(void)state;
	open_world(&world);
	relayed = open_tls(&world, WORLD_IMAPS, NULL, 0);
	log_in(&relayed);
	waiting = client_open(&world, WORLD_IMAP);
	client_expect(&waiting, greeting);
	assert_int_equal(gate_control_stop(world.control), 0);
	client_expect(&waiting, "* BYE The server is stopping");
	client_say(&relayed, "SEND 1000000\r\n");
	world_break_core(&world);
	for (unsigned i = 0; i < 100; i++) {
		char piece[10000];

		assert_int_equal(client_read(&relayed, piece, sizeof(piece)), sizeof(piece));
	}
	client_close(&relayed);
	assert_int_equal(world_wait(&world), 0);
	client_close(&waiting);
	world_end(&world);
}

static void a_log_level_is_taken_when_there_is_such(void **state)
{
	struct world world;

	(void)state;
	open_world(&world);
	assert_int_equal(gate_control_log_level(world.control, LOG_DEBUG), 0);
	assert_int_equal(gate_control_log_level(world.control, LOG_ERROR), 0);
	assert_int_equal(gate_control_log_level(world.control, (enum log_level)(LOG_ERROR + 1)), 0);
	assert_int_equal(world_wait(&world), 1);
	world_end(&world);
}

static void a_gate_ends_without_core(void **state)
{
	struct world world;

	(void)state;
	open_world(&world);
	world_break_core(&world);
	assert_int_equal(world_wait(&world), 1);
	world_end(&world);
}

static void a_gate_ends_without_its_supervisor(void **state)
{
	struct world world;

	(void)state;
	open_world(&world);
	(void)close(world.control);
	world.control = -1;
	assert_int_equal(world_wait(&world), 1);
	world_end(&world);
}

static void a_gate_is_shut_in(void **state)
{
	struct world world;
	struct client client;
	char path[64], status[8192] = "";
	FILE *file;

	(void)state;
	open_world(&world);
	client = client_open(&world, WORLD_IMAP);
	client_expect(&client, greeting);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)world.gate);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(status, 1, sizeof(status) - 1, file) > 0);
	(void)fclose(file);
	assert_non_null(strstr(status, "\nNoNewPrivs:\t1\n"));
	assert_non_null(strstr(status, "\nSeccomp:\t2\n"));
	client_close(&client);
	world_end(&world);
}

/* Nothing that the parent had open is open in the gate: here, a pipe. */
static void a_gate_keeps_only_its_own_descriptors(void **state)
{
	struct world world;
	struct client client;
	struct dirent *entry;
	struct buffer path = BUFFER_INIT(300);
	int pipes[2];
	unsigned count = 0;
	DIR *dir;

	(void)state;
	world_prepare(&world);
	assert_int_equal(pipe(pipes), 0);
	world_start(&world);
	client = client_open(&world, WORLD_IMAP);
	client_expect(&client, greeting);
	buffer_printf(&path, "/proc/%d/fd", (int)world.gate);
	dir = opendir(buffer_text(&path));
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char target[100] = "";

		if (entry->d_name[0] == '.' || entry->d_name[1] == '\0') /* 0, 1 and 2 stay */
			continue;
		assert_true(readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0);
		count++;
	}
	(void)closedir(dir);
	/* Four listeners, channel, control, libuv's epoll, event and signal pipe, the client: not many more than ten. */
	assert_true(count < 12);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	client_close(&client);
	buffer_free(&path);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_login_in_clear_hands_the_socket_over),
		cmocka_unit_test(sasl_goes_back_and_forth),
		cmocka_unit_test(pop3_says_what_was_enabled),
		cmocka_unit_test(a_login_over_tls_13_is_relayed),
		cmocka_unit_test(tls_12_has_its_own_channel_binding),
		cmocka_unit_test(nobody_renegotiates),
		cmocka_unit_test(old_tls_is_refused),
		cmocka_unit_test(starttls_throws_away_what_was_injected),
		cmocka_unit_test(the_certificate_follows_the_name),
		cmocka_unit_test(new_certificates_leave_connections_alone),
		cmocka_unit_test(another_protocol_is_refused_by_alpn),
		cmocka_unit_test(much_goes_both_ways_past_a_slow_reader),
		cmocka_unit_test(a_client_that_stops_writing_still_gets_the_rest),
		cmocka_unit_test(a_client_that_takes_nothing_is_let_go),
		cmocka_unit_test(whoever_does_not_shake_hands_is_let_go),
		cmocka_unit_test(whoever_does_not_log_in_is_let_go),
		cmocka_unit_test(there_is_a_most_of_connections),
		cmocka_unit_test(there_is_a_most_of_logins_in_flight),
		cmocka_unit_test(who_waits_too_long_for_its_turn_is_told),
		cmocka_unit_test(a_stop_waits_for_relayed_connections),
		cmocka_unit_test(a_stop_outlives_core),
		cmocka_unit_test(a_log_level_is_taken_when_there_is_such),
		cmocka_unit_test(a_gate_ends_without_core),
		cmocka_unit_test(a_gate_ends_without_its_supervisor),
		cmocka_unit_test(a_gate_is_shut_in),
		cmocka_unit_test(a_gate_keeps_only_its_own_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
