/* A data directory with a bit of everything in it, what it must give back, and bits flipped in its files. */
#ifndef PENFOLD_TESTS_STORE_ROT_H
#define PENFOLD_TESTS_STORE_ROT_H

#include "store/index.h"
#include "support.h"

struct rot {
	struct world w;       /* damaged again and again */
	char origin[80];      /* and restored from here */
	uint64_t accounts[2]; /* ann, bob */
	struct buffer truth;  /* as rot_read() */
	struct buffer lines;  /* what the check or the store said */
};

/* Every kind of record and row, closed. */
void rot_make(struct rot *r);
void rot_free(struct rot *r);
void rot_restore(struct rot *r, const char *file); /* this one and the index are as they were */
/* Everything there is, a line for each account, mailbox and message with its content. Opens and closes. */
void rot_read(struct rot *r, struct buffer *out);
void rot_assert_same(struct rot *r, const char *what);
/* How many lines of the truth are missing; nothing may be there that is not in it. */
unsigned rot_missing(struct rot *r);
int rot_check(struct rot *r, bool rebuild, bool salvage); /* fills lines */
bool rot_said(const struct rot *r, const char *text);
void rot_flip(struct rot *r, const char *file, uint64_t at, unsigned bit); /* below the directory */
void rot_bytes(struct rot *r, const char *file, struct buffer *out);       /* of the origin */

#endif
