/*
 * A channel: messages both ways over a SOCK_SEQPACKET socket, at most one descriptor with each. What the kernel does not take at
 * once waits in a bounded queue. Used by both ends; knows nothing of what the messages say beyond their form.
 */
#ifndef PENFOLD_GATE_CHANNEL_H
#define PENFOLD_GATE_CHANNEL_H

#include "gate/message.h"
#include "net/net.h"

enum { GATE_FD_LOST = -2 }; /* one was sent, but this process may have no more */

struct gate_channel;
struct gate_channel_events {
	/* `fd` is -1, GATE_FD_LOST, or the receiver's from now on. May free the channel. */
	void (*message)(void *owner, const struct gate_message *message, int fd);
	/*
	 * The channel is over: -EPIPE the other end is gone, -EBADMSG it sent something malformed, -ENOBUFS it does not read what it is
	 * sent. Called once, from the loop. May free the channel.
	 */
	void (*closed)(void *owner, int error);
};
/* Owns `fd` on success. `to_core` says which kinds come in. */
MUST_CHECK int gate_channel_new(struct net_loop *loop, int fd, bool to_core, const struct gate_channel_events *events,
	void *owner, struct gate_channel **ret_channel);
void gate_channel_free(struct gate_channel **channel);

/* Sends, in order. `fd` (or -1) is duplicated to the other end and closed here, whatever happens. Errors come by closed(). */
void gate_channel_send(struct gate_channel *channel, const struct gate_message *message, int fd);
/* Ends the channel: closed(error) comes in the next turn of the loop, nothing else any more. */
void gate_channel_break(struct gate_channel *channel, int error);

#endif
