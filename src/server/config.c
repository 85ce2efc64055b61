#include "server/config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

void config_defaults(struct config *config)
{
	*config = (struct config){
		.data_dir = SLICE("/var/lib/penfold"),
		.control_socket = SLICE("/run/penfold/control"),
		.user = SLICE("penfold"),
		.retention_s = 30 * 86400,
		.repack_after_s = 86400,
		.message_bytes_max = 100 << 20,
		.messages_max = 2000000,
		.segment_bytes = 64 << 20,
		.body_cache_bytes = 64 << 20,
		.connections_max = 50000,
		.connections_per_address = 100,
		.sessions_per_account = 250,
		.imap_idle_s = 1800,
		.pop3_idle_s = 600,
		.argon2_memory_kib = auth_cost_default.argon2_memory_kib,
		.argon2_passes = auth_cost_default.argon2_passes,
		.scram_iterations = auth_cost_default.scram_iterations,
		.throttle_loopback = true,
		.search_index = true,
		.sync_flags = true,
		.log_level = LOG_INFO,
	};
}

/* ---- One function per kind of value: what it says is wrong goes after "KEY: " ---- */

struct parsing {
	struct arena *arena;
	struct config *config;
	const char *complaint;
};
struct key {
	const char *name;
	bool (*set)(struct parsing *p, struct slice value, const struct key *key);
	size_t at; /* offset in struct config */
	uint64_t least, most;
	bool reloads; /* SIGHUP takes it over */
};

static bool complain(struct parsing *p, const char *text)
{
	p->complaint = text;
	return false;
}

static void *place(struct parsing *p, const struct key *key)
{
	return (char *)p->config + key->at;
}

static bool set_text(struct parsing *p, struct slice value, const struct key *key)
{
	if (value.len > 1000)
		return complain(p, "longer than 1,000 bytes");
	if (arena_copy(p->arena, value, place(p, key)))
		return complain(p, "out of memory");
	return true;
}

static bool set_path(struct parsing *p, struct slice value, const struct key *key)
{
	if (value.at[0] != '/')
		return complain(p, "must be an absolute path");
	return set_text(p, value, key);
}

/* It goes into greetings and header fields as it is. */
static bool set_hostname(struct parsing *p, struct slice value, const struct key *key)
{
	for (size_t i = 0; i < value.len; i++)
		if (!byte_is_digit(value.at[i]) && !byte_is_alpha(value.at[i]) && value.at[i] != '-' &&
			value.at[i] != '.')
			return complain(p, "a host name has letters, digits, '-' and '.'");
	return set_text(p, value, key);
}

static bool set_switch(struct parsing *p, struct slice value, const struct key *key)
{
	bool yes = slice_equal_nocase(value, SLICE("yes"));

	if (!yes && !slice_equal_nocase(value, SLICE("no")))
		return complain(p, "must be yes or no");
	memcpy(place(p, key), &yes, sizeof(yes));
	return true;
}

struct unit {
	char letter;
	uint64_t factor;
};

static bool set_scaled(struct parsing *p, struct slice value, const struct key *key, const struct unit *units,
	size_t count, const char *form)
{
	uint64_t factor = 1, number;

	for (size_t i = 0; i < count; i++) {
		if (byte_lower(value.at[value.len - 1]) == units[i].letter) {
			factor = units[i].factor;
			value.len--;
			break;
		}
	}
	if (slice_to_u64(slice_trim(value), UINT64_MAX / factor, &number))
		return complain(p, form);
	number *= factor;
	if (number < key->least)
		return complain(p, "is too small");
	if (number > key->most)
		return complain(p, "is too large");
	memcpy(place(p, key), &number, sizeof(number));
	return true;
}

static bool set_number(struct parsing *p, struct slice value, const struct key *key)
{
	return set_scaled(p, value, key, NULL, 0, "must be a number");
}

static bool set_size(struct parsing *p, struct slice value, const struct key *key)
{
	static const struct unit units[] = {{'k', 1 << 10}, {'m', 1 << 20}, {'g', 1 << 30}, {'t', (uint64_t)1 << 40}};

	return set_scaled(p, value, key, units, ARRAY_LEN(units), "must be a size such as 64M or 2G");
}

