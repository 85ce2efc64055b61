#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "attacks.h"

static int make(int domain, int type, int protocol)
{
	return attack_result(syscall(SYS_socket, domain, type, protocol));
}

static int inet_stream(const struct attack_world *world)
{
	(void)world;
	return make(AF_INET, SOCK_STREAM, 0);
}

static int inet6_datagram(const struct attack_world *world)
{
	(void)world;
	return make(AF_INET6, SOCK_DGRAM, 0);
}

static int unix_stream(const struct attack_world *world)
{
	(void)world;
	return make(AF_UNIX, SOCK_STREAM, 0);
}

static int netlink(const struct attack_world *world)
{
	(void)world;
	return make(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static int packet(const struct attack_world *world)
{
	(void)world;
	return make(AF_PACKET, SOCK_RAW, 0);
}

static int raw(const struct attack_world *world)
{
	(void)world;
	return make(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int pair_of(int type, int pair[2])
{
	return attack_result(syscall(SYS_socketpair, AF_UNIX, type, 0, pair));
}

static int stream_pair(const struct attack_world *world)
{
	int pair[2];

	(void)world;
	return pair_of(SOCK_STREAM, pair);
}

/* A datagram socket of any origin can be pointed at whatever daemon listens on such a socket. */
static int datagram(const struct attack_world *world, int type)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int pair[2];
	int error = pair_of(type, pair);

	if (error)
		return error;
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", world->socket);
	error = attack_result(syscall(SYS_sendto, pair[0], "x", 1UL, 0, &to, sizeof(to)));
	(void)close(pair[0]);
	(void)close(pair[1]);
	return error;
}

static int datagram_to_daemon(const struct attack_world *world)
{
	return datagram(world, SOCK_DGRAM);
}

static int raw_datagram_to_daemon(const struct attack_world *world)
{
	return datagram(world, SOCK_RAW | SOCK_NONBLOCK);
}

static struct sockaddr_in somebody(const struct attack_world *world)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(world->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Shutting a listening socket down makes it one that can connect, and MSG_FASTOPEN connects without connect(2). */
static int fastopen_sendto(const struct attack_world *world)
{
	struct sockaddr_in to = somebody(world);

	(void)syscall(SYS_shutdown, world->listener, SHUT_RDWR);
	return attack_result(syscall(SYS_sendto, world->listener, "x", 1UL, MSG_FASTOPEN, &to, sizeof(to)));
}

static int fastopen_sendmsg(const struct attack_world *world)
{
	struct sockaddr_in to = somebody(world);
	struct iovec bytes = {(char[]){'x'}, 1};
	struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &bytes, .msg_iovlen = 1};

	(void)syscall(SYS_shutdown, world->listener, SHUT_RDWR);
	return attack_result(syscall(SYS_sendmsg, world->listener, &message, MSG_FASTOPEN));
}

/* The listening socket is shared: without it nobody gets in any more, also after this process has been replaced. */
static int stop_listening(const struct attack_world *world)
{
	return attack_result(syscall(SYS_shutdown, world->listener, SHUT_RDWR));
}

static int deafen_listener(const struct attack_world *world)
{
	struct sock_filter nothing = {BPF_RET | BPF_K, 0, 0, 0};
	struct sock_fprog program = {1, &nothing};

	return attack_result(syscall(
		SYS_setsockopt, world->listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, (socklen_t)sizeof(program)));
}

static int other_option(const struct attack_world *world)
{
	const int size = 1;

	return attack_result(
		syscall(SYS_setsockopt, world->stream, SOL_SOCKET, SO_SNDBUF, &size, (socklen_t)sizeof(size)));
}

/* Ends its own connection, to use the socket for another. */
static int reuse_stream(const struct attack_world *world)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	return attack_result(syscall(SYS_connect, world->stream, &none, sizeof(none)));
}

static int bind_again(const struct attack_world *world)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int pair[2];
	int error = pair_of(SOCK_STREAM, pair);

	(void)world;
	if (error)
		return error;
	error = attack_result(syscall(SYS_bind, pair[0], &name, sizeof(sa_family_t)));
	(void)close(pair[0]);
	(void)close(pair[1]);
	return error;
}

static int listen_more(const struct attack_world *world)
{
	return attack_result(syscall(SYS_listen, world->listener, 1));
}

static int many_messages(const struct attack_world *world)
{
	struct iovec bytes = {(char[]){'x'}, 1};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &bytes, .msg_iovlen = 1}};

	return attack_result(syscall(SYS_sendmmsg, world->stream, &message, 1, MSG_DONTWAIT));
}

const struct attack attacks_on_sockets[] = {
	{"socket-inet", ATTACK_BOTH, inet_stream},
	{"socket-inet6-datagram", ATTACK_BOTH, inet6_datagram},
	{"socket-unix", ATTACK_BOTH, unix_stream},
	{"socket-netlink", ATTACK_BOTH, netlink},
	{"socket-packet", ATTACK_BOTH, packet},
	{"socket-raw", ATTACK_BOTH, raw},
	{"socketpair", ATTACK_GATE, stream_pair},
	{"datagram-to-daemon", ATTACK_BOTH, datagram_to_daemon},
	{"raw-datagram-to-daemon", ATTACK_BOTH, raw_datagram_to_daemon},
	{"fastopen-sendto", ATTACK_BOTH, fastopen_sendto},
	{"fastopen-sendmsg", ATTACK_BOTH, fastopen_sendmsg},
	{"stop-listening", ATTACK_BOTH, stop_listening},
	{"deafen-listener", ATTACK_BOTH, deafen_listener},
	{"other-socket-option", ATTACK_BOTH, other_option},
	{"reuse-stream", ATTACK_BOTH, reuse_stream},
	{"bind", ATTACK_BOTH, bind_again},
	{"listen", ATTACK_BOTH, listen_more},
	{"sendmmsg", ATTACK_BOTH, many_messages},
	{NULL, 0, NULL},
};
