#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "server/config.h"

struct parsed {
	struct arena *arena;
	struct config config;
	struct buffer problem;
	int error;
};

static struct parsed parse(const char *text)
{
	struct parsed p = {.problem = BUFFER_INIT(4096)};

	assert_int_equal(arena_new(1 << 20, &p.arena), 0);
	p.error = config_parse(slice_of(text), "penfold.conf", p.arena, &p.config, &p.problem);
	return p;
}

static void done(struct parsed *p)
{
	arena_free(&p->arena);
	buffer_free(&p->problem);
}

static void everything_can_be_set(void **state)
{
	struct parsed p =
		parse("# a comment\n\n data_dir = /srv/mail \nhostname=mail.example.org\nretention = 2w\n"
		      "message_size_max = 64M\nmessages_max = 5000\nsearch_index = no\nsync_flags = no\nlisten_imap = "
		      "127.0.0.1:143, [::1]:1143, 2143\n"
		      "listen_lmtp = /run/penfold/lmtp\ntls_certificate = /a/chain.pem /a/key.pem\n"
		      "tls_certificate = /b/chain.pem /b/key.pem\nlog_level = warn\nargon2_memory = "
		      "32M\r\nbody_cache = 1G\nrepack_after = never\n");

	(void)state;
	assert_int_equal(p.error, 0);
	assert_true(slice_equal(p.config.data_dir, SLICE("/srv/mail")));
	assert_true(slice_equal(p.config.hostname, SLICE("mail.example.org")));
	assert_int_equal(p.config.retention_s, 14 * 86400);
	assert_true(p.config.repack_after_s == CONFIG_NEVER);
	assert_int_equal(p.config.message_bytes_max, 64 << 20);
	assert_int_equal(p.config.messages_max, 5000);
	assert_false(p.config.search_index);
	assert_false(p.config.sync_flags);
	assert_int_equal(p.config.argon2_memory_kib, 32 << 10);
	assert_int_equal(p.config.body_cache_bytes, 1 << 30);
	assert_int_equal(p.config.listener_count, 4);
	assert_true(slice_equal(p.config.listeners[1].host, SLICE("::1")));
	assert_int_equal(p.config.listeners[1].port, 1143);
	assert_true(slice_equal(p.config.listeners[2].host, SLICE("*")));
	assert_true(p.config.listeners[3].is_unix);
	assert_int_equal(p.config.certificate_count, 2);
	assert_true(slice_equal(p.config.certificates[1].key, SLICE("/b/key.pem")));
	assert_int_equal(p.config.log_level, LOG_WARN);
	done(&p);
}

static void silence_gives_defaults(void **state)
{
	struct parsed p = parse("");
	struct config defaults;

	(void)state;
	config_defaults(&defaults);
	assert_int_equal(p.error, 0);
	assert_int_equal(p.config.retention_s, 30 * 86400);
	assert_int_equal(p.config.repack_after_s, 86400);
	assert_int_equal(p.config.argon2_memory_kib, defaults.argon2_memory_kib);
	assert_int_equal(p.config.body_cache_bytes, 64 << 20);
	done(&p);
}

static void mistakes_are_named_with_their_line(void **state)
{
	static const struct {
		const char *text, *complaint;
	} cases[] = {
		{"\nretenton = 30d\n", "penfold.conf:2: there is no key 'retenton'"},
		{"retention = soon", "penfold.conf:1: retention: must be a time such as 90s, 15m, 12h or 30d: 'soon'"},
		{"retention =", "penfold.conf:1: retention has no value"},
		{"retention", "penfold.conf:1: 'retention' is no `key = value` line"},
		{"hostname = a\nhostname = b", "penfold.conf:2: hostname is given twice"},
		{"data_dir = mail", "penfold.conf:1: data_dir: must be an absolute path: 'mail'"},
		{"message_size_max = 1", "penfold.conf:1: message_size_max: is too small: '1'"},
		{"message_size_max = 99T", "penfold.conf:1: message_size_max: is too large: '99T'"},
		{"message_size_max = 99999999999999999999",
			"penfold.conf:1: message_size_max: must be a size such as 64M or 2G: "
			"'99999999999999999999'"},
		{"listen_imap = ::1:143",
			"penfold.conf:1: listen_imap: an IPv6 address stands in brackets: [::1]:143: '::1:143'"},
		{"listen_imap = localhost:0",
			"penfold.conf:1: listen_imap: must be ADDRESS:PORT, [ADDRESS]:PORT, PORT or /path/of/a/socket: "
			"'localhost:0'"},
		{"hostname = mail server",
			"penfold.conf:1: hostname: a host name has letters, digits, '-' and '.': 'mail server'"},
		{"listen_imap = mail.example.org:143", "penfold.conf:1: listen_imap: an address is in numbers "
						       "(192.0.2.1, [2001:db8::1]), or * for all "
						       "of them: 'mail.example.org:143'"},
		{"listen_imap = /run/imap",
			"penfold.conf:1: listen_imap: only lmtp can listen on a Unix socket: '/run/imap'"},
		{"tls_certificate = /a",
			"penfold.conf:1: tls_certificate: must be two absolute paths: certificate chain and "
			"private key: '/a'"},
		{"log_level = loud", "penfold.conf:1: log_level: must be debug, info, warn or error: 'loud'"},
		{"body_cache = some", "penfold.conf:1: body_cache: must be a size such as 64M or 2G: 'some'"},
		{"body_cache = 2T", "penfold.conf:1: body_cache: is too large: '2T'"},
		{"throttle_loopback = 1", "penfold.conf:1: throttle_loopback: must be yes or no: '1'"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p = parse(cases[i].text);

		assert_int_equal(p.error, -EINVAL);
		assert_string_equal(buffer_text(&p.problem), cases[i].complaint);
		done(&p);
	}
}

static void serving_needs_listeners_and_certificates(void **state)
{
	struct parsed nothing = parse(""), no_tls = parse("listen_imap = 143"),
		      lmtp = parse("listen_lmtp = 127.0.0.1:24");

	(void)state;
	assert_int_equal(config_validate(&nothing.config, &nothing.problem), -EINVAL);
	assert_int_equal(config_validate(&no_tls.config, &no_tls.problem), -EINVAL);
	assert_non_null(strstr(buffer_text(&no_tls.problem), "tls_certificate is missing"));
	assert_int_equal(config_validate(&lmtp.config, &lmtp.problem), 0);
	done(&nothing);
	done(&no_tls);
	done(&lmtp);
}

static void reload_names_what_needs_a_restart(void **state)
{
	struct parsed a = parse("data_dir = /a\nhostname = a\nlisten_imap = 143\nlog_level = info\nretention = 1d");
	struct parsed b = parse("data_dir = /b\nhostname = b\nlisten_imap = 144\nlog_level = debug\nretention = 2d");

	(void)state;
	config_restart_keys(&a.config, &a.config, &a.problem);
	assert_int_equal(a.problem.len, 0);
	config_restart_keys(&a.config, &b.config, &a.problem);
	assert_string_equal(buffer_text(&a.problem), "data_dir, hostname, retention, listen_*");
	done(&a);
	done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_can_be_set),
		cmocka_unit_test(silence_gives_defaults),
		cmocka_unit_test(mistakes_are_named_with_their_line),
		cmocka_unit_test(serving_needs_listeners_and_certificates),
		cmocka_unit_test(reload_names_what_needs_a_restart),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
