#include <sys/resource.h>
#include <unistd.h>

#include "net/net.h"

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(NET_DESCRIPTORS_MAX * sizeof(int))];
};

int net_message_send(int fd, struct slice bytes, const int *fds, size_t fd_count)
{
	union control control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes.at, bytes.len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	/* An empty message could not be told from the end. */
	if (bytes.len == 0 || bytes.len > NET_MESSAGE_MAX || fd_count > NET_DESCRIPTORS_MAX)
		return -EINVAL;
	if (fd_count) {
		struct cmsghdr *header;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
	}
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

/* What came along, also from a peer that sends several blocks of it. */
static size_t take_descriptors(struct msghdr *message, int *fds)
{
	size_t count = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		size_t some;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		some = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		some = MIN(some, NET_DESCRIPTORS_MAX - count); /* the control buffer has no room for more */
		memcpy(fds + count, CMSG_DATA(header), some * sizeof(int));
		count += some;
	}
	return count;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
}

int net_message_receive(int fd, struct buffer *bytes, int *ret_fds, size_t *ret_fd_count)
{
	union control control;
	struct iovec iov;
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes};
	int fds[NET_DESCRIPTORS_MAX];
	size_t count;
	ssize_t got;

	buffer_reset(bytes);
	message.msg_controllen = sizeof(control.bytes);
	iov.iov_len = MIN(bytes->max, (size_t)NET_MESSAGE_MAX);
	iov.iov_base = buffer_room(bytes, iov.iov_len);
	if (!iov.iov_base)
		return -ENOMEM;
	do
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	count = take_descriptors(&message, fds);
	if (got == 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		close_all(fds, count);
	if (got == 0)
		return -EPIPE;
	if (message.msg_flags & MSG_TRUNC)
		return -EBADMSG;
	buffer_added(bytes, (size_t)got);
	if (message.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	memcpy(ret_fds, fds, count * sizeof(int));
	*ret_fd_count = count;
	return 0;
}

size_t net_descriptors_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return limit.rlim_cur;
}
