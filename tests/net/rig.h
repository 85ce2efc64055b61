/* What the tests of net share: a loop with one stream on a socket pair, and a record of what its owner was told. */
#ifndef PENFOLD_TESTS_NET_RIG_H
#define PENFOLD_TESTS_NET_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/net.h"

struct rig {
	struct net_loop *loop;
	struct net_timer *timer;
	struct net_stream *stream;
	int peer;
	struct buffer seen;                                  /* what input() took */
	size_t (*take)(struct rig *rig, struct slice bytes); /* NULL: everything */
	unsigned inputs, drained, closed;
	int error;
};

extern const struct net_stream_events rig_events;
void rig_open(struct rig *rig, const struct net_stream_limits *limits); /* NULL: 4 KiB in, 64 KiB out, no times */
void rig_close(struct rig *rig);
void rig_run(struct rig *rig, uint64_t ms);
void rig_say(struct rig *rig, const char *text); /* the peer writes */
/* Everything the peer can read now, as text; at most 64 KiB. */
const char *rig_heard(struct rig *rig, char *text, size_t room);

#endif
