/*
 * The configuration file: `key = value` lines, `#` comments; see penfold.conf(5). Parsing is pure: text in, struct or one precise complaint out.
 */
#ifndef PENFOLD_SERVER_CONFIG_H
#define PENFOLD_SERVER_CONFIG_H

#include "auth/auth.h"
#include "base/log.h"

#define CONFIG_DEFAULT_PATH "/etc/penfold/penfold.conf"

enum { CONFIG_LISTENERS_MAX = 32, CONFIG_CERTIFICATES_MAX = 64, CONFIG_TEXT_MAX = 1 << 20 };

enum listen_kind { LISTEN_IMAP, LISTEN_IMAPS, LISTEN_POP3, LISTEN_POP3S, LISTEN_LMTP };

struct config_listener {
	enum listen_kind kind;
	struct slice host; /* literal address or "*"; for a Unix socket its path */
	uint16_t port;
	bool is_unix;
};
struct config_certificate {
	struct slice chain, key; /* paths of PEM files */
};

#define CONFIG_NEVER UINT64_MAX /* as STORE_REPACK_NEVER (store/store.h) */
struct config {
	struct slice data_dir, control_socket, hostname, user;
	struct config_listener listeners[CONFIG_LISTENERS_MAX];
	size_t listener_count;
	struct config_certificate certificates[CONFIG_CERTIFICATES_MAX]; /* the first one is the default */
	size_t certificate_count;
	uint64_t gates, shards; /* 0: one per processor */
	uint64_t retention_s, repack_after_s, message_bytes_max, messages_max, segment_bytes, body_cache_bytes;
	uint64_t connections_max, connections_per_address, sessions_per_account;
	uint64_t pop3_login_delay_s, imap_idle_s, pop3_idle_s;
	uint64_t argon2_memory_kib, argon2_passes, scram_iterations;
	bool throttle_loopback;
	bool search_index;
	bool sync_flags;      /* answers wait for changes of flags, too */
	bool require_sandbox; /* refuse to start where the kernel lacks Landlock or seccomp */
	enum log_level log_level;
};

/* The values of a file that says nothing. */
void config_defaults(struct config *config);
/*
 * Reads `text` over the defaults; slices of the result are copied into `arena`. On failure -EINVAL and one line in `problem`:
 * "NAME:LINE: what is wrong".
 */
MUST_CHECK int config_parse(
	struct slice text, const char *name, struct arena *arena, struct config *ret_config, struct buffer *problem);
/* One `key = value` line over what is there; the problem has no name in front. */
MUST_CHECK int config_set(struct slice line, struct arena *arena, struct config *config, struct buffer *problem);
/* The same from a file; the problem also says why it could not be read. */
MUST_CHECK int config_load(const char *path, struct arena *arena, struct config *ret_config, struct buffer *problem);
/* What serving needs but the file does not have (a listener, a certificate where TLS is spoken, a host name). */
MUST_CHECK int config_validate(const struct config *config, struct buffer *problem);
/* Names of keys whose values differ and that only a restart takes over, comma separated; for SIGHUP. */
void config_restart_keys(const struct config *running, const struct config *wanted, struct buffer *out);

/* Whole file into `out`; -EFBIG beyond its maximum. For configuration, certificates, password files. */
MUST_CHECK int file_read_whole(const char *path, struct buffer *out);

#endif
