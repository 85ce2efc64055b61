/* Reading a mailbox that holds messages `first` ... in their order: every message must be answered once, and be the right one. */
#include "workloads.h"

#define WARM_NS 500000000ULL

struct fetch {
	struct imap imap;
	const char *items;
	/* NULL when right. `number`: of the message, counted from 0. */
	const char *(*check)(struct fetch *fetch, const struct imap_response *response, uint64_t number);
	unsigned char *seen; /* one for each message */
	uint64_t messages, bytes;
	struct buffer *subjects; /* of each message: subject, NUL, Message-ID, NUL */
	size_t *subject_at;
};

static const char *check_flags(struct fetch *fetch, const struct imap_response *response, uint64_t number)
{
	(void)fetch;
	(void)number;
	return slice_find(response->text, SLICE("FLAGS (")) == SIZE_MAX ? "no FLAGS" : NULL;
}

static bool has(struct slice text, const char *what)
{
	return slice_find(text, slice_of(what)) != SIZE_MAX;
}

static const char *check_envelope(struct fetch *fetch, const struct imap_response *response, uint64_t number)
{
	const char *subject = fetch->subjects->at + fetch->subject_at[number];

	if (!has(response->text, subject))
		return "not its subject";
	if (!has(response->text, subject + strlen(subject) + 1))
		return "not its Message-ID";
	if (!has(response->text, "ENVELOPE (") || !has(response->text, "BODYSTRUCTURE ("))
		return "no ENVELOPE or BODYSTRUCTURE";
	return NULL;
}

static const char *check_header(struct fetch *fetch, const struct imap_response *response, uint64_t number)
{
	const char *subject = fetch->subjects->at + fetch->subject_at[number];

	if (response->literal_count != 1)
		return "no header";
	if (!has(response->literals[0], subject))
		return "not its subject";
	if (!has(response->literals[0], subject + strlen(subject) + 1))
		return "not its Message-ID";
	return NULL;
}

static const char *check_body(struct fetch *fetch, const struct imap_response *response, uint64_t number)
{
	struct client *client = fetch->imap.conn.client;
	const char *wrong;
	uint64_t got = 0;

	if (response->literal_count != 1)
		return "no body";
	wrong = messages_wrong(client->load->made, response->literals[0], true, &client->scratch, &got);
	if (!wrong && got != client->load->first + number)
		wrong = "another message";
	return wrong;
}

static int check_response(struct fetch *fetch, struct imap_response *response, uint64_t *answered)
{
	struct slice rest = response->text;
	const char *wrong;
	uint64_t number;

	if (!imap_number(&rest, &number) || !slice_starts(rest, SLICE(" FETCH (")))
		return 0;
	if (number == 0 || number > fetch->messages || fetch->seen[number - 1])
		wrong = "answered twice, or never asked for";
	else
		wrong = fetch->check(fetch, response, number - 1);
	if (wrong)
		return client_error(fetch->imap.conn.client, "FETCH of %llu: %s: %.*s", (unsigned long long)number,
			wrong, SLICE_ARG(slice_first(rest, 100)));
	fetch->seen[number - 1] = 1;
	++*answered;
	for (unsigned i = 0; i < response->literal_count; i++)
		fetch->bytes += response->literals[i].len;
	return 0;
}

static int fetch_range(struct fetch *fetch, uint64_t first, uint64_t last)
{
	struct imap_response response;
	uint64_t answered = 0;
	int more, error = imap_start(&fetch->imap, "FETCH %llu:%llu (%s)", (unsigned long long)first,
			  (unsigned long long)last, fetch->items);

	memset(fetch->seen, 0, fetch->messages);
	while (!error && (more = imap_next(&fetch->imap, &response)) > 0)
		error = check_response(fetch, &response, &answered);
	if (error || more < 0)
		return error ? error : more;
	if (answered != last - first + 1)
		return client_error(fetch->imap.conn.client, "FETCH answered %llu of %llu messages",
			(unsigned long long)answered, (unsigned long long)(last - first + 1));
	return 0;
}

