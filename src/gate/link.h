/*
 * Inside gate: bytes to and from one client, in clear or through TLS, without buffers while nothing waits. Errors are negative errno
 * values; -EAGAIN means that link_poll() will tell when to go on.
 */
#ifndef PENFOLD_GATE_LINK_H
#define PENFOLD_GATE_LINK_H

#include "gate/tls.h"
#include "net/net.h"

enum { LINK_READ_MAX = 16384 }; /* a TLS record's most */

struct link {
	int fd;
	struct ssl_st *ssl; /* NULL: in clear */
	struct net_watch *watch;
	int watched;          /* POLLIN, POLLOUT */
	struct buffer out;    /* not taken by the kernel or TLS yet */
	bool tls_wants_write; /* to go on with a handshake or with reading */
	bool moved;           /* the client took something; for the owner to clear */
};

MUST_CHECK int link_init(struct link *link, struct net_loop *loop, int fd, size_t out_max,
	void (*ready)(void *owner, int events), void *owner);
/* Ends TLS politely where that can be done at once, and closes the descriptor; with `fd` -1 (given away) only frees. */
void link_clear(struct link *link);

MUST_CHECK int link_start_tls(struct link *link, struct tls *tls, enum gate_protocol protocol);
MUST_CHECK int link_handshake(struct link *link); /* 0: done */
/*
 * Up to `room` bytes: their number, 0 at the end, or a negative errno. Over TLS with room for LINK_READ_MAX, nothing is left behind
 * that poll(2) would not tell of.
 */
MUST_CHECK ssize_t link_read(struct link *link, char *at, size_t room);
/* Sends what it can and keeps the rest in `out`. */
MUST_CHECK int link_write(struct link *link, struct slice bytes);
MUST_CHECK int link_flush(struct link *link); /* 0: nothing waits any more */
/* Asks for `ready` when there is something to read (if so wished), and when what waits can go on. */
MUST_CHECK int link_poll(struct link *link, bool reading);

#endif
