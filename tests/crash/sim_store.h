/*
 * A whole store on simulated files, threads and time, beside a plain model of what it has to hold.
 *
 * Every record that the store appends is seen here before anybody can know of it: the model is changed at that very moment, so it knows by
 * number what each record means. What a change brings is worked out in the model beforehand, in `next`; of the record only ids are taken
 * that nobody can foresee. Anything that is not as it must be ends the process with a word on standard error.
 */
#ifndef PENFOLD_TESTS_SIM_STORE_H
#define PENFOLD_TESTS_SIM_STORE_H

#include "plain.h"
#include "sim_index.h"
#include "sim_threads.h"
#include "store/directory.h"
#include "store/email.h"
#include "store/engine.h"

/* The store's own check, and making its index anew: while it serves, and while nobody has it open. */
enum { SIM_CHECK_SERVING, SIM_REMAKE_SERVING, SIM_CHECK_CLOSED, SIM_REMAKE_CLOSED, SIM_CHECKS };

/* What a run came by: a test that has not been there proves nothing. */
struct sim_seen {
	uint64_t cuts, restarts, cuts_recovering, cuts_recovering_again, opened, rebuilt, lost_indexes, clean_ends;
	uint64_t lost_changes, kept_changes; /* that nobody was promised */
	uint64_t records[RECORD_SNAPSHOT_END + 1], ops[OP_KINDS];
	uint64_t records_cut[RECORD_SNAPSHOT_END + 1], ops_cut[OP_KINDS]; /* not durable when a cut came */
	uint64_t records_failed[RECORD_SNAPSHOT_END + 1]; /* not durable when the store failed of a fault */
	uint64_t drops, recycled, failures, refused;
	uint64_t searched, searched_by_index;
	uint64_t checks[SIM_CHECKS], checks_cut[SIM_CHECKS],
		checks_failed[SIM_CHECKS]; /* whole, cut, come upon a fault */
};

struct sim_store {
	uint64_t seed;
	uint64_t random;
	unsigned round; /* how often it was opened, or tried */
	char dir[64];
	struct sim_files *files;
	struct sim_index *index;
	struct sim_threads *threads;
	struct plain *plain;
	struct clock_source clock;
	int64_t skew_ms;
	uint64_t clock_random;
	struct store_settings settings;
	struct store *store; /* NULL: not open */
	struct durability tap;
	struct durability *log;      /* the real one behind it */
	uint64_t promised, appended; /* numbers of records */
	bool failed;                 /* the store said so */
	bool faults;                 /* errors are injected: any call may fail */
	/* The change at hand. */
	struct plain_account next;
	struct plain_directory next_directory;
	unsigned which;
	bool changing, committed;
	uint32_t numbers;  /* of messages so far */
	unsigned checking; /* SIM_CHECK_SERVING, SIM_REMAKE_SERVING: at work beside all else; SIM_CHECKS: none */
	struct sim_seen *seen;
	/* Kinds of records that are not durable: number, kind, operations. */
	struct {
		uint64_t seq;
		unsigned kind, ops;
	} open_records[4096];
	unsigned open_count;
	bool verbose;
};

struct sim_store *sim_store_new(const char *tmpfs, struct sim_seen *seen);
void sim_store_free(struct sim_store **sim);
void sim_store_reset(struct sim_store *sim, uint64_t seed);
uint64_t sim_chance(struct sim_store *sim, uint64_t of);
NORETURN void sim_wrong(struct sim_store *sim, const char *format, ...) PRINTF_LIKE(2, 3);
void sim_say(struct sim_store *sim, const char *format, ...) PRINTF_LIKE(2, 3); /* when verbose */

/* Opens it and lets the model know what has survived. Not 0: only because of a cut or a fault. */
MUST_CHECK int sim_open(struct sim_store *sim);
void sim_open_surely(struct sim_store *sim); /* nothing is to come in between */
void sim_close(struct sim_store *sim);
bool sim_is_over(const struct sim_store *sim); /* cut, or failed: nothing counts any more */
/* What is on the simulated disk afterwards: all that was written, or what a power cut leaves. */
void sim_crash(struct sim_store *sim, bool power_cut);
void sim_lose_index(struct sim_store *sim);

/* A change: `next` is a copy to be changed; then the store is, and then it is seen whether both agree that there was one. */
struct plain_account *sim_change(struct sim_store *sim, unsigned which);
void sim_changed(struct sim_store *sim, int error, bool expected, const char *what);

/* sim_message.c: what message `number` contains. With this bit in their numbers, many are large. */
enum { SIM_HEAVY = 1 << 20 };
void sim_message(uint32_t number, struct buffer *out);
uint64_t sim_message_bytes(uint32_t number);
bool sim_message_is_small(uint32_t number);

/* sim_work.c */
void sim_begin(struct sim_store *sim);   /* domain and first account */
void sim_learn(struct sim_store *sim);   /* of some seeds: so many small messages that a dictionary is made of them */
void sim_abandon(struct sim_store *sim); /* a large message is taken in, and never delivered */
void sim_work(struct sim_store *sim, unsigned steps);
void sim_keep_house(struct sim_store *sim); /* retention passes, everything is compacted */
/* sim_compare.c: everything there is to compare. `thorough`: every body, every MODSEQ. */
void sim_compare(struct sim_store *sim, bool thorough);
/* sim_check.c: the store's own check, that must find nothing */
void sim_check_begin(struct sim_store *sim); /* beside all else */
void sim_check_watch(struct sim_store *sim); /* how far it is */
void sim_check_ends(struct sim_store *sim);  /* the store is about to be closed */
/* While closed. False: a cut came; only if that may be. */
bool sim_check_closed(struct sim_store *sim, bool may_be_cut);
/* sim_search.c: one by chance, where the store has a search index */
void sim_search(struct sim_store *sim, struct mailbox *mailbox);

extern const char *const sim_addresses[PLAIN_ACCOUNTS];
extern const char *const sim_domains[PLAIN_DOMAINS];
extern const char *const sim_aliases[PLAIN_ALIASES];
extern const char *const sim_keywords[PLAIN_KEYWORDS];

#endif