/* What ENVELOPE and header have to say, made before the clock runs. */
static void make_subjects(struct fetch *fetch)
{
	const struct load *load = fetch->imap.conn.client->load;

	for (uint64_t i = 0; i < fetch->messages; i++) {
		fetch->subject_at[i] = fetch->subjects->len;
		messages_put_subject(load->made, load->kind, load->first + i, fetch->subjects);
		buffer_put_byte(fetch->subjects, '\0');
		messages_put_id(load->kind, load->first + i, fetch->subjects);
		buffer_put_byte(fetch->subjects, '\0');
	}
	CHECK(buffer_error(fetch->subjects) == 0);
}

static int select_box(struct fetch *fetch, const char *mailbox)
{
	struct imap_selected selected;
	int error = imap_select(&fetch->imap, mailbox, "", &selected);

	if (!error && selected.exists != fetch->messages)
		error = client_error(
			fetch->imap.conn.client, "%llu messages in %s", (unsigned long long)selected.exists, mailbox);
	return error;
}

static int open_box(struct fetch *fetch, struct client *client)
{
	int error = imap_open(&fetch->imap, client, client->index);

	if (error)
		return error;
	error = select_box(fetch, client->load->mailbox);
	if (error)
		conn_close(&fetch->imap.conn);
	return error;
}

/*
 * Where only the first reading counts, it is not to be the first thing that happens after a rest: the generator's memory, the connection's window, which
 * processor each end runs on and how fast the host lets it run settle within some tens of milliseconds, and a fast server needs less for all.
 */
static int warm_up(struct fetch *fetch, struct client *client)
{
	uint64_t until = load_now() + WARM_NS;
	int error = select_box(fetch, client->load->warm);

	while (!error && load_now() < until)
		error = fetch_range(fetch, 1, fetch->messages);
	if (!error)
		error = select_box(fetch, client->load->mailbox);
	if (error)
		conn_close(&fetch->imap.conn);
	return error;
}

static void run(struct client *client, struct fetch *fetch, uint64_t at_once)
{
	struct buffer subjects = BUFFER_INIT(1U << 30);
	uint64_t number;
	int error;

	fetch->messages = client->load->messages;
	fetch->seen = calloc(fetch->messages + 1, 1);
	fetch->subject_at = calloc(fetch->messages + 1, sizeof(size_t));
	CHECK(fetch->seen && fetch->subject_at);
	fetch->subjects = &subjects;
	error = open_box(fetch, client);
	if (fetch->check != check_flags)
		make_subjects(fetch);
	if (!error && client->load->warm)
		error = warm_up(fetch, client);
	client_arrive(client);
	while (client_next(client, &number)) {
		uint64_t first = at_once < fetch->messages ? client_chance(client, fetch->messages - at_once) : 0;
		uint64_t start = load_now();

		if (!fetch->imap.conn.open)
			error = open_box(fetch, client);
		fetch->bytes = 0;
		if (!error)
			error = fetch_range(fetch, first + 1, first + MIN(at_once, fetch->messages));
		if (!error)
			client_done(client, start, MIN(at_once, fetch->messages), fetch->bytes);
		else
			conn_close(&fetch->imap.conn);
	}
	imap_close(&fetch->imap);
	free(fetch->seen);
	free(fetch->subject_at);
	buffer_free(&subjects);
}

void work_fetch_flags(struct client *client)
{
	struct fetch fetch = {.items = "FLAGS", .check = check_flags};

	run(client, &fetch, UINT64_MAX);
}

void work_fetch_envelope(struct client *client)
{
	struct fetch fetch = {.items = "ENVELOPE BODYSTRUCTURE", .check = check_envelope};

	run(client, &fetch, UINT64_MAX);
}

void work_fetch_header(struct client *client)
{
	struct fetch fetch = {
		.items = "BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)]", .check = check_header};

	run(client, &fetch, UINT64_MAX);
}

void work_fetch_body(struct client *client)
{
	struct fetch fetch = {.items = "BODY.PEEK[]", .check = check_body};

	run(client, &fetch, UINT64_MAX);
}

/* What a client shows of a folder: 100 messages somewhere in it. */
void work_fetch_some(struct client *client)
{
	struct fetch fetch = {.items = "FLAGS ENVELOPE BODYSTRUCTURE", .check = check_envelope};

	run(client, &fetch, 100);
}
