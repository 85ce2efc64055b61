#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

#include "gate/peer.h"
#include "gate/selfsign.h"

/* ---- Core ---- */

struct session {
	struct world_core *core;
	struct net_stream *stream;
	struct session *next;
	uint64_t to_send, sent, received;
	bool closed;
};

struct world_core {
	struct net_loop *loop;
	struct gate_peer *peer;
	struct session *sessions;
	pthread_t thread;
	pthread_mutex_t lock; /* of `seen` */
	struct seen seen;
	struct net_task task;
};

static void pump(struct session *session)
{
	while (session->sent < session->to_send && !net_stream_is_full(session->stream)) {
		char byte = (char)('a' + session->sent % 23);

		net_stream_write(session->stream, slice_make(&byte, 1));
		session->sent++;
	}
}

static void answer(struct session *session, struct slice line)
{
	if (slice_starts(line, SLICE("QUIT"))) {
		net_stream_write(session->stream, SLICE("bye\r\n"));
		net_stream_finish(session->stream);
	} else if (slice_starts(line, SLICE("SEND "))) {
		assert_int_equal(slice_to_u64(slice_trim(slice_from(line, 5)), UINT32_MAX, &session->to_send), 0);
		session->sent = 0;
		pump(session);
	} else if (slice_starts(line, SLICE("COUNT"))) {
		buffer_printf(net_stream_out(session->stream), "%llu\r\n", (unsigned long long)session->received);
	} else if (line.at[0] != 'x' && line.at[0] != '\n') { /* the end of a long one, which was not kept */
		net_stream_write(session->stream, line);
	}
}

static size_t on_input(void *owner, struct slice bytes)
{
	struct session *session = owner;
	size_t end = slice_find_byte(bytes, '\n');

	if (end == SIZE_MAX) { /* a long line is only counted */
		size_t taken = bytes.len > 32000 ? bytes.len : 0;

		session->received += taken;
		return taken;
	}
	session->received += end + 1;
	answer(session, slice_first(bytes, end + 1));
	return end + 1;
}

static void on_drained(void *owner)
{
	pump(owner);
}

static void on_session_closed(void *owner, int error)
{
	struct session *session = owner;

	(void)error;
	net_stream_free(&session->stream);
}

static void on_handover(void *owner, const struct gate_handover *handover)
{
	static const struct net_stream_events events = {on_input, on_drained, on_session_closed};
	static const struct net_stream_limits limits = {65536, 131072, 0, 0};
	struct world_core *core = owner;
	struct session *session = calloc(1, sizeof(*session));
	struct slice rest = handover->pipelined;

	assert_non_null(session);
	session->core = core;
	session->next = core->sessions;
	core->sessions = session;
	assert_int_equal(net_stream_new(core->loop, handover->fd, &events, &limits, session, &session->stream), 0);
	buffer_printf(net_stream_out(session->stream), "%.*s OK Logged in\r\n", SLICE_ARG(handover->tag));
	while (rest.len) {
		size_t taken = on_input(session, rest);

		if (taken == 0)
			break;
		rest = slice_from(rest, taken);
	}
	(void)pthread_mutex_lock(&core->lock);
	core->seen.handovers++;
	core->seen.utf8 = handover->utf8;
	(void)pthread_mutex_unlock(&core->lock);
}

static void keep(char *to, size_t room, struct slice from)
{
	memset(to, 0, room);
	memcpy(to, from.at ? from.at : "", MIN(from.len, room - 1));
}

static void see_start(struct world_core *core, const struct gate_auth_start *start)
{
	struct seen *seen = &core->seen;

	(void)pthread_mutex_lock(&core->lock);
	seen->starts++;
	seen->tls = start->tls;
	seen->confidential = start->confidential;
	keep(seen->mechanism, sizeof(seen->mechanism), start->mechanism);
	keep(seen->peer, sizeof(seen->peer), start->peer);
	keep(seen->local, sizeof(seen->local), start->local);
	keep(seen->tls_text, sizeof(seen->tls_text), start->tls_text);
	keep(seen->client, sizeof(seen->client), start->client);
	keep(seen->exporter, sizeof(seen->exporter), start->tls_exporter);
	keep(seen->unique, sizeof(seen->unique), start->tls_unique);
	seen->exporter_len = start->tls_exporter.len;
	seen->unique_len = start->tls_unique.len;
	(void)pthread_mutex_unlock(&core->lock);
}

static void judge(struct world_core *core, uint64_t id, struct slice password)
{
	if (slice_equal(password, SLICE("secret")))
		assert_int_equal(gate_peer_ok(core->peer, id, SLICE("")), 0);
	else if (slice_equal(password, SLICE("later")))
		gate_peer_failed(core->peer, id, GATE_UNAVAILABLE, SLICE(""));
	else if (!slice_equal(password, SLICE("never")))
		gate_peer_failed(core->peer, id, GATE_WRONG, SLICE(""));
}

