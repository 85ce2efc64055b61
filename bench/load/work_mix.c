/* What clients do all day, in the proportions of a busy server: each client has an account with `messages` in its mailbox. */
#include "workloads.h"

struct mix {
	struct client *client;
	struct imap imap;
	struct imap_selected box;
};

/* How many untagged responses there are whose text, behind a number, starts so. */
static int count_answers(struct mix *mix, const char *start, unsigned *ret_count)
{
	struct imap_response response;
	unsigned count = 0;
	int more;

	while ((more = imap_next(&mix->imap, &response)) > 0) {
		struct slice rest = response.text;
		uint64_t number;

		if (!imap_number(&rest, &number))
			rest = response.text;
		if (slice_equal(rest, SLICE(" EXISTS")))
			mix->box.exists = number;
		count += slice_starts(rest, slice_of(start));
	}
	if (more < 0)
		return more;
	*ret_count = count;
	return 0;
}

static int expect_answers(struct mix *mix, const char *start, unsigned expected)
{
	unsigned count;
	int error = count_answers(mix, start, &count);

	if (!error && count != expected)
		error = client_error(mix->client, "%u answers '%s', not %u", count, start, expected);
	return error;
}

static uint64_t any(struct mix *mix)
{
	return 1 + client_chance(mix->client, mix->box.exists);
}

static int read_body(struct mix *mix)
{
	struct imap_response response;
	const char *wrong = "no body";
	uint64_t number;
	int more, error = imap_start(&mix->imap, "FETCH %llu (FLAGS BODY.PEEK[])", (unsigned long long)any(mix));

	while (!error && (more = imap_next(&mix->imap, &response)) > 0)
		if (response.literal_count == 1)
			wrong = messages_wrong(
				mix->client->load->made, response.literals[0], true, &mix->client->scratch, &number);
	if (error || more < 0)
		return error ? error : more;
	return wrong ? client_error(mix->client, "FETCH: %s", wrong) : 0;
}

static int read_list(struct mix *mix)
{
	uint64_t first = 1 + client_chance(mix->client, mix->box.exists - 20);
	int error = imap_start(&mix->imap, "FETCH %llu:%llu (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)",
		(unsigned long long)first, (unsigned long long)first + 19);

	return error ? error : expect_answers(mix, " FETCH (", 20);
}

static int read_flags(struct mix *mix)
{
	int error = imap_start(&mix->imap, "FETCH 1:* (UID FLAGS)");

	return error ? error : expect_answers(mix, " FETCH (", (unsigned)mix->box.exists);
}

/* A flag that is there already may be answered with nothing. */
static int store(struct mix *mix)
{
	unsigned count = 0;
	int error = imap_start(&mix->imap, "STORE %llu %cFLAGS (\\Seen)", (unsigned long long)any(mix),
		client_chance(mix->client, 2) ? '+' : '-');

	if (!error)
		error = count_answers(mix, " FETCH (", &count);
	return error || count <= 1 ? error : client_error(mix->client, "%u answers to STORE of one message", count);
}

static int search(struct mix *mix)
{
	int error = imap_start(&mix->imap, "SEARCH SUBJECT %s",
		messages_word(mix->client->load->made, true, client_chance(mix->client, 1000)));

	return error ? error : expect_answers(mix, "SEARCH", 1);
}

static int append(struct mix *mix)
{
	struct client *client = mix->client;
	int error;

	buffer_reset(&client->scratch);
	messages_put(client->load->made, MESSAGE_MIXED, 1000000 + client_chance(client, 1000000), &client->scratch);
	error = imap_append(&mix->imap, buffer_slice(&client->scratch));
	return error ? error : expect_answers(mix, " EXISTS", 1);
}

static int status(struct mix *mix)
{
	int error = imap_start(&mix->imap, "STATUS Other (MESSAGES UNSEEN UIDNEXT)");

	return error ? error : expect_answers(mix, "STATUS ", 1);
}

static int list(struct mix *mix)
{
	int error = imap_start(&mix->imap, "LIST \"\" *");
	unsigned count = 0;

	if (!error)
		error = count_answers(mix, "LIST ", &count);
	/* INBOX and Other; servers have more of their own. */
	return error || count >= 2 ? error : client_error(mix->client, "LIST of %u mailboxes", count);
}

static int select_again(struct mix *mix)
{
	return imap_select(&mix->imap, mix->client->load->mailbox, "", &mix->box);
}

static int noop(struct mix *mix)
{
	int error = imap_start(&mix->imap, "NOOP");

	return error ? error : imap_finish(&mix->imap);
}

static int connect_again(struct mix *mix)
{
	int error;

	imap_close(&mix->imap);
	error = imap_open(&mix->imap, mix->client, mix->client->index);
	return error ? error : select_again(mix);
}

static const struct {
	unsigned share; /* of 100 */
	int (*run)(struct mix *mix);
} parts[] = {{26, read_body}, {18, read_list}, {8, read_flags}, {15, store}, {8, noop}, {8, status}, {5, select_again},
	{4, append}, {4, search}, {2, list}, {2, connect_again}};

static int one(struct mix *mix)
{
	uint64_t turn = client_chance(mix->client, 100);
	size_t i = 0;

	for (unsigned sum = parts[0].share; turn >= sum && i + 1 < ARRAY_LEN(parts); sum += parts[++i].share)
		continue;
	return parts[i].run(mix);
}

void work_mix(struct client *client)
{
	struct mix mix = {.client = client};
	uint64_t number;
	int error = imap_open(&mix.imap, client, client->index);

	if (!error)
		error = select_again(&mix);
	if (!error && mix.box.exists < 21)
		error = client_error(client, "the mailbox is not filled");
	client_arrive(client);
	while (!error && client_next(client, &number)) {
		uint64_t start = load_now();

		error = one(&mix);
		if (!error)
			client_done(client, start, 1, 0);
	}
	if (error)
		conn_close(&mix.imap.conn);
	else
		imap_close(&mix.imap);
}
