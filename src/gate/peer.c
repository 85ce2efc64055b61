#include "gate/peer.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/list.h"
#include "gate/channel.h"

enum {
	BUCKETS = 1024,
	DESCRIPTORS_KEPT = 512,      /* for the store's files, and for logins that are through already; */
	DESCRIPTORS_KEPT_SHARE = 10, /* but no more than a tenth of all */
};

enum turn {
	TURN_CORE,     /* the owner has to answer */
	TURN_GATE,     /* it was challenged */
	TURN_HANDOVER, /* it is through */
};

struct exchange {
	struct list_node node;
	uint64_t id;
	enum gate_protocol protocol;
	enum turn turn;
	bool tls;
	int relay; /* our end, for TLS, when it is through; or -1 */
};

struct gate_peer {
	struct gate_channel *channel;
	const struct gate_peer_events *events;
	void *owner;
	struct list_node *buckets[BUCKETS];
	size_t open;
	uint64_t last_id;
	const char *broken;     /* the rule */
	size_t descriptors_max; /* that sessions may leave in use */
};

/* ---- Exchanges ---- */

static struct exchange *exchange_find(struct gate_peer *peer, uint64_t id)
{
	for (struct list_node *node = peer->buckets[id % BUCKETS]; node; node = node->next) {
		struct exchange *exchange = CONTAINER_OF(node, struct exchange, node);

		if (exchange->id == id)
			return exchange;
	}
	return NULL;
}

static void exchange_free(struct gate_peer *peer, struct exchange *exchange)
{
	list_remove(&exchange->node);
	peer->open--;
	if (exchange->relay >= 0)
		(void)close(exchange->relay);
	free(exchange);
}

static void break_off(struct gate_peer *peer, const char *rule)
{
	if (!peer->broken)
		peer->broken = rule;
	gate_channel_break(peer->channel, -EPROTO);
}

static struct exchange *exchange_add(struct gate_peer *peer, const struct gate_message *message)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->id = message->id;
	exchange->protocol = (enum gate_protocol)message->number;
	exchange->tls = message->flags & GATE_FLAG_TLS;
	exchange->turn = TURN_CORE;
	exchange->relay = -1;
	list_add(&peer->buckets[message->id % BUCKETS], &exchange->node);
	peer->open++;
	peer->last_id = message->id;
	return exchange;
}

/* ---- What the gate says ---- */

static bool is_printable(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] < ' ' || text.at[i] > '~')
			return false;
	return true;
}

static void take_start(struct gate_peer *peer, const struct gate_message *message)
{
	struct gate_auth_start start = {
		.id = message->id,
		.protocol = (enum gate_protocol)message->number,
		.mechanism = message->mechanism,
		.has_initial = message->flags & GATE_FLAG_INITIAL,
		.initial = message->sasl,
		.peer = message->peer,
		.local = message->local,
		.tls = message->flags & GATE_FLAG_TLS,
		.confidential = message->flags & GATE_FLAG_CONFIDENTIAL,
		.tls_text = message->tls_text,
		.tls_exporter = message->tls_exporter,
		.tls_unique = message->tls_unique,
		.client = message->client,
	};

	if (message->id <= peer->last_id)
		break_off(peer, "an exchange's number was used before");
	else if (peer->open >= GATE_EXCHANGES_MAX)
		break_off(peer, "too many exchanges");
	else if (!is_printable(message->mechanism) || !is_printable(message->peer) || !is_printable(message->local) ||
		 !is_printable(message->tls_text) || !is_printable(message->client))
		break_off(peer, "a text is not printable");
	else if (start.tls && !start.confidential)
		break_off(peer, "TLS that is not confidential");
	else if (!exchange_add(peer, message))
		break_off(peer, "out of memory");
	else
		peer->events->auth_start(peer->owner, &start);
}

static void take_step(struct gate_peer *peer, const struct gate_message *message)
{
	struct exchange *exchange = exchange_find(peer, message->id);

	if (!exchange || exchange->turn != TURN_GATE) {
		break_off(peer, "a step out of turn");
		return;
	}
	exchange->turn = TURN_CORE;
	peer->events->auth_step(peer->owner, message->id, message->sasl);
}

/* It may cross our answer that ended the exchange, so an unknown number is nothing odd. */
static void take_cancel(struct gate_peer *peer, const struct gate_message *message)
{
	struct exchange *exchange = exchange_find(peer, message->id);

	if (message->id > peer->last_id)
		break_off(peer, "a cancel before the start");
	if (!exchange)
		return;
	exchange_free(peer, exchange);
	peer->events->auth_cancel(peer->owner, message->id);
}

/* A listening socket, a channel or a file would be read and written in the name of an account just as well. */
static bool is_client(int fd)
{
	int type = 0, listens = 1;
	socklen_t size = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM)
		return false;
	size = sizeof(listens);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && !listens;
}