static void on_start(void *owner, const struct gate_auth_start *start)
{
	struct world_core *core = owner;
	size_t last = slice_find_last_byte(start->initial, '\0');

	see_start(core, start);
	if (slice_equal(start->mechanism, SLICE("LOGIN")))
		gate_peer_challenge(core->peer, start->id, SLICE("Username:"));
	else if (slice_equal(start->mechanism, SLICE("X-FINAL")))
		assert_int_equal(gate_peer_ok(core->peer, start->id, SLICE("done")), 0);
	else
		judge(core, start->id, last == SIZE_MAX ? SLICE("") : slice_from(start->initial, last + 1));
}

static void on_step(void *owner, uint64_t id, struct slice response)
{
	struct world_core *core = owner;

	if (slice_equal(response, SLICE("ann")))
		gate_peer_challenge(core->peer, id, SLICE("Password:"));
	else
		judge(core, id, response);
}

static void on_cancel(void *owner, uint64_t id)
{
	struct world_core *core = owner;

	(void)id;
	(void)pthread_mutex_lock(&core->lock);
	core->seen.cancels++;
	(void)pthread_mutex_unlock(&core->lock);
}

static void on_peer_closed(void *owner, const char *why)
{
	struct world_core *core = owner;

	if (why)
		(void)fprintf(stderr, "the gate broke a rule: %s\n", why);
	assert_null(why);
	gate_peer_free(&core->peer);
}

static void *run_core(void *argument)
{
	struct world_core *core = argument;
	struct session *session;

	net_loop_run(core->loop);
	gate_peer_free(&core->peer);
	while ((session = core->sessions)) {
		core->sessions = session->next;
		net_stream_free(&session->stream);
		free(session);
	}
	return NULL;
}

static void stop_core(struct net_task *task)
{
	net_loop_stop(CONTAINER_OF(task, struct world_core, task)->loop);
}

static void break_channel(struct net_task *task)
{
	gate_peer_free(&CONTAINER_OF(task, struct world_core, task)->peer);
}

static struct world_core *core_start(int channel)
{
	static const struct gate_peer_events events = {on_start, on_step, on_cancel, on_handover, on_peer_closed};
	const struct gate_mechanisms mechanisms = {SLICE("X-FINAL"), SLICE("X-FINAL PLAIN LOGIN"),
		SLICE("X-EXPORTER PLAIN LOGIN"), SLICE("X-UNIQUE PLAIN LOGIN")};
	struct world_core *core = calloc(1, sizeof(*core));

	assert_non_null(core);
	assert_int_equal(pthread_mutex_init(&core->lock, NULL), 0);
	assert_int_equal(net_loop_new(&core->loop), 0);
	assert_int_equal(gate_peer_new(core->loop, channel, &mechanisms, &events, core, &core->peer), 0);
	assert_int_equal(pthread_create(&core->thread, NULL, run_core, core), 0);
	return core;
}

static void core_end(struct world_core *core)
{
	core->task.run = stop_core;
	net_loop_post(core->loop, &core->task);
	assert_int_equal(pthread_join(core->thread, NULL), 0);
	net_loop_free(&core->loop);
	(void)pthread_mutex_destroy(&core->lock);
	free(core);
}

struct seen world_seen(struct world *world)
{
	struct seen seen;

	(void)pthread_mutex_lock(&world->core->lock);
	seen = world->core->seen;
	(void)pthread_mutex_unlock(&world->core->lock);
	return seen;
}

/* ---- The whole ---- */

void world_prepare(struct world *world)
{
	static const struct {
		enum gate_protocol protocol;
		bool tls;
	} kinds[WORLD_PORTS] = {{GATE_IMAP, false}, {GATE_IMAP, true}, {GATE_POP3, false}, {GATE_POP3, true}};
	static const char *const names[3] = {"one.example.org", "two.example.org", "*.wild.example.org"};

	*world = (struct world){.settings = gate_settings_default(), .control = -1};
	for (size_t i = 0; i < ARRAY_LEN(world->pems); i++)
		world->pems[i] = BUFFER_INIT(65536);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(gate_selfsign(slice_of(names[i]), &world->pems[2 * i], &world->pems[2 * i + 1]), 0);
		world->certificates[i] = (struct gate_certificate){
			buffer_slice(&world->pems[2 * i]), buffer_slice(&world->pems[2 * i + 1])};
	}
	for (size_t i = 0; i < WORLD_PORTS; i++) {
		world->listeners[i].protocol = kinds[i].protocol;
		world->listeners[i].tls = kinds[i].tls;
		assert_int_equal(net_bind_tcp(SLICE("127.0.0.1"), 0, &world->listeners[i].fd, &world->ports[i]), 0);
	}
	world->settings.listeners = world->listeners;
	world->settings.listener_count = WORLD_PORTS;
	world->settings.certificates = world->certificates;
	world->settings.certificate_count = 3;
	world->settings.hostname = SLICE("one.example.org");
}

