/* SEARCH in a mailbox that holds messages `first` ...: every answer is compared with what reading all of them finds. */
#include "workloads.h"

enum { NEEDLES = 16 };

struct needles {
	char words[NEEDLES][64];
	unsigned char *expected; /* for each needle, whether each message has it */
	unsigned char *got;
	uint64_t messages, found;
	bool outside; /* an answer named no message */
};

/* Header and text are ASCII: lower case is all the folding there is. */
static void make_lower(struct buffer *b)
{
	for (size_t i = 0; i < b->len; i++)
		b->at[i] = byte_lower(b->at[i]);
}

static void put_searched(const struct load *load, uint64_t number, struct buffer *b)
{
	size_t body;

	buffer_reset(b);
	if (strcmp(load->item, "SUBJECT") == 0) {
		messages_put_subject(load->made, load->kind, number, b);
	} else if (strcmp(load->item, "FROM") == 0) {
		messages_put(load->made, load->kind, number, b);
		body = slice_find(buffer_slice(b), SLICE("\r\nFrom: "));
		CHECK(body != SIZE_MAX);
		buffer_consume(b, body + 8);
		buffer_truncate(b, slice_find_byte(buffer_slice(b), '\r'));
	} else {
		messages_put(load->made, load->kind, number, b);
		body = slice_find(buffer_slice(b), SLICE("\r\n\r\n"));
		if (strcmp(load->item, "BODY") == 0)
			buffer_consume(b, body + 4);
	}
	make_lower(b);
}

/* Every fourth is a word that many have, every third a part of a word: IMAP's SEARCH finds substrings (RFC 9051 §6.4.4). */
static void make_needles(struct client *client, struct needles *needles)
{
	const struct load *load = client->load;

	needles->messages = load->messages;
	needles->expected = calloc(NEEDLES, load->messages + 1);
	needles->got = calloc(1, load->messages + 1);
	CHECK(needles->expected && needles->got);
	for (unsigned n = 0; n < NEEDLES; n++) {
		const char *word = messages_word(load->made, n % 4 != 3, 1000 + n);
		bool part = n % 3 == 2 && strlen(word) > 6;

		(void)snprintf(needles->words[n], sizeof(needles->words[n]), "%s", word + (part ? 1 : 0));
	}
	for (uint64_t i = 0; i < load->messages; i++) {
		put_searched(load, load->first + i, &client->scratch);
		for (unsigned n = 0; n < NEEDLES; n++)
			needles->expected[n * load->messages + i] =
				slice_find(buffer_slice(&client->scratch), slice_of(needles->words[n])) != SIZE_MAX;
	}
}

static void note_found(void *context, uint64_t number)
{
	struct needles *needles = context;

	if (number == 0 || number > needles->messages || needles->got[number - 1])
		needles->outside = true;
	else
		needles->got[number - 1] = 1;
}

static int search(struct imap *imap, struct needles *needles, unsigned n)
{
	struct client *client = imap->conn.client;
	struct imap_response response;
	bool answered = false;
	int more = 0;
	int error = imap_start(imap, "SEARCH %s %s", client->load->item, needles->words[n]);

	memset(needles->got, 0, needles->messages);
	needles->outside = false;
	while (!error && (more = imap_next(imap, &response)) > 0) {
		struct slice rest = response.text;

		if (!slice_starts(rest, SLICE("SEARCH")))
			continue;
		answered = true;
		rest = slice_trim(slice_from(rest, 6));
		while (rest.len) {
			struct slice number = slice_split(&rest, ' ');

			if (!imap_set(number, note_found, needles))
				needles->outside = true;
		}
	}
	if (error || more < 0)
		return error ? error : more;
	if (!answered || needles->outside ||
		memcmp(needles->got, needles->expected + n * needles->messages, needles->messages) != 0)
		return client_error(client, "SEARCH %s %s: not what is there", client->load->item, needles->words[n]);
	return 0;
}

void work_search(struct client *client)
{
	struct needles *needles = calloc(1, sizeof(*needles));
	struct imap_selected selected;
	struct imap imap;
	uint64_t number;
	int error;

	CHECK(needles);
	make_needles(client, needles);
	error = imap_open(&imap, client, client->index);
	if (!error)
		error = imap_select(&imap, client->load->mailbox, "", &selected);
	client_arrive(client);
	while (!error && client_next(client, &number)) {
		uint64_t start = load_now();

		error = search(&imap, needles, number % NEEDLES);
		if (!error)
			client_done(client, start, 1, 0);
	}
	imap_close(&imap);
	free(needles->expected);
	free(needles->got);
	free(needles);
}
