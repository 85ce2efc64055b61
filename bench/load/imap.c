#include "load.h"

#include <stdarg.h>

enum { COMMAND_MAX = 1 << 20 };

/* "... {123}" or "{123+}"; false when the line ends otherwise. */
static bool literal_at_end(struct slice line, uint64_t *ret_bytes)
{
	size_t open;

	if (line.len < 3 || line.at[line.len - 1] != '}')
		return false;
	open = slice_find_last_byte(line, '{');
	if (open == SIZE_MAX)
		return false;
	line = slice_from(slice_first(line, line.len - 1), open + 1);
	return slice_to_u64(line, LOAD_RESPONSE_MAX, ret_bytes) == 0;
}

/* Where the line ends (its CR) that begins at `from` of what is unread. */
static int line_end(struct imap *imap, size_t from, struct slice *unread, size_t *ret_end)
{
	size_t at, searched = from;

	while ((at = slice_find_byte(slice_from(*unread, searched), '\n')) == SIZE_MAX) {
		int error;

		searched = MAX(unread->len, from);
		error = conn_peek(&imap->conn, searched + 1, unread);
		if (error)
			return error;
	}
	at += searched;
	if (at == 0 || unread->at[at - 1] != '\r')
		return client_error(imap->conn.client, "a line that ends with a bare LF");
	*ret_end = at - 1;
	return 0;
}

/* One response with all its literals, taken. */
static int read_response(struct imap *imap, struct imap_response *ret_response)
{
	size_t starts[IMAP_LITERALS], lengths[IMAP_LITERALS], from = 0, end = 0;
	struct imap_response response = {.literal_count = 0};
	struct slice unread;
	uint64_t literal;
	int error = conn_peek(&imap->conn, 1, &unread);

	for (;;) {
		if (!error)
			error = line_end(imap, from, &unread, &end);
		if (error)
			return error;
		if (!literal_at_end(slice_from(slice_first(unread, end), from), &literal))
			break;
		if (response.literal_count < IMAP_LITERALS) {
			starts[response.literal_count] = end + 2;
			lengths[response.literal_count++] = literal;
		}
		from = end + 2 + literal;
		error = conn_peek(&imap->conn, from + 1, &unread);
	}
	for (unsigned i = 0; i < response.literal_count; i++)
		response.literals[i] = slice_first(slice_from(unread, starts[i]), lengths[i]);
	response.text = slice_first(unread, end);
	conn_take(&imap->conn, end + 2);
	*ret_response = response;
	return 0;
}

static int wrong(struct imap *imap, struct slice got)
{
	return client_error(imap->conn.client, "answer: %.*s", SLICE_ARG(slice_first(got, 200)));
}

int imap_next(struct imap *imap, struct imap_response *ret_response)
{
	struct slice text;
	char tag[16];
	int error = read_response(imap, ret_response);

	if (error)
		return error;
	text = ret_response->text;
	if (slice_starts(text, SLICE("* BYE")))
		return wrong(imap, text);
	if (slice_starts(text, SLICE("* "))) {
		ret_response->text = slice_from(text, 2);
		return 1;
	}
	(void)snprintf(tag, sizeof(tag), "t%u ", imap->tag);
	if (!slice_starts(text, slice_of(tag)) || !slice_starts(slice_from(text, strlen(tag)), SLICE("OK")))
		return wrong(imap, text);
	ret_response->text = slice_from(text, strlen(tag));
	return 0;
}

int imap_finish(struct imap *imap)
{
	struct imap_response response;
	int more;

	while ((more = imap_next(imap, &response)) > 0)
		continue;
	return more;
}

int imap_continue(struct imap *imap)
{
	struct imap_response response;
	int error = 0;

	/* What happens meanwhile may come before it. */
	do
		error = read_response(imap, &response);
	while (!error && slice_starts(response.text, SLICE("* ")));
	return error || slice_starts(response.text, SLICE("+")) ? error : wrong(imap, response.text);
}

int imap_start(struct imap *imap, const char *format, ...)
{
	struct buffer command = BUFFER_INIT(COMMAND_MAX);
	va_list args;
	int error;

	buffer_printf(&command, "t%u ", ++imap->tag);
	va_start(args, format);
	buffer_vprintf(&command, format, args);
	va_end(args);
	buffer_put_text(&command, "\r\n");
	CHECK(buffer_error(&command) == 0);
	error = conn_send(&imap->conn, buffer_slice(&command));
	buffer_free(&command);
	return error;
}

