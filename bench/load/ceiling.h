/* What stands in for a server when the limits of machine and generator are measured. */
#ifndef PENFOLD_BENCH_CEILING_H
#define PENFOLD_BENCH_CEILING_H

#include <stdint.h>

#include "base/buffer.h"

struct load;

/*
 * Listens on a free port of loopback, prints it as {"port":N}, and until the standard input ends: accepts, shakes hands where a
 * certificate is given, says "* OK", and sends back what comes. As many threads as processors shake hands; a connection whose lines come back has one.
 */
int ceiling_serve(const char *certificate, const char *key);

/*
 * The same, but speaks as much IMAP as logins need, and FETCH of FLAGS, of ENVELOPE BODYSTRUCTURE or of five header fields of load->messages, whose answers
 * lie ready in memory: what is left is the kernel's work and the generator's. Each connection has a thread.
 */
int ceiling_answers(const struct load *load);

/* The same, but a POP3 server: each account's maildrop holds load->messages. */
int ceiling_maildrop(const struct load *load);

/* The same, but takes mail by APPEND and, on a port of its own (prints {"port":N,"lmtp":N}), by LMTP, into a bare log in that file, which stays. */
int ceiling_taker(const char *log_path);

bool ceiling_send(int fd, struct slice bytes); /* all of them; false: the connection has ended */
enum { CEILING_INPUT_MAX = 32 << 20 };
/* Takes a line, or more, from the front of the input and answers to `out`. Returns how much it took; 0: it is not all there yet. */
typedef size_t ceiling_step(void *context, struct slice in, struct buffer *out);
/* Greets and answers step by step, many in one go, until the connection ends; closes it. */
void ceiling_converse(int fd, struct slice greeting, ceiling_step *step, void *context);
int ceiling_listen(uint16_t *ret_port); /* a socket on a free port of loopback */
/* Starts a thread for each connection that comes, for as long as the process lives. `serve` closes the descriptor; `context` lives as long. */
void ceiling_accept(int listener, void (*serve)(const void *context, int fd), const void *context);
/* Prints {"port":N}, with "lmtp":N behind it if that is not 0; ends the process with the standard input. */
NORETURN void ceiling_until_end(uint16_t port, uint16_t lmtp_port);

/* Prints {"memcpy":GB/s,"loopback":GB/s}: copying 23 KB pieces out of 256 MB, and the same through a connection. */
int ceiling_bytes(void);

#endif
