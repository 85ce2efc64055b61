/*
 * FETCH as a value (RFC 9051 §6.4.5): what parse_fetch() makes of the client's words, in the command's arena.
 */
#ifndef PENFOLD_IMAP_FETCH_H
#define PENFOLD_IMAP_FETCH_H

#include "imap/command.h"
#include "mail/mail.h"

enum fetch_items { /* what is answered from the entry and the stored description; a bit set, in the order of the answer */
	FETCH_UID = 1,
	FETCH_FLAGS = 2,
	FETCH_MODSEQ = 4,
	FETCH_INTERNALDATE = 8,
	FETCH_SIZE = 16,
	FETCH_EMAILID = 32,  /* RFC 8474 §5.1 */
	FETCH_THREADID = 64, /* RFC 8474 §5.2 */
	FETCH_ENVELOPE = 128,
	FETCH_BODYSTRUCTURE = 256,
	FETCH_BODY = 512, /* BODYSTRUCTURE without extension data */
};

enum fetch_body_kind { FETCH_RAW, FETCH_BINARY, FETCH_BINARY_SIZE };
enum fetch_fields { FIELDS_ALL, FIELDS_NAMED, FIELDS_NOT_NAMED };

struct fetch_body { /* BODY[...], BINARY[...], RFC822 and kin */
	enum fetch_body_kind kind;
	bool sets_seen;
	struct slice label; /* as the answer names it: "BODY[1.HEADER]<0>" */
	struct mail_section section;
	enum fetch_fields fields;
	const struct slice *names; /* of HEADER.FIELDS */
	size_t name_count;
	bool names_are_common; /* all of them are kept with the description */
	bool partial;
	uint64_t offset, count;
	struct fetch_body *next;
};

struct imap_fetch {
	struct imap_set set;
	unsigned items;
	bool sets_seen; /* one of the bodies does */
	struct fetch_body *bodies;
	bool has_changed_since, vanished;
	uint64_t changed_since; /* RFC 7162 §3.1.4.1 */
};

/* "[" section "]" ["<" offset "." count ">"], and the label `name` makes with it. */
bool parse_fetch_section(struct imap_lexer *l, const char *name, struct fetch_body *body);

#endif
