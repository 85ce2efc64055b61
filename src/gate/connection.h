/*
 * Inside gate: the gate as its files see it, and one connection, from accept to hand-over (connection.c, login.c) and, over TLS, to its end
 * (relay.c).
 */
#ifndef PENFOLD_GATE_CONNECTION_H
#define PENFOLD_GATE_CONNECTION_H

#include "base/list.h"
#include "gate/addresses.h"
#include "gate/channel.h"
#include "gate/gate.h"
#include "gate/link.h"
#include "gate/peer.h"
#include "gate/prelogin.h"

enum {
	EXCHANGE_BUCKETS = 1024,
	CONNECTION_IN_MAX = PRELOGIN_COMMAND_MAX + 1024, /* so that too long a command is seen as such */
};

struct gate {
	const struct gate_settings *settings;
	struct net_loop *loop;
	struct tls *tls;
	struct gate_channel *channel;
	struct net_watch *control;
	struct arena *incoming; /* certificates that the supervisor is sending */
	struct gate_certificate *incoming_certificates;
	size_t incoming_count;
	struct net_listener *listeners[GATE_LISTENERS_MAX];
	struct listening { /* a listener's owner */
		struct gate *gate;
		const struct gate_listener *listener;
	} listening[GATE_LISTENERS_MAX];
	struct arena *hello; /* holds the texts of `mechanisms` */
	struct gate_mechanisms mechanisms;
	struct prelogin_site site;
	struct addresses addresses;
	struct list_node *connections;
	size_t connection_count;
	size_t room; /* as many connections as this process has descriptors for; no one is accepted beyond */
	bool full;
	struct net_timer *trim; /* see gate_memory_freed() */
	uint64_t trim_after_ms;
	unsigned freed;
	struct list_node *exchanges[EXCHANGE_BUCKETS]; /* logins that core knows of, by number */
	size_t exchange_count;
	struct list_node *line, **line_end; /* logins that wait for an exchange's end */
	uint64_t last_exchange;
	bool stopping;
	int status; /* of the process */
	char scratch[LINK_READ_MAX];
};

enum stage {
	STAGE_HANDSHAKE,
	STAGE_COMMANDS,
	STAGE_RELAY,
	STAGE_CLOSING, /* the last words are leaving */
};

/* What a connection needs until somebody has logged in. */
struct login {
	struct connection *connection;
	struct prelogin prelogin;
	struct buffer in;
	struct list_node exchange_node;
	uint64_t exchange; /* that core knows of; 0: none */
	bool in_line;      /* not yet: there are too many; `exchange_node` is in the gate's line */
	int relay_fd;      /* came with core's OK, or -1 */
	bool at_end;       /* the client sends no more */
	bool greets;       /* after the handshake */
	bool handing_over; /* as soon as what was written has left */
};

/* The way between a TLS client and its session in core. */
struct relay {
	int fd;
	struct net_watch *watch;
	int watched;
	struct buffer to_core; /* what core does not take yet */
	bool client_at_end, core_at_end;
	bool told_core; /* that the client is at its end */
};

struct connection {
	struct list_node node;
	struct gate *gate;
	struct address_count *address;
	struct link link;
	struct net_timer *timer; /* of the stage; in a relay only while the client takes nothing */
	struct login *login;     /* until STAGE_RELAY */
	struct relay relay;
	uint8_t stage; /* enum stage */
	uint8_t protocol;
	bool loopback;
};

/* gate.c */
void gate_connection_ended(struct gate *gate); /* a gate that is stopping may be done now */
void gate_memory_freed(struct gate *gate);     /* a handshake or a connection is over */

/* connection.c */
void connection_accept(
	struct gate *gate, const struct gate_listener *listener, int fd, const struct sockaddr_storage *peer);
void connection_free(struct connection *connection);
void connection_say_bye(struct connection *connection, const char *text); /* and closes when that has left */
/* Sends what was said and waits for what comes next. */
void connection_go_on(struct connection *connection);
void connection_close_when_sent(struct connection *connection);
void connection_start_tls(struct connection *connection);

/* login.c: what the client says, and what core says to it */
MUST_CHECK struct login *login_new(struct connection *connection);
void login_free(struct login **login); /* tells core when it still waits for something */
struct prelogin_transport login_transport(const struct connection *connection);
void login_read(struct connection *connection); /* bytes may have come, or there is a reason to look at them again */
void login_core_said(struct gate *gate, const struct gate_message *message, int fd);
void login_hand_over(struct connection *connection);
bool login_gave_up(struct connection *connection); /* time is up: had it waited for its turn? It was told, then */

/* relay.c */
void relay_start(struct connection *connection, int fd); /* owns `fd`; may free the connection */
void relay_go_on(struct connection *connection);         /* likewise */
void relay_clear(struct relay *relay);

#endif