static bool set_duration(struct parsing *p, struct slice value, const struct key *key)
{
	static const struct unit units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};

	return set_scaled(p, value, key, units, ARRAY_LEN(units), "must be a time such as 90s, 15m, 12h or 30d");
}

static bool set_duration_or_never(struct parsing *p, struct slice value, const struct key *key)
{
	static const uint64_t never = CONFIG_NEVER;

	if (!slice_equal_nocase(value, SLICE("never")))
		return set_duration(p, value, key);
	memcpy(place(p, key), &never, sizeof(never));
	return true;
}

static bool set_log_level(struct parsing *p, struct slice value, const struct key *key)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};

	(void)key;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_equal_nocase(value, slice_of(names[i]))) {
			p->config->log_level = (enum log_level)i;
			return true;
		}
	}
	return complain(p, "must be debug, info, warn or error");
}

static bool is_literal_address(struct slice host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr any;

	if (host.len >= sizeof(text))
		return false;
	memcpy(text, host.at, host.len);
	text[host.len] = '\0';
	return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

/* "/path", "1.2.3.4:143", "[::1]:143", "*:143" or "143". */
static bool parse_endpoint(struct parsing *p, struct slice value, struct config_listener *ret_listener)
{
	size_t colon = slice_find_last_byte(value, ':');
	struct slice host = SLICE("*"), port = value;
	uint64_t number;

	if (value.len && value.at[0] == '/') {
		ret_listener->is_unix = true;
		return arena_copy(p->arena, value, &ret_listener->host) == 0 || complain(p, "out of memory");
	}
	if (colon != SIZE_MAX) {
		host = slice_first(value, colon);
		port = slice_from(value, colon + 1);
		if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
			host = slice_first(slice_from(host, 1), host.len - 2);
		else if (slice_find_byte(host, ':') != SIZE_MAX)
			return complain(p, "an IPv6 address stands in brackets: [::1]:143");
	}
	if (host.len == 0 || slice_to_u64(port, 65535, &number) || number == 0)
		return complain(p, "must be ADDRESS:PORT, [ADDRESS]:PORT, PORT or /path/of/a/socket");
	if (!slice_equal(host, SLICE("*")) && !is_literal_address(host))
		return complain(p, "an address is in numbers (192.0.2.1, [2001:db8::1]), or * for all of them");
	ret_listener->port = (uint16_t)number;
	return arena_copy(p->arena, host, &ret_listener->host) == 0 || complain(p, "out of memory");
}

static bool set_listen(struct parsing *p, struct slice value, const struct key *key)
{
	while (value.len) {
		struct slice one = slice_trim(slice_split(&value, ','));
		struct config_listener listener = {.kind = (enum listen_kind)key->least};

		if (one.len == 0)
			continue;
		if (p->config->listener_count == CONFIG_LISTENERS_MAX)
			return complain(p, "too many addresses to listen on");
		if (!parse_endpoint(p, one, &listener))
			return false;
		if (listener.is_unix && listener.kind != LISTEN_LMTP)
			return complain(p, "only lmtp can listen on a Unix socket");
		p->config->listeners[p->config->listener_count++] = listener;
	}
	return true;
}

static bool set_certificate(struct parsing *p, struct slice value, const struct key *key)
{
	struct slice chain = slice_trim(slice_split(&value, ' '));
	struct slice private_key = slice_trim(value);
	struct config_certificate *certificate = &p->config->certificates[p->config->certificate_count];

	(void)key;
	if (p->config->certificate_count == CONFIG_CERTIFICATES_MAX)
		return complain(p, "too many certificates");
	if (!chain.len || !private_key.len || chain.at[0] != '/' || private_key.at[0] != '/')
		return complain(p, "must be two absolute paths: certificate chain and private key");
	if (arena_copy(p->arena, chain, &certificate->chain) || arena_copy(p->arena, private_key, &certificate->key))
		return complain(p, "out of memory");
	p->config->certificate_count++;
	return true;
}

#define AT(field) offsetof(struct config, field)
static const struct key keys[] = {
	{"data_dir", set_path, AT(data_dir), 0, 0, false},
	{"control_socket", set_path, AT(control_socket), 0, 0, false},
	{"hostname", set_hostname, AT(hostname), 0, 0, false},
	{"user", set_text, AT(user), 0, 0, false},
	{"listen_imap", set_listen, 0, LISTEN_IMAP, 0, false},
	{"listen_imaps", set_listen, 0, LISTEN_IMAPS, 0, false},
	{"listen_pop3", set_listen, 0, LISTEN_POP3, 0, false},
	{"listen_pop3s", set_listen, 0, LISTEN_POP3S, 0, false},
	{"listen_lmtp", set_listen, 0, LISTEN_LMTP, 0, false},
	{"tls_certificate", set_certificate, 0, 0, 0, true},
	{"gates", set_number, AT(gates), 0, 64, false},
	{"shards", set_number, AT(shards), 0, 64, false},
	{"retention", set_duration, AT(retention_s), 0, (uint64_t)3650 * 86400, false},
	{"repack_after", set_duration_or_never, AT(repack_after_s), 0, (uint64_t)3650 * 86400, false},
	{"message_size_max", set_size, AT(message_bytes_max), 1 << 16, (uint64_t)4 << 30, false},
	{"messages_max", set_number, AT(messages_max), 1000, 1000000000, false},
	{"segment_size", set_size, AT(segment_bytes), 1 << 20, (uint64_t)2 << 30, false},
	{"body_cache", set_size, AT(body_cache_bytes), 0, (uint64_t)1 << 40, false},
	{"connections_max", set_number, AT(connections_max), 1, 10000000, false},
	{"connections_per_address", set_number, AT(connections_per_address), 1, 10000000, false},
	{"sessions_per_account", set_number, AT(sessions_per_account), 1, 1000000, false},
	{"pop3_login_delay", set_duration, AT(pop3_login_delay_s), 0, 86400, false},
	{"pop3_idle", set_duration, AT(pop3_idle_s), 600, 86400, false},
	{"imap_idle", set_duration, AT(imap_idle_s), 1800, 7 * 86400, false},
	{"argon2_memory", set_size, AT(argon2_memory_kib), 8 << 10, (uint64_t)4 << 30, true},
	{"argon2_passes", set_number, AT(argon2_passes), 1, 100, true},
	{"scram_iterations", set_number, AT(scram_iterations), 4096, 10000000, true},
	{"throttle_loopback", set_switch, AT(throttle_loopback), 0, 0, false},
	{"search_index", set_switch, AT(search_index), 0, 0, false},
	{"sync_flags", set_switch, AT(sync_flags), 0, 0, false},
	{"require_sandbox", set_switch, AT(require_sandbox), 0, 0, false},
	{"log_level", set_log_level, 0, 0, 0, true},
};

static const struct key *key_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (slice_equal(name, slice_of(keys[i].name)))
			return &keys[i];
	return NULL;
}

