/* The inside of a POP3 session: the protocol on a stream, with an account behind it. One thread: the shard's. */
#ifndef PENFOLD_POP3_SESSION_H
#define PENFOLD_POP3_SESSION_H

#include "pop3/pop3.h"
#include "pop3/protocol.h"
#include "store/email.h"

struct pop3_session {
	struct list_node node; /* of services->sessions */
	struct pop3_services *services;
	struct net_stream *stream;
	struct buffer names; /* address, peer, device: what the slices below point to */
	struct slice address, peer, device;
	uint64_t id;
	bool tls;
	struct actor actor;
	struct account *account; /* NULL until it is open */
	struct account_listener listener;
	bool listening, holding; /* to be undone at the end */
	struct pop3_settings settings;
	struct pop3_backend backend;
	struct view *view; /* keeps INBOX as it was at login */
	struct pop3_maildrop drop;
	struct pop3_protocol protocol;
	struct body_reader *reader; /* of the message on its way out */
	bool ready;                 /* the maildrop is open, commands are taken */
	bool ending;                /* nothing more is done for the client */
	bool stopping;
	const char *reason; /* why it ends, for the log */
};

/* start.c: opens the maildrop and answers PASS or AUTH. */
void pop3_session_open(struct pop3_session *s, uint64_t account_id);
/* session.c */
void pop3_session_end(struct pop3_session *s, const char *reason); /* lets the output leave and closes */
void pop3_session_ready(struct pop3_session *s);                   /* the maildrop is open */
void pop3_session_free(struct pop3_session *s);
void pop3_session_log(struct pop3_session *s, enum log_level level, const char *event);
/* Text from outside as a client may be shown it: printable ASCII. */
void pop3_put_clean(struct slice text, struct buffer *out);

#endif