void world_start(struct world *world)
{
	int channel[2], control[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
	world->settings.channel_fd = channel[1];
	world->settings.control_fd = control[1];
	world->gate = fork();
	assert_true(world->gate >= 0);
	if (world->gate == 0)
		_exit(gate_run(&world->settings));
	(void)close(channel[1]);
	(void)close(control[1]);
	world->control = control[0];
	world->core = core_start(channel[0]);
}

int world_wait(struct world *world)
{
	int status;

	assert_int_equal(waitpid(world->gate, &status, 0), world->gate);
	world->gate = 0;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void world_break_core(struct world *world)
{
	world->core->task.run = break_channel;
	net_loop_post(world->core->loop, &world->core->task);
}

void world_end(struct world *world)
{
	if (world->gate) {
		assert_int_equal(gate_control_stop(world->control), 0);
		assert_int_equal(world_wait(world), 0);
	}
	core_end(world->core);
	if (world->control >= 0)
		(void)close(world->control);
	for (size_t i = 0; i < WORLD_PORTS; i++)
		(void)close(world->listeners[i].fd);
	for (size_t i = 0; i < ARRAY_LEN(world->pems); i++)
		buffer_free(&world->pems[i]);
}

/* ---- Clients ---- */

struct client client_open(const struct world *world, int port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(world->ports[port]), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct client client = {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), NULL};
	const struct timeval patience = {20, 0};

	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	assert_true(client.fd >= 0);
	assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return client;
}

static void make_ssl(struct client *client, int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	assert_non_null(context);
	if (version) {
		(void)SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
		(void)SSL_CTX_set_min_proto_version(context, version);
		(void)SSL_CTX_set_max_proto_version(context, version);
	}
	client->ssl = SSL_new(context);
	SSL_CTX_free(context);
	assert_non_null(client->ssl);
	assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
}

bool client_tls(struct client *client, const char *server_name, int version, const char *alpn)
{
	make_ssl(client, version);
	if (server_name)
		(void)SSL_ctrl(client->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
			(void *)(uintptr_t)server_name);
	if (alpn)
		(void)SSL_set_alpn_protos(client->ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
	return SSL_connect(client->ssl) == 1;
}

bool client_tls_resumed(struct client *client, const struct client *former)
{
	SSL_SESSION *session = SSL_get1_session(former->ssl);

	assert_non_null(session);
	make_ssl(client, TLS1_2_VERSION);
	assert_int_equal(SSL_set_session(client->ssl, session), 1);
	SSL_SESSION_free(session);
	return SSL_connect(client->ssl) == 1 && SSL_session_reused(client->ssl);
}

bool client_renegotiate(struct client *client)
{
	return SSL_renegotiate(client->ssl) == 1 && SSL_do_handshake(client->ssl) == 1;
}

size_t client_read(struct client *client, char *bytes, size_t len)
{
	size_t got = 0;

	while (got < len) {
		size_t some = 0;
		ssize_t plain;

		if (client->ssl) {
			if (SSL_read_ex(client->ssl, bytes + got, len - got, &some) != 1)
				break;
			got += some;
			continue;
		}
		plain = recv(client->fd, bytes + got, len - got, 0);
		if (plain <= 0)
			break;
		got += (size_t)plain;
	}
	return got;
}

void client_write(struct client *client, const char *bytes, size_t len)
{
	size_t done;

	if (client->ssl)
		assert_int_equal(SSL_write_ex(client->ssl, bytes, len, &done), 1);
	else
		assert_int_equal(send(client->fd, bytes, len, MSG_NOSIGNAL), len);
}

void client_say(struct client *client, const char *text)
{
	client_write(client, text, strlen(text));
}

void client_expect(struct client *client, const char *start_of_line)
{
	char line[1000] = "";
	size_t len = 0;

	while (len < sizeof(line) - 1 && client_read(client, line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
	if (strncmp(line, start_of_line, strlen(start_of_line)) != 0)
		fail_msg("\n   expected: %s\n   got:      %s", start_of_line, line);
}

void client_expect_end(struct client *client)
{
	char byte;

	assert_int_equal(client_read(client, &byte, 1), 0);
}

void client_end_writing(struct client *client)
{
	if (client->ssl)
		(void)SSL_shutdown(client->ssl);
	else
		(void)shutdown(client->fd, SHUT_WR);
}

void client_close(struct client *client)
{
	SSL_free(client->ssl);
	client->ssl = NULL;
	(void)close(client->fd);
}

const char *client_certificate_name(struct client *client, char *name, size_t len)
{
	X509 *certificate = SSL_get0_peer_certificate(client->ssl);

	assert_non_null(certificate);
	(void)X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, (int)len);
	return name;
}

void client_binding(struct client *client, char exporter[32], char unique[64], size_t *ret_unique_len)
{
	static const char label[] = "EXPORTER-Channel-Binding";

	*ret_unique_len = SSL_session_reused(client->ssl) ? SSL_get_peer_finished(client->ssl, unique, 64)
							  : SSL_get_finished(client->ssl, unique, 64);
	assert_int_equal(SSL_export_keying_material(
				 client->ssl, (unsigned char *)exporter, 32, label, sizeof(label) - 1, NULL, 0, 1),
		1);
}
