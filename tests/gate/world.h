/*
 * A real gate in a process of its own, a core that the test plays (on a thread), and clients.
 *
 * Core takes the password "secret" and answers GATE_WRONG to others, except: "later" is GATE_UNAVAILABLE, "never" gets no answer. The
 * mechanism LOGIN asks twice; X-FINAL succeeds with additional data. A session answers "TAG OK Logged in", then lines: "QUIT" ends it,
 * "SEND n" gives n bytes of a pattern, "COUNT" says how many bytes came so far, lines of x are only counted,
 * everything else comes back as it is.
 */
#ifndef PENFOLD_TESTS_GATE_WORLD_H
#define PENFOLD_TESTS_GATE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "gate/gate.h"

enum { WORLD_IMAP, WORLD_IMAPS, WORLD_POP3, WORLD_POP3S, WORLD_PORTS };

struct world_core; /* what the thread has */
struct world {
	struct gate_settings settings;
	struct gate_listener listeners[WORLD_PORTS];
	struct gate_certificate certificates[3]; /* one.example.org, two.example.org, *.wild.example.org */
	struct buffer pems[6];
	uint16_t ports[WORLD_PORTS];
	pid_t gate;
	int control;
	struct world_core *core;
};

void world_prepare(struct world *world); /* the settings may be changed after it */
void world_start(struct world *world);
void world_end(struct world *world);        /* stops the gate, which must end with 0 */
int world_wait(struct world *world);        /* until the gate has ended: its exit status, or minus a signal */
void world_break_core(struct world *world); /* core's end of the channel is closed */

/* What core saw last. */
struct seen {
	unsigned starts, cancels, handovers;
	bool utf8, tls, confidential;
	char mechanism[64], peer[64], local[64], tls_text[64], client[300];
	char exporter[64], unique[64];
	size_t exporter_len, unique_len;
};
struct seen world_seen(struct world *world);

struct ssl_st;
struct client {
	int fd;
	struct ssl_st *ssl;
};
struct client client_open(const struct world *world, int port);
/* `version`: 0 for the best, or OpenSSL's number as the most. Nothing verified. */
bool client_tls(struct client *client, const char *server_name, int version, const char *alpn);
/* Another connection of the same client, with the ticket of its former one; false when that is not taken. TLS 1.2. */
bool client_tls_resumed(struct client *client, const struct client *former);
bool client_renegotiate(struct client *client);
void client_say(struct client *client, const char *text); /* as it is */
void client_expect(struct client *client, const char *start_of_line);
void client_expect_end(struct client *client);
void client_close(struct client *client);
size_t client_read(struct client *client, char *bytes, size_t len); /* all of it, unless the end comes first */
void client_write(struct client *client, const char *bytes, size_t len);
const char *client_certificate_name(struct client *client, char *name, size_t len);
/* What channel bindings of this connection must be: the exporter, 32 bytes, and the first Finished message. */
void client_binding(struct client *client, char exporter[32], char unique[64], size_t *ret_unique_len);
void client_end_writing(struct client *client); /* close_notify, but goes on reading */

#endif
