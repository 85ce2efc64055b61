#include <arpa/inet.h>
#include <netinet/in.h>

#include "net/net.h"

/* The IPv4 address inside ::ffff:0:0/96, as a dual-stack listener shows it. */
static bool mapped_v4(const struct sockaddr_in6 *in6, struct in_addr *ret_v4)
{
	if (!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return false;
	memcpy(ret_v4, in6->sin6_addr.s6_addr + 12, sizeof(*ret_v4));
	return true;
}

static void put_v4(struct in_addr v4, in_port_t port, struct buffer *out)
{
	char text[INET_ADDRSTRLEN];

	(void)inet_ntop(AF_INET, &v4, text, sizeof(text));
	buffer_printf(out, "%s:%u", text, ntohs(port));
}

void net_address_text(const struct sockaddr_storage *address, struct buffer *out)
{
	char text[INET6_ADDRSTRLEN];
	struct sockaddr_in6 in6;
	struct in_addr v4;

	if (address->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		put_v4(in.sin_addr, in.sin_port, out);
		return;
	}
	if (address->ss_family != AF_INET6) {
		buffer_put_text(out, "unix");
		return;
	}
	memcpy(&in6, address, sizeof(in6));
	if (mapped_v4(&in6, &v4)) {
		put_v4(v4, in6.sin6_port, out);
		return;
	}
	(void)inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text));
	buffer_printf(out, "[%s]:%u", text, ntohs(in6.sin6_port));
}

static bool v4_is_loopback(struct in_addr v4)
{
	return ntohl(v4.s_addr) >> 24 == 127;
}

bool net_address_is_loopback(const struct sockaddr_storage *address)
{
	struct sockaddr_in6 in6;
	struct in_addr v4;

	if (address->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		return v4_is_loopback(in.sin_addr);
	}
	if (address->ss_family != AF_INET6)
		return address->ss_family == AF_UNIX;
	memcpy(&in6, address, sizeof(in6));
	return mapped_v4(&in6, &v4) ? v4_is_loopback(v4) : IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}
