/* A gate, as the supervisor starts it and talks to it. */
#include <unistd.h>

#include "gate/gate.h"
#include "server/server.h"

static size_t fill_listeners(const struct server *server, struct gate_listener *listeners)
{
	static const struct {
		enum gate_protocol protocol;
		bool tls;
	} kinds[] = {[LISTEN_IMAP] = {GATE_IMAP, false},
		[LISTEN_IMAPS] = {GATE_IMAP, true},
		[LISTEN_POP3] = {GATE_POP3, false},
		[LISTEN_POP3S] = {GATE_POP3, true}};
	size_t count = 0;

	for (size_t i = 0; i < server->listening_count; i++) {
		enum listen_kind kind = server->listening[i].kind;

		if (kind != LISTEN_LMTP)
			listeners[count++] =
				(struct gate_listener){server->listening[i].fd, kinds[kind].protocol, kinds[kind].tls};
	}
	return count;
}

static void fill_certificates(const struct server_pem *pems, size_t count, struct gate_certificate *certificates)
{
	for (size_t i = 0; i < count; i++)
		certificates[i] = (struct gate_certificate){pems[i].chain, pems[i].key};
}

int gate_child_run(struct server *server, int control_fd, int channel_fd)
{
	struct gate_settings settings = gate_settings_default();
	struct gate_listener listeners[CONFIG_LISTENERS_MAX];
	struct gate_certificate certificates[CONFIG_CERTIFICATES_MAX];
	struct log *log = NULL;

	/* A gate keeps no descriptor but the standard ones and its own: its log goes to standard error, wherever ours goes. */
	if (dup2(server->log_fd, STDERR_FILENO) < 0 || log_new(STDERR_FILENO, server->config.log_level, &log))
		return 1;
	server_name_process("penfold-gate");
	settings.listeners = listeners;
	settings.listener_count = fill_listeners(server, listeners);
	fill_certificates(server->pems, server->pem_count, certificates);
	settings.certificates = certificates;
	settings.certificate_count = server->pem_count;
	settings.channel_fd = channel_fd;
	settings.control_fd = control_fd;
	settings.hostname = server->config.hostname;
	settings.log = log;
	settings.connections_max = server->config.connections_max;
	settings.connections_per_address_max = server->config.connections_per_address;
	settings.pop3_login_delay_s = (unsigned)server->config.pop3_login_delay_s;
	settings.require_sandbox = server->config.require_sandbox;
	return gate_run(&settings);
}

int server_check_certificate(const struct server_pem *pem, struct buffer *problem)
{
	const struct gate_certificate certificate = {pem->chain, pem->key};

	return gate_certificates_check(&certificate, 1, problem);
}

int gate_send_certificates(int control_fd, const struct server_pem *pems, size_t count)
{
	struct gate_certificate certificates[CONFIG_CERTIFICATES_MAX];

	fill_certificates(pems, count, certificates);
	return gate_control_certificates(control_fd, certificates, count);
}

int gate_send_log_level(int control_fd, enum log_level level)
{
	return gate_control_log_level(control_fd, level);
}

int gate_send_stop(int control_fd)
{
	return gate_control_stop(control_fd);
}
