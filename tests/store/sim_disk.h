/*
 * A log on a simulated disk beside a model of what it must hold: for the crash tests.
 *
 * The model knows each record by its number: what it contains, and in which segment it was last seen. Checking a recovered log against
 * it is the proof: what was promised is there, byte for byte, once, in order; what was not promised is there up to some record
 * and not after it.
 */
#ifndef PENFOLD_TESTS_SIM_DISK_H
#define PENFOLD_TESTS_SIM_DISK_H

#include <stdatomic.h>

#include "sim_files.h"
#include "store/disk/disk.h"

enum { SIM_RECORDS_MAX = 16384, SIM_SEGMENTS_MAX = 4096 };

struct sim_record {
	struct record record; /* lent to the log */
	uint32_t bytes;
	uint64_t content; /* what its payload is made from; 0: no such record */
};

struct sim_disk {
	struct sim_files *files;
	struct durability *log; /* NULL: not open */
	uint64_t random;
	struct sim_record *records[SIM_RECORDS_MAX]; /* by number */
	_Atomic uint64_t promised;                   /* all up to here must be there for ever */
	uint64_t last;                               /* newest number given out */
	uint64_t contents;
	_Atomic bool failed;
	/* Segments that were dropped: 1: maybe, 2: surely. */
	unsigned char dropped[SIM_SEGMENTS_MAX];
	_Atomic uint64_t notices, wrong;
	uint64_t seen;
	unsigned spares;
	bool small_reserve; /* for appends */
};

struct sim_disk *sim_disk_new(uint64_t seed);
void sim_disk_reset(struct sim_disk *world, uint64_t seed); /* as if new */
void sim_disk_free(struct sim_disk **world);
uint64_t sim_disk_chance(struct sim_disk *world, uint64_t of);
/* Opens and checks everything against the model. 0, or the error; then it is closed again. */
int sim_disk_open(struct sim_disk *world);
void sim_disk_close(struct sim_disk *world);
/* Appends a record of so many bytes. */
int sim_disk_append(struct sim_disk *world, uint32_t bytes);
/* Reads a record that was appended back and compares. */
int sim_disk_read(struct sim_disk *world, uint64_t seq);
/* Some random work: appends, waits, reads, drops. The first error. */
int sim_disk_work(struct sim_disk *world, unsigned steps);

#endif
