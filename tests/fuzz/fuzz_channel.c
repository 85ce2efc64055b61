/*
 * Both ends of a channel as a stranger's target. First byte 0 or 1: the rest is one message to or from core; what can be decoded means the same
 * after it was encoded again. Else: the rest is a gate's side of a whole channel, each message behind its length (le16; the highest bit
 * sends a descriptor along), and core answers by turns.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec.h"
#include "gate/message.h"
#include "gate/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_message(struct slice bytes, bool to_core)
{
	struct buffer once = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX), twice = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);
	struct gate_message message, again;

	if (gate_message_decode(bytes, to_core, &message) == 0) {
		gate_message_encode(&message, &once);
		CHECK(buffer_error(&once) == 0);
		CHECK(gate_message_decode(buffer_slice(&once), to_core, &again) == 0);
		gate_message_encode(&again, &twice);
		CHECK(slice_equal(buffer_slice(&once), buffer_slice(&twice)));
	}
	buffer_free(&once);
	buffer_free(&twice);
}

struct core {
	struct net_loop *loop;
	struct gate_peer *peer;
	struct net_task end;
	uint64_t through; /* the last exchange that was told OK */
	bool is_through;
};

static void answer(struct core *core, uint64_t id)
{
	if (id % 3 == 0) {
		gate_peer_challenge(core->peer, id, SLICE("challenge"));
	} else if (id % 3 == 1) {
		gate_peer_failed(core->peer, id, GATE_WRONG, SLICE(""));
	} else if (gate_peer_ok(core->peer, id, SLICE("final")) == 0) {
		core->through = id;
		core->is_through = true;
	}
}

static void on_start(void *owner, const struct gate_auth_start *start)
{
	answer(owner, start->id);
}

static void on_step(void *owner, uint64_t id, struct slice response)
{
	(void)response;
	answer(owner, id + id % 2); /* sometimes the wrong one */
}

static void on_cancel(void *owner, uint64_t id)
{
	(void)owner;
	(void)id;
}

static void on_handover(void *owner, const struct gate_handover *handover)
{
	struct core *core = owner;

	CHECK(core->is_through && handover->id <= core->through && handover->fd >= 0);
	(void)close(handover->fd);
}

static void on_closed(void *owner, const char *why)
{
	(void)why;
	gate_peer_free(&((struct core *)owner)->peer);
}

static void end(struct net_task *task)
{
	net_loop_stop(CONTAINER_OF(task, struct core, end)->loop);
}

static void run(struct core *core)
{
	core->end.run = end;
	net_loop_post(core->loop, &core->end);
	net_loop_run(core->loop);
}

static void fuzz_peer(struct slice bytes)
{
	static const struct gate_peer_events events = {on_start, on_step, on_cancel, on_handover, on_closed};
	const struct gate_mechanisms mechanisms = {SLICE("A"), SLICE("B"), SLICE("C"), SLICE("D")};
	struct core core = {NULL, NULL, {NULL, NULL}, 0, false};
	struct reader r = READER_INIT(bytes);
	int pair[2];

	CHECK(net_loop_new(&core.loop) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	CHECK(gate_peer_new(core.loop, pair[0], &mechanisms, &events, &core, &core.peer) == 0);
	for (int i = 0; i < 64 && r.rest.len && !r.error; i++) {
		uint16_t head = reader_le16(&r);
		struct slice message = reader_bytes(&r, MIN((size_t)(head & 0x7fff), r.rest.len));

		if (net_message_send(pair[1], message, &pair[1], head >> 15) == 0)
			run(&core);
	}
	(void)close(pair[1]);
	run(&core);
	gate_peer_free(&core.peer);
	net_loop_free(&core.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes;

	if (size < 1)
		return 0;
	bytes = slice_make(data + 1, size - 1);
	if (data[0] > 1)
		fuzz_peer(bytes);
	else
		fuzz_message(bytes, data[0] == 0);
	return 0;
}