static bool key_repeats(const struct key *key)
{
	return key->set == set_certificate;
}

static int parse_line(struct parsing *p, struct slice line, uint64_t *seen, struct buffer *problem)
{
	struct slice value = line, name = slice_trim(slice_split(&value, '='));
	const struct key *key = key_find(name);
	uint64_t bit = key ? (uint64_t)1 << (key - keys) : 0;

	if (value.at == NULL)
		buffer_printf(problem, "'%.*s' is no `key = value` line", SLICE_ARG(slice_first(name, 60)));
	else if (!key)
		buffer_printf(problem, "there is no key '%.*s'", SLICE_ARG(slice_first(name, 60)));
	else if (*seen & bit && !key_repeats(key))
		buffer_printf(problem, "%s is given twice", key->name);
	else if (slice_trim(value).len == 0)
		buffer_printf(problem, "%s has no value", key->name);
	else if (!key->set(p, slice_trim(value), key))
		buffer_printf(problem, "%s: %s: '%.*s'", key->name, p->complaint,
			SLICE_ARG(slice_first(slice_trim(value), 200)));
	else
		return *seen |= bit, 0;
	return -EINVAL;
}

int config_parse(
	struct slice text, const char *name, struct arena *arena, struct config *ret_config, struct buffer *problem)
{
	struct config config;
	struct parsing p = {arena, &config, NULL};
	uint64_t seen = 0;

