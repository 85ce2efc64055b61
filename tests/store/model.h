/*
 * A plain model of an account, changed beside the store, to compare with: arrays, no indexes, nothing clever.
 */
#ifndef PENFOLD_TESTS_STORE_MODEL_H
#define PENFOLD_TESTS_STORE_MODEL_H

#include "support.h"

enum { MODEL_MAILBOXES = 12, MODEL_MESSAGES = 4000 };

struct model_message {
	uint32_t uid;
	unsigned number; /* which message, see deliver_numbered() */
	unsigned flags;
	bool keyword; /* has $Model */
	uint64_t modseq;
	bool expunged;
	uint64_t expunged_modseq;
};
struct model_mailbox {
	bool used;
	char name[64];
	uint32_t uidnext;
	struct model_message messages[MODEL_MESSAGES];
	size_t count;
};
struct model {
	struct model_mailbox mailboxes[MODEL_MAILBOXES];
	uint64_t seed;
	unsigned next_number, next_name;
	uint64_t forgotten_modseq; /* expunges up to here may be forgotten */
	bool used_numbers[MODEL_MESSAGES * MODEL_MAILBOXES];
};

struct model *model_new(uint64_t seed, struct account *account);
unsigned model_random(struct model *m, unsigned below);
/* One random change to both. */
void model_step(struct model *m, struct account *account);
/* Everything there is to compare. */
void model_compare(struct model *m, struct account *account, bool with_bodies);

#endif
