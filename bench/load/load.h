/*
 * bench/load: drives a server of IMAP, POP3 or LMTP, checks every answer, and tells how fast it was.
 *
 * Each client is a fiber: straight-line code with a stack of its own that gives way whenever its connection would block. A worker is one
 * thread with one epoll and a share of the clients. Nothing here is special to a server.
 *
 * Errors: whatever a server answers wrong is an error, is counted and its first text kept (client_error()); so is a connection that
 * breaks or stays silent. An operation that met one does not count as done.
 */
#ifndef PENFOLD_BENCH_LOAD_H
#define PENFOLD_BENCH_LOAD_H

#include <stdatomic.h>

#include "../messages.h"

enum { LOAD_CLIENTS_MAX = 40000, LOAD_THREADS_MAX = 16, LOAD_NOTE_MAX = 300, LOAD_RESPONSE_MAX = 64 << 20 };

struct client;
struct worker;

/* ---- What was asked for; the same for all threads ---- */

struct endpoint {
	char host[64]; /* a literal IPv4 address */
	uint16_t port;
	bool tls;
};

struct workload {
	const char *name, *what;
	void (*run)(struct client *client); /* one client's life; returns when client_next() says that it is over */
};
extern const struct workload workloads[]; /* ends with a nameless one */

struct load {
	const struct workload *workload;
	struct endpoint imap, pop3, lmtp;
	unsigned clients, threads;
	double seconds; /* of the timed part; or until `count` operations */
	uint64_t count; /* 0: no limit */
	uint64_t users, first_user;
	const char *domain, *password, *mailbox, *item;
	const char *warm; /* a mailbox of as many messages that is read before the clock runs; NULL: none */
	enum message_kind kind;
	uint64_t first, messages; /* numbers of the messages in the mailbox, or to be put there */
	bool quick_ack, hold, plain_append;
	unsigned timeout_ms, pipeline, batch;
	unsigned gap_ms; /* between two operations of a client */
	struct messages *made;
	struct ssl_ctx_st *tls;
	_Atomic uint64_t taken, start_ns, errors;
	_Atomic unsigned arrived, left;
};

struct stats {
	uint64_t ops, bytes, last_ns, first_ns;
	uint64_t *latencies_ns;
	size_t count, room;
	char note[LOAD_NOTE_MAX]; /* of the first error */
};

/* ---- A client ---- */

struct client {
	struct worker *worker;
	struct load *load;
	unsigned index;
	uint64_t random;
	struct buffer scratch;
	void *fiber;
	uint64_t wake_ns; /* no later than then; with -ETIMEDOUT unless it sleeps */
	bool ready, over, arrived, sleeping;
};

uint64_t load_now(void); /* nanoseconds, monotonic */
uint64_t client_chance(struct client *client, uint64_t of);
void client_sleep(struct client *client, unsigned ms);
/* Waits until all clients are here: then the clock starts. Whoever returns before counts as here. */
void client_arrive(struct client *client);
/* Whether there is one more operation to do; numbers them over all clients. */
bool client_next(struct client *client, uint64_t *ret_number);
void client_done(struct client *client, uint64_t since_ns, uint64_t ops, uint64_t bytes);
MUST_CHECK int client_error(struct client *client, const char *format, ...) PRINTF_LIKE(2, 3); /* -EBADMSG */
/* user17@example.org; clients and operations go round over --users. */
const char *client_user(struct client *client, uint64_t number, char ret_name[static 128]);
/* Waits for an event of the connection; -ETIMEDOUT. */
MUST_CHECK int client_wait(struct client *client);

/* ---- Workers (worker.c) ---- */

void worker_watch(struct worker *worker, int fd, struct client *client);
/* Runs all clients to their end; adds up what they did. */
void load_run(struct load *load, struct stats *ret_stats);

/* ---- A connection of a client (conn.c). All wait as long as it takes; failures have been counted. ---- */

struct conn {
	struct client *client;
	struct ssl_st *ssl;
	struct buffer in;
	size_t in_at;
	int fd;
	bool open;
};

MUST_CHECK int conn_open(struct conn *conn, struct client *client, const struct endpoint *to);
void conn_close(struct conn *conn);
MUST_CHECK int conn_send(struct conn *conn, struct slice bytes);
enum { CONN_PARTS = 4 };
MUST_CHECK int conn_send_parts(struct conn *conn, const struct slice *parts, size_t count); /* at most CONN_PARTS */
/* Without its CRLF; valid until the next call. */
MUST_CHECK int conn_line(struct conn *conn, struct slice *ret_line);
/* A line that has to begin so. */
MUST_CHECK int conn_expect(struct conn *conn, struct slice start);
/* These bytes and no others; `what` they are, for the error. */
MUST_CHECK int conn_expect_bytes(struct conn *conn, const char *what, struct slice bytes);
/* All bytes up to and including `end`; valid until the next call. */
MUST_CHECK int conn_until(struct conn *conn, struct slice end, struct slice *ret_bytes);
/* Grows what is unread until it has `bytes`; gives it without taking it. */
MUST_CHECK int conn_peek(struct conn *conn, size_t bytes, struct slice *ret_unread);
void conn_take(struct conn *conn, size_t bytes);

/* ---- IMAP (imap.c) ---- */

enum { IMAP_LITERALS = 4 };

struct imap {
	struct conn conn;
	unsigned tag;
};

struct imap_response {
	struct slice text; /* behind "* " or the tag, with its literals in it, without the last CRLF */
	struct slice literals[IMAP_LITERALS];
	unsigned literal_count;
};

struct imap_selected {
	uint64_t exists, uidvalidity, uidnext, highestmodseq;
};

MUST_CHECK int imap_open(struct imap *imap, struct client *client, uint64_t user);
int imap_close(struct imap *imap); /* LOGOUT and its answers, when still whole; a failure has been counted */
/* Sends a command behind a new tag; its answers must then be read to the end. */
MUST_CHECK int imap_start(struct imap *imap, const char *format, ...) PRINTF_LIKE(2, 3);
/* APPEND of a message to --mailbox, with LITERAL+ unless --plain-append is given; its answers must then be read to the end. */
MUST_CHECK int imap_append(struct imap *imap, struct slice message);
/* 1: an untagged response; 0: the tagged OK; negative: failed or NO or BAD, counted. Valid until the next call. */
MUST_CHECK int imap_next(struct imap *imap, struct imap_response *ret_response);
MUST_CHECK int imap_finish(struct imap *imap);   /* until the tagged OK; what is untagged is of no interest */
MUST_CHECK int imap_continue(struct imap *imap); /* has to be "+" */
MUST_CHECK int imap_select(
	struct imap *imap, const char *mailbox, const char *more, struct imap_selected *ret_selected);
/* "123 FETCH (...": takes the number off. */
bool imap_number(struct slice *rest, uint64_t *ret_number);
/* "12:15,18" → calls for each number; false when it is no set. */
bool imap_set(struct slice set, void (*each)(void *context, uint64_t number), void *context);

/* ---- LMTP (lmtp.c) ---- */

MUST_CHECK int lmtp_open(struct conn *conn, struct client *client);
void lmtp_close(struct conn *conn);
/* Sends the envelope and waits for its answers, then the message; lmtp_accepted() waits for the 250 behind it. */
MUST_CHECK int lmtp_send(struct conn *conn, const char *user, struct slice message);
MUST_CHECK int lmtp_accepted(struct conn *conn);

#endif