	config_defaults(&config);
	config.argon2_memory_kib <<= 10; /* bytes while parsing, as the file gives it */
	for (unsigned number = 1; text.len; number++) {
		struct slice line = slice_split(&text, '\n');
		struct buffer why = BUFFER_INIT(1024);
		int error = 0;

		line = slice_trim(line);
		if (slice_find_byte(line, '\0') != SIZE_MAX) {
			buffer_put_text(&why, "a NUL byte");
			error = -EINVAL;
		} else if (line.len && line.at[0] != '#') {
			error = parse_line(&p, line, &seen, &why);
		}
		if (error)
			buffer_printf(problem, "%s:%u: %s", name, number, buffer_text(&why));
		buffer_free(&why);
		if (error)
			return error;
	}
	config.argon2_memory_kib >>= 10;
	*ret_config = config;
	return 0;
}

int config_set(struct slice line, struct arena *arena, struct config *config, struct buffer *problem)
{
	struct parsing p = {arena, config, NULL};
	uint64_t seen = 0;
	int error;

	config->argon2_memory_kib <<= 10;
	error = parse_line(&p, slice_trim(line), &seen, problem);
	config->argon2_memory_kib >>= 10;
	return error;
}

int file_read_whole(const char *path, struct buffer *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		char *room = buffer_room(out, 4096);
		ssize_t got = room ? read(fd, room, 4096) : 0;

		if (!room)
			error = buffer_error(out) == -ENOBUFS ? -EFBIG : -ENOMEM;
		else if (got < 0)
			error = -errno;
		if (error || got == 0)
			break;
		buffer_added(out, (size_t)got);
	}
	(void)close(fd);
	return error;
}

int config_load(const char *path, struct arena *arena, struct config *ret_config, struct buffer *problem)
{
	struct buffer text = BUFFER_INIT(CONFIG_TEXT_MAX);
	int error = file_read_whole(path, &text);

	if (error)
		buffer_printf(problem, "%s: %s", path, strerror(-error));
	else
		error = config_parse(buffer_slice(&text), path, arena, ret_config, problem);
	buffer_free(&text);
	return error;
}

int config_validate(const struct config *config, struct buffer *problem)
{
	if (config->listener_count == 0)
		buffer_put_text(problem, "nothing to listen on: give at least one of listen_imap, listen_imaps, "
					 "listen_pop3, listen_pop3s, listen_lmtp");
	for (size_t i = 0; i < config->listener_count && problem->len == 0; i++)
		if (config->listeners[i].kind != LISTEN_LMTP && config->certificate_count == 0)
			buffer_put_text(
				problem, "tls_certificate is missing: IMAP and POP3 are not served without TLS");
	return buffer_error(problem) ? buffer_error(problem) : problem->len ? -EINVAL : 0;
}

static bool key_differs(const struct key *key, const struct config *a, const struct config *b)
{
	const char *left = (const char *)a + key->at, *right = (const char *)b + key->at;

	if (key->set == set_text || key->set == set_hostname || key->set == set_path)
		return !slice_equal(
			*(const struct slice *)(const void *)left, *(const struct slice *)(const void *)right);
	if (key->set == set_switch)
		return memcmp(left, right, sizeof(bool)) != 0;
	return key->set != set_listen && key->set != set_certificate && memcmp(left, right, sizeof(uint64_t)) != 0;
}

static bool listeners_differ(const struct config *a, const struct config *b)
{
	if (a->listener_count != b->listener_count)
		return true;
	for (size_t i = 0; i < a->listener_count; i++) {
		const struct config_listener *x = &a->listeners[i], *y = &b->listeners[i];

		if (x->kind != y->kind || x->port != y->port || !slice_equal(x->host, y->host))
			return true;
	}
	return false;
}

void config_restart_keys(const struct config *running, const struct config *wanted, struct buffer *out)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!keys[i].reloads && key_differs(&keys[i], running, wanted))
			buffer_printf(out, "%s%s", out->len ? ", " : "", keys[i].name);
	}
	if (listeners_differ(running, wanted))
		buffer_printf(out, "%slisten_*", out->len ? ", " : "");
}