static void take_handover(struct gate_peer *peer, const struct gate_message *message, int *fd)
{
	struct exchange *exchange = exchange_find(peer, message->id);
	struct gate_handover handover = {.id = message->id,
		.utf8 = message->flags & GATE_FLAG_UTF8,
		.tag = message->tag,
		.pipelined = message->pipelined};

	if (!exchange || exchange->turn != TURN_HANDOVER) {
		break_off(peer, "a hand-over of a login that is not through");
		return;
	}
	if (exchange->tls ? *fd != -1 : *fd != GATE_FD_LOST && !is_client(*fd)) {
		break_off(peer, "a hand-over with the wrong descriptor");
		return;
	}
	if (!is_printable(message->tag)) {
		break_off(peer, "a text is not printable");
		return;
	}
	handover.protocol = exchange->protocol;
	handover.tls = exchange->tls;
	handover.fd = exchange->tls ? exchange->relay : MAX(*fd, -1);
	exchange->relay = -1;
	*fd = -1;
	exchange_free(peer, exchange);
	peer->events->handover(peer->owner, &handover);
}

static void on_message(void *owner, const struct gate_message *message, int fd)
{
	struct gate_peer *peer = owner;

	if (fd != -1 && message->kind != GATE_HANDOVER) {
		break_off(peer, "a descriptor that nobody asked for");
	} else {
		switch ((int)message->kind) {
		case GATE_AUTH_START:
			take_start(peer, message);
			break;
		case GATE_AUTH_STEP:
			take_step(peer, message);
			break;
		case GATE_AUTH_CANCEL:
			take_cancel(peer, message);
			break;
		default: /* the decoder lets only these four through */
			take_handover(peer, message, &fd);
			break;
		}
	}
	if (fd >= 0)
		(void)close(fd);
}

static void on_closed(void *owner, int error)
{
	struct gate_peer *peer = owner;
	const char *why = peer->broken;

	if (!why && error == -EBADMSG)
		why = "a malformed message";
	else if (!why && error == -ENOBUFS)
		why = "it does not take its answers";
	peer->events->closed(peer->owner, why);
}

/* ---- What core says ---- */

static struct exchange *exchange_to_answer(struct gate_peer *peer, uint64_t id)
{
	struct exchange *exchange = exchange_find(peer, id);

	return exchange && exchange->turn == TURN_CORE ? exchange : NULL;
}

void gate_peer_challenge(struct gate_peer *peer, uint64_t id, struct slice challenge)
{
	struct exchange *exchange = exchange_to_answer(peer, id);
	struct gate_message message = {.kind = GATE_CHALLENGE, .id = id, .sasl = challenge};

	if (!exchange)
		return;
	exchange->turn = TURN_GATE;
	gate_channel_send(peer->channel, &message, -1);
}

void gate_peer_failed(struct gate_peer *peer, uint64_t id, enum gate_failure failure, struct slice text)
{
	struct exchange *exchange = exchange_to_answer(peer, id);
	struct gate_message message = {
		.kind = GATE_FAILED, .id = id, .number = failure, .text = slice_first(text, GATE_TEXT_MAX)};

	if (!exchange)
		return;
	exchange_free(peer, exchange);
	gate_channel_send(peer->channel, &message, -1);
}

/* The lowest that is free says how many there are. Who lets them all go to sessions can open none of the files that these read. */
static bool descriptors_are_short(const struct gate_peer *peer)
{
	int lowest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	if (lowest >= 0)
		(void)close(lowest);
	return lowest < 0 ? errno == EMFILE : (size_t)lowest >= peer->descriptors_max;
}

int gate_peer_ok(struct gate_peer *peer, uint64_t id, struct slice final)
{
	struct exchange *exchange = exchange_to_answer(peer, id);
	struct gate_message message = {.kind = GATE_OK, .id = id, .sasl = final};
	int pair[2] = {-1, -1};
	int error = 0;

	if (!exchange)
		return -ENOENT;
	if (descriptors_are_short(peer))
		error = -EMFILE;
	else if (exchange->tls && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		error = -errno;
	if (error) {
		gate_peer_failed(peer, id, GATE_UNAVAILABLE, SLICE(""));
		return error;
	}
	exchange->relay = pair[0];
	exchange->turn = TURN_HANDOVER;
	gate_channel_send(peer->channel, &message, pair[1]);
	return 0;
}

/* ---- Life ---- */

int gate_peer_new(struct net_loop *loop, int fd, const struct gate_mechanisms *mechanisms,
	const struct gate_peer_events *events, void *owner, struct gate_peer **ret_peer)
{
	static const struct gate_channel_events channel_events = {on_message, on_closed};
	size_t descriptors = net_descriptors_max();
	struct gate_peer *peer = calloc(1, sizeof(*peer));
	struct gate_message hello = {.kind = GATE_HELLO, .mechanisms = *mechanisms};
	int error;

	if (!peer)
		return -ENOMEM;
	peer->events = events;
	peer->owner = owner;
	peer->descriptors_max = descriptors - MIN((size_t)DESCRIPTORS_KEPT, descriptors / DESCRIPTORS_KEPT_SHARE);
	error = gate_channel_new(loop, fd, true, &channel_events, peer, &peer->channel);
	if (error) {
		free(peer);
		return error;
	}
	gate_channel_send(peer->channel, &hello, -1);
	*ret_peer = peer;
	return 0;
}

void gate_peer_free(struct gate_peer **peer_at)
{
	struct gate_peer *peer = *peer_at;

	if (!peer)
		return;
	*peer_at = NULL;
	for (size_t i = 0; i < BUCKETS; i++)
		while (peer->buckets[i])
			exchange_free(peer, CONTAINER_OF(peer->buckets[i], struct exchange, node));
	gate_channel_free(&peer->channel);
	free(peer);
}
