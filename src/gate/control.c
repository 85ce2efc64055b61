#include "gate/control.h"

#include <poll.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/codec.h"

/*
 * A message is one of these bytes, then what belongs to it. A set of certificates comes as BEGIN with their number (le32), a CERTIFICATE
 * each (chain and key, with their lengths), and COMMIT. LOG_LEVEL has the level in a byte.
 */
enum {
	CONTROL_STOP = 's',
	CONTROL_BEGIN = 'b',
	CONTROL_CERTIFICATE = 'c',
	CONTROL_COMMIT = 'e',
	CONTROL_LOG_LEVEL = 'l'
};

enum { SEND_PATIENCE_MS = 5000, SEND_RETRY_MS = 50 };

/* ---- The supervisor's end ---- */

static int send_patiently(int fd, struct slice message)
{
	int error;

	for (int waited = 0;; waited += SEND_RETRY_MS) {
		struct pollfd writable = {fd, POLLOUT, 0};

		error = net_message_send(fd, message, NULL, 0);
		if (error != -EAGAIN || waited >= SEND_PATIENCE_MS)
			return error;
		(void)poll(&writable, 1, SEND_RETRY_MS);
	}
}

int gate_control_certificates(int control_fd, const struct gate_certificate *certificates, size_t count)
{
	struct buffer message = BUFFER_INIT(NET_MESSAGE_MAX);
	int error;

	if (count > GATE_CERTIFICATES_MAX)
		return -ENOBUFS;
	buffer_put_byte(&message, CONTROL_BEGIN);
	buffer_put_le32(&message, (uint32_t)count);
	error = send_patiently(control_fd, buffer_slice(&message));
	for (size_t i = 0; i < count && !error; i++) {
		buffer_reset(&message);
		buffer_put_byte(&message, CONTROL_CERTIFICATE);
		buffer_put_sized(&message, certificates[i].chain);
		buffer_put_sized(&message, certificates[i].key);
		error = buffer_error(&message);
		if (!error)
			error = send_patiently(control_fd, buffer_slice(&message));
	}
	if (!error) {
		buffer_reset(&message);
		buffer_put_byte(&message, CONTROL_COMMIT);
		error = send_patiently(control_fd, buffer_slice(&message));
	}
	if (message.at)
		explicit_bzero(message.at, message.room);
	buffer_free(&message);
	return error;
}

int gate_control_log_level(int control_fd, enum log_level level)
{
	const char message[] = {CONTROL_LOG_LEVEL, (char)level};

	return send_patiently(control_fd, slice_make(message, sizeof(message)));
}

int gate_control_stop(int control_fd)
{
	const char stop = CONTROL_STOP;

	return send_patiently(control_fd, slice_make(&stop, 1));
}

/* ---- The gate's end ---- */

void control_clear(struct gate *gate)
{
	arena_free(&gate->incoming);
	gate->incoming_certificates = NULL;
	gate->incoming_count = 0;
}

static int begin(struct gate *gate, uint32_t count)
{
	int error;

	control_clear(gate);
	if (count > GATE_CERTIFICATES_MAX)
		return -EBADMSG;
	error = arena_new((size_t)(count + 1) * (GATE_PEM_BYTES_MAX + 1024), &gate->incoming);
	if (error)
		return error;
	gate->incoming_certificates = arena_zalloc(gate->incoming, count + 1, sizeof(struct gate_certificate));
	return gate->incoming_certificates ? 0 : -ENOMEM;
}

static int add(struct gate *gate, struct slice chain, struct slice key)
{
	struct gate_certificate *certificate;
	int error;

	if (!gate->incoming || gate->incoming_count >= GATE_CERTIFICATES_MAX)
		return -EBADMSG;
	certificate = &gate->incoming_certificates[gate->incoming_count];
	error = arena_copy(gate->incoming, chain, &certificate->chain);
	if (!error)
		error = arena_copy(gate->incoming, key, &certificate->key);
	if (!error)
		gate->incoming_count++;
	return error;
}

static int commit(struct gate *gate)
{
	struct buffer problem = BUFFER_INIT(512);
	int error;

	if (!gate->incoming)
		return -EBADMSG;
	error = tls_load(gate->tls, gate->incoming_certificates, gate->incoming_count, &problem);
	if (error)
		LOG(gate->settings->log, LOG_ERROR, "certificates-refused", {"detail", buffer_slice(&problem)});
	else
		LOG(gate->settings->log, LOG_INFO, "certificates-replaced");
	buffer_free(&problem);
	control_clear(gate);
	return 0;
}

static void stop(struct gate *gate)
{
	struct list_node *next;

	gate->stopping = true;
	for (size_t i = 0; i < gate->settings->listener_count; i++)
		net_listener_free(&gate->listeners[i]);
	for (struct list_node *node = gate->connections; node; node = next) {
		struct connection *connection = CONTAINER_OF(node, struct connection, node);

		next = node->next;
		if (connection->stage == STAGE_HANDSHAKE || connection->stage == STAGE_COMMANDS)
			connection_say_bye(connection, "The server is stopping");
	}
	if (gate->connection_count == 0)
		net_loop_stop(gate->loop);
}

static int set_log_level(struct gate *gate, unsigned level)
{
	if (level > LOG_ERROR)
		return -EBADMSG;
	if (gate->settings->log)
		log_set_level(gate->settings->log, (enum log_level)level);
	return 0;
}

static int take(struct gate *gate, struct slice message)
{
	struct reader r = READER_INIT(message);
	struct slice chain, key;
	uint32_t count;
	unsigned level;

	switch (reader_u8(&r)) {
	case CONTROL_STOP:
		stop(gate);
		return 0;
	case CONTROL_BEGIN:
		count = reader_le32(&r);
		return reader_finish(&r) ? -EBADMSG : begin(gate, count);
	case CONTROL_CERTIFICATE:
		chain = reader_sized(&r);
		key = reader_sized(&r);
		return reader_finish(&r) ? -EBADMSG : add(gate, chain, key);
	case CONTROL_COMMIT:
		return commit(gate);
	case CONTROL_LOG_LEVEL:
		level = reader_u8(&r);
		return reader_finish(&r) ? -EBADMSG : set_log_level(gate, level);
	default:
		return -EBADMSG;
	}
}

int control_read(struct gate *gate)
{
	struct buffer message = BUFFER_INIT(NET_MESSAGE_MAX);
	int fds[NET_DESCRIPTORS_MAX];
	size_t count = 0;
	int error;

	do {
		error = net_message_receive(gate->settings->control_fd, &message, fds, &count);
		for (size_t i = 0; !error && i < count; i++)
			(void)close(fds[i]);
		if (!error)
			error = take(gate, buffer_slice(&message));
	} while (!error);
	if (message.at)
		explicit_bzero(message.at, message.room);
	buffer_free(&message);
	return error == -EAGAIN ? 0 : error;
}
