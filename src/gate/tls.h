/* Inside gate: OpenSSL's side of TLS: versions, certificates by name, new connections. See link.h for the bytes. */
#ifndef PENFOLD_GATE_TLS_H
#define PENFOLD_GATE_TLS_H

#include "gate/gate.h"

/* OpenSSL's SSL. Its headers cannot follow ours, which ban names that they use for parameters. */
struct ssl_st;

/* The certificates in force. Connections keep the ones they began with. */
struct tls;
MUST_CHECK int tls_new(struct tls **ret_tls);
void tls_free(struct tls **tls);
/* Replaces all certificates; on failure the old ones stay, and `problem` says what is wrong with which. */
MUST_CHECK int tls_load(
	struct tls *tls, const struct gate_certificate *certificates, size_t count, struct buffer *problem);
bool tls_is_possible(const struct tls *tls); /* there is a certificate */
/* The server's end of a handshake to come on `fd`, which stays the caller's. NULL: no memory. */
struct ssl_st *tls_accept(struct tls *tls, int fd, enum gate_protocol protocol);

/* What core wants to know of an established connection. Appends. */
void tls_put_text(struct ssl_st *ssl, struct buffer *out);
bool tls_is_13(struct ssl_st *ssl);
bool tls_has_unique(struct ssl_st *ssl);                       /* TLS 1.2 with a binding that binds: RFC 7627 §1 */
void tls_put_exporter(struct ssl_st *ssl, struct buffer *out); /* RFC 9266 §2; TLS 1.3 only */
void tls_put_unique(struct ssl_st *ssl, struct buffer *out);   /* RFC 5929 §3; TLS 1.2 only */

#endif
