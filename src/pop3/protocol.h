/*
 * POP3's TRANSACTION and UPDATE states as a state machine: bytes in, answers out, no I/O. Messages and the expunge come through a backend.
 *
 * The owner calls pop3_protocol_step() with what came in until it says that it needs something; a step takes one command or goes on
 * with a long answer for a piece, so that the owner can stop where its output is full.
 */
#ifndef PENFOLD_POP3_PROTOCOL_H
#define PENFOLD_POP3_PROTOCOL_H

#include "base/line.h"
#include "pop3/command.h"
#include "pop3/maildrop.h"
#include "pop3/stuff.h"

struct pop3_backend {
	/* Opens a message for reading; -ENOENT: it is gone. After success close() follows. */
	int (*open)(void *context, uint64_t email);
	/* Appends `bytes` bytes of it from `at` on, which it has. After an error `out` may have some of them. */
	int (*append)(void *context, uint64_t at, uint64_t bytes, struct buffer *out);
	void (*close)(void *context);
	/* Removes the messages, all or none. */
	int (*expunge)(void *context, struct uid_set uids);
	void *context;
};

struct pop3_settings {
	size_t line_bytes_max;
	unsigned bad_max;
	struct slice mechanisms; /* SASL; empty: none */
	unsigned login_delay_s;  /* 0: none */
	int expire_days;         /* negative: never */
};

enum pop3_phase { POP3_COMMANDS, POP3_LISTING, POP3_UIDS, POP3_BODY, POP3_CLOSED };

struct pop3_protocol {
	const struct pop3_settings *settings;
	const struct pop3_backend *backend;
	struct pop3_maildrop *drop;
	enum pop3_phase phase;
	struct lines lines;
	uint32_t listed; /* the message that was listed last */
	struct pop3_stuff stuff;
	uint64_t body_at, body_bytes;
	unsigned bad;
	bool updated; /* QUIT went through */
	uint32_t retrieved, topped, deleted;
	uint64_t sent_bytes; /* of messages, as stored */
};

enum pop3_step { POP3_STEP_MORE, POP3_STEP_NEEDS_INPUT, POP3_STEP_CLOSED };

/* `settings`, `backend` and `drop` must outlive it. */
void pop3_protocol_init(struct pop3_protocol *p, const struct pop3_settings *settings,
	const struct pop3_backend *backend, struct pop3_maildrop *drop);
void pop3_protocol_free(struct pop3_protocol *p); /* closes a message being read */
void pop3_protocol_greet(struct pop3_protocol *p, struct buffer *out);
MUST_CHECK enum pop3_step pop3_protocol_step(struct pop3_protocol *p, struct slice *input, struct buffer *out);
/* No answer is in flight. */
bool pop3_protocol_is_between(const struct pop3_protocol *p);

/* retrieve.c: RETR and TOP. */
void pop3_retrieve(struct pop3_protocol *p, const struct pop3_command *command, struct buffer *out);
void pop3_retrieve_more(struct pop3_protocol *p, struct buffer *out);
/* An unmarked message; false: there is none, or it cannot be read, which was answered. */
bool pop3_message_find(struct pop3_protocol *p, uint32_t number, struct buffer *out, struct pop3_message *ret_message);
void pop3_cannot_read(uint32_t number, int error, struct buffer *out);

#endif
