/*
 * What code that a stranger has brought into a process would try there: one attempt each, straight at the kernel. An attempt that gets what it
 * wants gives 0, else the errno it was told; the walls may also kill the process. Used by test_walls.c, with and without the walls, and by the
 * hostile program (hostile.c).
 */
#ifndef PENFOLD_ATTACKS_H
#define PENFOLD_ATTACKS_H

#include <stdint.h>
#include <sys/types.h>

struct attack_world {
	pid_t other;         /* another process of the same program and user */
	int listener;        /* a listening TCP socket that this process holds, or -1 */
	int stream;          /* a connection it holds, or -1 */
	uint16_t port;       /* where somebody listens on 127.0.0.1 */
	const char *outside; /* a folder that is none of this process' business, absolute */
	const char *socket;  /* a datagram socket of another process lies there, or NULL */
};

enum {
	ATTACK_GATE = 1, /* a gate must not get through with it */
	ATTACK_CORE = 2, /* core must not */
	ATTACK_BOTH = 3,
};

struct attack {
	const char *name;
	unsigned walls;
	int (*run)(const struct attack_world *world);
};

/* Each table ends with a name that is NULL. */
extern const struct attack attacks_on_files[], attacks_on_sockets[], attacks_on_processes[], attacks_on_kernel[];
extern const struct attack *const attack_tables[4];

const struct attack *attack_find(const char *name);

/* The same place in every process of the program, which are forked from one another. */
extern char attack_secret[16];

int attack_result(long returned); /* of a system call: 0 or errno */

#endif