int imap_append(struct imap *imap, struct slice message)
{
	const struct load *load = imap->conn.client->load;
	char command[256];
	struct slice parts[] = {SLICE(""), message, SLICE("\r\n")};
	int error;

	if (load->plain_append) {
		error = imap_start(imap, "APPEND %s {%zu}", load->mailbox, message.len);
		if (!error)
			error = imap_continue(imap);
		return error ? error : conn_send_parts(&imap->conn, parts + 1, 2);
	}
	(void)snprintf(command, sizeof(command), "t%u APPEND %s {%zu+}\r\n", ++imap->tag, load->mailbox, message.len);
	parts[0] = slice_of(command);
	return conn_send_parts(&imap->conn, parts, ARRAY_LEN(parts));
}

int imap_open(struct imap *imap, struct client *client, uint64_t user)
{
	char name[128];
	int error;

	imap->tag = 0;
	error = conn_open(&imap->conn, client, &client->load->imap);
	if (error)
		return error;
	error = conn_expect(&imap->conn, SLICE("* OK"));
	if (!error)
		error = imap_start(imap, "LOGIN %s %s", client_user(client, user, name), client->load->password);
	if (!error)
		error = imap_finish(imap);
	if (error)
		conn_close(&imap->conn);
	return error;
}

int imap_close(struct imap *imap)
{
	struct slice line = SLICE("");
	bool bye = false;
	int error = imap->conn.open ? imap_start(imap, "LOGOUT") : -ENOTCONN;

	while (!error) {
		error = conn_line(&imap->conn, &line);
		if (error || line.len == 0 || line.at[0] == 't')
			break;
		bye = bye || slice_starts(line, SLICE("* BYE"));
	}
	if (!error && !bye)
		error = client_error(imap->conn.client, "LOGOUT answered without BYE");
	conn_close(&imap->conn);
	return error;
}

bool imap_number(struct slice *rest, uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t i = 0;

	for (; i < rest->len && i < 19 && byte_is_digit(rest->at[i]); i++)
		number = number * 10 + (uint64_t)(rest->at[i] - '0');
	if (i == 0)
		return false;
	*rest = slice_from(*rest, i);
	*ret_number = number;
	return true;
}

bool imap_set(struct slice set, void (*each)(void *context, uint64_t number), void *context)
{
	while (set.len) {
		struct slice range = slice_split(&set, ',');
		uint64_t first, last;

		if (!imap_number(&range, &first))
			return false;
		last = first;
		if (range.len && (range.at[0] != ':' || (range = slice_from(range, 1), !imap_number(&range, &last))))
			return false;
		if (range.len || last < first || last - first > 10000000)
			return false;
		for (uint64_t n = first; n <= last; n++)
			each(context, n);
	}
	return true;
}

static void note_code(struct slice text, struct slice name, uint64_t *value)
{
	size_t at = slice_find(text, name);
	struct slice rest = at == SIZE_MAX ? SLICE("") : slice_from(text, at + name.len);

	(void)imap_number(&rest, value);
}

int imap_select(struct imap *imap, const char *mailbox, const char *more, struct imap_selected *ret_selected)
{
	struct imap_selected selected = {UINT64_MAX, 0, 0, 0};
	struct imap_response response;
	int error = imap_start(imap, "SELECT %s%s", mailbox, more);
	int state = 1;

	while (!error && (state = imap_next(imap, &response)) > 0) {
		struct slice rest = response.text;
		uint64_t number;

		note_code(slice_first(rest, 40), SLICE("[UIDVALIDITY "), &selected.uidvalidity);
		note_code(slice_first(rest, 40), SLICE("[UIDNEXT "), &selected.uidnext);
		note_code(slice_first(rest, 40), SLICE("[HIGHESTMODSEQ "), &selected.highestmodseq);
		if (imap_number(&rest, &number) && slice_equal(rest, SLICE(" EXISTS")))
			selected.exists = number;
	}
	if (error || state < 0)
		return error ? error : state;
	if (selected.exists == UINT64_MAX || !selected.uidvalidity || !selected.uidnext)
		return client_error(imap->conn.client, "SELECT without EXISTS, UIDVALIDITY or UIDNEXT");
	*ret_selected = selected;
	return 0;
}
