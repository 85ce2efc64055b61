/*
 * Searching a real store against a model: messages are made from texts the test knows, written down in random encodings, and random criteria are
 * evaluated on those texts. Everything follows from a seed that is printed when something differs.
 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "mail/mail.h"
#include "store/directory.h"
#include "store/search.h"

enum { MESSAGES = 60, CRITERIA = 400, FIELDS_MAX = 12, PARTS_MAX = 3, NODES_MAX = 64, DAY = 86400, DAY_ZERO = 20000 };

static const struct actor actor = {.protocol = STORE_BY_SERVER};

struct model_message {
	struct entry entry;
	bool has_date;
	int64_t date;
	struct slice fields[FIELDS_MAX]; /* "Name: decoded value" */
	size_t field_count, main_fields; /* the first main_fields are of the message's own header */
	struct slice parts[PARTS_MAX];
	size_t part_count;
};
struct rig {
	char dir[64];
	struct store *store;
	struct account *account;
	struct mailbox *mailbox;
	struct view *view;
	struct arena *arena;
	uint64_t random;
	struct model_message messages[MESSAGES];
	size_t count;
};

/* ---- The store ---- */

static void durable(void *context, uint64_t seq)
{
	(void)context;
	(void)seq;
}

static void failed(void *context, int error, const char *what)
{
	(void)context;
	(void)fprintf(stderr, "store failed: %s: %d\n", what, error);
	abort();
}

static void changed(void *owner)
{
	(void)owner;
}

static int setup(void **state)
{
	static struct rig rig;
	struct store_settings settings = store_settings_default();
	uint64_t id;

	rig = (struct rig){.random = 88172645463325252};
	(void)snprintf(rig.dir, sizeof(rig.dir), "%s/penfold-search-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(rig.dir));
	settings.dir = slice_of(rig.dir);
	settings.shards = 1;
	settings.segment_bytes = 4 << 20;
	settings.durable = durable;
	settings.failed = failed;
	assert_int_equal(store_open(&settings, &rig.store), 0);
	assert_int_equal(directory_domain_add(rig.store, SLICE("example.org")), 0);
	assert_int_equal(directory_account_add(rig.store, SLICE("ann@example.org"), SLICE(""), 0, &actor, &id), 0);
	assert_int_equal(account_open(store_shard(rig.store, 0), id, &rig.account), 0);
	rig.mailbox = mailbox_inbox(rig.account);
	assert_int_equal(arena_new(64 << 20, &rig.arena), 0);
	*state = &rig;
	return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return remove(path);
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	if (rig->view)
		view_close(&rig->view);
	account_release(&rig->account);
	store_close(&rig->store);
	arena_free(&rig->arena);
	return nftw(rig->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void append(struct rig *rig, struct slice bytes, struct append_item item)
{
	uint32_t uid;

	assert_int_equal(ingest_new(rig->store, &item.ingest), 0);
	assert_int_equal(ingest_write(item.ingest, bytes), 0);
	assert_int_equal(ingest_finish(item.ingest), 0);
	assert_int_equal(mailbox_append(rig->mailbox, &item, 1, &actor, &uid), 0);
	ingest_free(&item.ingest);
}

/* ---- Chance ---- */

static uint64_t next_random(struct rig *rig)
{
	rig->random ^= rig->random << 13;
	rig->random ^= rig->random >> 7;
	rig->random ^= rig->random << 17;
	return rig->random;
}

static size_t below(struct rig *rig, size_t bound)
{
	return (size_t)(next_random(rig) % bound);
}

static const char *const words[] = {
	"alpha", "Beta", "gamma delta", "Köln", "grüße", "Äpfel", "needle", "xylophone", "e"};

static struct slice some_text(struct rig *rig, size_t count)
{
	struct buffer text = BUFFER_INIT(1 << 20);
	struct slice copy;

	for (size_t i = 0; i < count; i++) {
		if (i)
			buffer_put_byte(&text, ' ');
		buffer_put_text(&text, words[below(rig, ARRAY_LEN(words))]);
	}
	assert_int_equal(arena_copy(rig->arena, buffer_slice(&text), &copy), 0);
	buffer_free(&text);
	return copy;
}

/* ---- Making messages ---- */

static void put_latin1(struct buffer *b, struct slice utf8)
{
	for (size_t i = 0; i < utf8.len; i++) {
		unsigned char c = (unsigned char)utf8.at[i];

		if (c >= 0xc2 && i + 1 < utf8.len)
			buffer_put_byte(b, (char)((c & 3) << 6 | ((unsigned char)utf8.at[++i] & 0x3f)));
		else
			buffer_put_byte(b, (char)c);
	}
}

static void put_quoted_printable(struct buffer *b, struct slice bytes, bool word)
{
	for (size_t i = 0, column = 0; i < bytes.len; i++, column++) {
		unsigned char c = (unsigned char)bytes.at[i];

		if (!word && column >= 60) {
			buffer_put_text(b, "=\r\n");
			column = 0;
		}
		if (c == ' ' && word)
			buffer_put_byte(b, '_');
		else if (c >= 0x80 || c == '=' || c == '?' || c == '_')
			buffer_printf(b, "=%02X", c);
		else
			buffer_put_byte(b, (char)c);
	}
}

static void put_field(
	struct rig *rig, struct buffer *b, struct model_message *m, const char *name, struct slice value, bool encode)
{
	struct buffer decoded = BUFFER_INIT(1 << 20);

	buffer_printf(&decoded, "%s: %.*s", name, SLICE_ARG(value));
	assert_int_equal(arena_copy(rig->arena, buffer_slice(&decoded), &m->fields[m->field_count++]), 0);
	buffer_printf(b, "%s: ", name);
	if (encode) {
		buffer_put_text(b, "=?utf-8?q?");
		put_quoted_printable(b, value, true);
		buffer_put_text(b, "?=");
	} else {
		buffer_put(b, value);
	}
	buffer_put_text(b, "\r\n");
	buffer_free(&decoded);
}

/* A text part with its header: charset and transfer encoding as chance has it. */
static void put_part(struct rig *rig, struct buffer *b, struct model_message *m, struct slice text)
{
	struct buffer bytes = BUFFER_INIT(1 << 20);
	bool latin1 = below(rig, 2);
	size_t encoding = below(rig, 3);

	if (latin1)
		put_latin1(&bytes, text);
	else
		buffer_put(&bytes, text);
	put_field(rig, b, m, "Content-Type",
		latin1 ? SLICE("text/plain; charset=iso-8859-1") : SLICE("text/plain; charset=utf-8"), false);
	put_field(rig, b, m, "Content-Transfer-Encoding",
		encoding == 0   ? SLICE("8bit")
		: encoding == 1 ? SLICE("base64")
				: SLICE("quoted-printable"),
		false);
	buffer_put_text(b, "\r\n");
	if (encoding == 0)
		buffer_put(b, buffer_slice(&bytes));
	else if (encoding == 1)
		buffer_put_base64(b, buffer_slice(&bytes));
	else
		put_quoted_printable(b, buffer_slice(&bytes), false);
	m->parts[m->part_count++] = text;
	buffer_free(&bytes);
}

static void put_date_field(struct rig *rig, struct buffer *b, struct model_message *m)
{
	struct buffer date = BUFFER_INIT(100);
	struct slice copy;

	m->has_date = below(rig, 5) != 0;
	if (!m->has_date)
		return;
	m->date = (int64_t)(DAY_ZERO + below(rig, 6)) * DAY + (int64_t)below(rig, DAY);
	buffer_put_date(&date, m->date, 0);
	assert_int_equal(arena_copy(rig->arena, buffer_slice(&date), &copy), 0);
	put_field(rig, b, m, "Date", copy, false);
	buffer_free(&date);
}

static void put_message(struct rig *rig, struct buffer *b, struct model_message *m)
{
	size_t parts = 1 + below(rig, PARTS_MAX);

	put_field(rig, b, m, "Subject", some_text(rig, 1 + below(rig, 3)), true);
	put_date_field(rig, b, m);
	if (below(rig, 2))
		put_field(rig, b, m, "X-Odd", some_text(rig, 1), true);
	put_field(rig, b, m, "Mime-Version", SLICE("1.0"), false);
	if (parts == 1) {
		m->main_fields = m->field_count + 2;
		put_part(rig, b, m, some_text(rig, below(rig, 200)));
		return;
	}
	put_field(rig, b, m, "Content-Type", SLICE("multipart/mixed; boundary=frontier"), false);
	m->main_fields = m->field_count;
	for (size_t i = 0; i < parts; i++) {
		buffer_put_text(b, "\r\n--frontier\r\n");
		put_part(rig, b, m, some_text(rig, below(rig, 50)));
	}
	buffer_put_text(b, "\r\n--frontier--\r\n");
}

static void make_message(struct rig *rig)
{
	static const struct slice keyword = SLICE("Work");
	struct buffer b = BUFFER_INIT(1 << 20);
	struct model_message *m = &rig->messages[rig->count++];
	struct append_item item = {
		.flags.flags = (unsigned)below(rig, FLAGS_ALL + 1),
		.internaldate = (int64_t)(DAY_ZERO + below(rig, 6)) * DAY + (int64_t)below(rig, DAY),
		.zone = (int16_t)((int)below(rig, 48) * 30 - 720),
	};

	if (below(rig, 2))
		item.flags = (struct flag_set){item.flags.flags, &keyword, 1};
	put_message(rig, &b, m);
	assert_int_equal(buffer_error(&b), 0);
	append(rig, buffer_slice(&b), item);
	buffer_free(&b);
}

static void make_mailbox(struct rig *rig)
{
	while (rig->count < MESSAGES)
		make_message(rig);
	assert_int_equal(view_open(rig->mailbox, changed, rig, &rig->view), 0);
	for (uint32_t seq = 1; seq <= MESSAGES; seq++)
		assert_int_equal(view_entry(rig->view, seq, &rig->messages[seq - 1].entry), 0);
}

/* ---- The model's opinion ---- */

static bool has(struct slice text, struct slice needle)
{
	struct buffer a = BUFFER_INIT(8 << 20), b = BUFFER_INIT(8 << 20);
	bool found;

	mail_text_fold(text, &a);
	mail_text_fold(needle, &b);
	found = slice_find(buffer_slice(&a), buffer_slice(&b)) != SIZE_MAX || !b.len;
	buffer_free(&a);
	buffer_free(&b);
	return found;
}

static bool field_has(const struct model_message *m, struct slice name, struct slice needle)
{
	for (size_t i = 0; i < m->main_fields; i++) {
		struct slice rest = m->fields[i];
		struct slice field = slice_split(&rest, ':');

		if (slice_equal_nocase(field, name) && has(slice_trim(rest), needle))
			return true;
	}
	return false;
}

static bool any_has(const struct slice *texts, size_t count, struct slice needle)
{
	for (size_t i = 0; i < count; i++)
		if (has(texts[i], needle))
			return true;
	return false;
}

static int64_t entry_day(const struct entry *entry)
{
	return ((int64_t)entry->internaldate + entry->zone * 60) / DAY;
}

static bool matches(const struct model_message *m, const struct search_criterion *c);

static bool matches_leaf(const struct model_message *m, const struct search_criterion *c)
{
	int64_t number = (int64_t)c->number, sent = m->date / DAY;

	switch (c->kind) {
	case SEARCH_UIDS:
		return uid_set_has(c->uids, m->entry.uid);
	case SEARCH_FLAGS:
		return (m->entry.flags & c->number) == c->number;
	case SEARCH_KEYWORD:
		return slice_equal_nocase(c->text, SLICE("work")) && m->entry.keywords == 1;
	case SEARCH_BEFORE:
		return entry_day(&m->entry) < number;
	case SEARCH_ON:
		return entry_day(&m->entry) == number;
	case SEARCH_SINCE:
		return entry_day(&m->entry) >= number;
	case SEARCH_SENTBEFORE:
		return m->has_date && sent < number;
	case SEARCH_SENTON:
		return m->has_date && sent == number;
	case SEARCH_SENTSINCE:
		return m->has_date && sent >= number;
	case SEARCH_LARGER:
		return m->entry.bytes > c->number;
	case SEARCH_SMALLER:
		return m->entry.bytes < c->number;
	case SEARCH_MODSEQ:
		return m->entry.modseq >= c->number;
	case SEARCH_EMAILID:
		return m->entry.email == c->number;
	case SEARCH_HEADER:
		return field_has(m, c->name, c->text);
	case SEARCH_BODY:
		return any_has(m->parts, m->part_count, c->text) || !c->text.len;
	case SEARCH_TEXT:
		return any_has(m->fields, m->field_count, c->text) || any_has(m->parts, m->part_count, c->text);
	default:
		return c->kind == SEARCH_ALL;
	}
}

static bool matches(const struct model_message *m, const struct search_criterion *c)
{
	const struct search_criterion *child = c->children;

	if (c->kind == SEARCH_NOT)
		return !matches(m, child);
	if (c->kind != SEARCH_AND && c->kind != SEARCH_OR)
		return matches_leaf(m, c);
	for (; child; child = child->next)
		if (matches(m, child) == (c->kind == SEARCH_OR))
			return c->kind == SEARCH_OR;
	return c->kind == SEARCH_AND;
}

/* ---- Random criteria ---- */

static const enum search_kind leaves[] = {SEARCH_ALL, SEARCH_UIDS, SEARCH_FLAGS, SEARCH_KEYWORD, SEARCH_BEFORE,
	SEARCH_ON, SEARCH_SINCE, SEARCH_SENTBEFORE, SEARCH_SENTON, SEARCH_SENTSINCE, SEARCH_LARGER, SEARCH_SMALLER,
	SEARCH_MODSEQ, SEARCH_EMAILID, SEARCH_HEADER, SEARCH_HEADER, SEARCH_HEADER, SEARCH_BODY, SEARCH_BODY,
	SEARCH_TEXT, SEARCH_TEXT};

static struct slice some_needle(struct rig *rig)
{
	static const struct slice odd[] = {SLICE(""), SLICE("LE XY"), SLICE("KÖLN"), SLICE("text/plain"),
		SLICE("subject: b"), SLICE("8bit"), SLICE("nowhere"), SLICE("gamma  delta"), SLICE("\xff\xfe")};

	return below(rig, 3) ? some_text(rig, 1 + below(rig, 2)) : odd[below(rig, ARRAY_LEN(odd))];
}

static void fill_leaf(struct rig *rig, struct search_criterion *c)
{
	static const struct slice names[] = {SLICE("subject"), SLICE("X-ODD"), SLICE("From"), SLICE("Content-Type")};
	struct uid_range *range = arena_zalloc(rig->arena, 1, sizeof(*range));

	assert_non_null(range);
	c->kind = leaves[below(rig, ARRAY_LEN(leaves))];
	c->name = names[below(rig, ARRAY_LEN(names))];
	c->text = c->kind == SEARCH_KEYWORD ? (below(rig, 3) ? SLICE("WORK") : SLICE("play")) : some_needle(rig);
	range->first = 1 + (uint32_t)below(rig, MESSAGES);
	range->last = range->first + (uint32_t)below(rig, MESSAGES);
	c->uids = (struct uid_set){range, below(rig, 10) ? 1 : 0};
	if (c->kind == SEARCH_FLAGS)
		c->number = below(rig, FLAGS_ALL + 1);
	else if (c->kind == SEARCH_LARGER || c->kind == SEARCH_SMALLER)
		c->number = below(rig, 3000);
	else if (c->kind == SEARCH_MODSEQ)
		c->number = rig->messages[below(rig, MESSAGES)].entry.modseq;
	else if (c->kind == SEARCH_EMAILID)
		c->number = rig->messages[below(rig, MESSAGES)].entry.email;
	else
		c->number = DAY_ZERO + below(rig, 6);
}

static struct search_criterion *some_criterion(struct rig *rig, unsigned depth)
{
	static const enum search_kind inner[] = {SEARCH_AND, SEARCH_OR, SEARCH_NOT};
	struct search_criterion *c = arena_zalloc(rig->arena, 1, sizeof(*c));
	size_t children;

	assert_non_null(c);
	if (depth == 0 || below(rig, 3) == 0) {
		fill_leaf(rig, c);
		return c;
	}
	c->kind = inner[below(rig, 3)];
	children = c->kind == SEARCH_NOT ? 1 : 1 + below(rig, 3);
	for (size_t i = 0; i < children; i++) {
		struct search_criterion *child = some_criterion(rig, depth - 1);

		child->next = c->children;
		c->children = child;
	}
	return c;
}

static void run(struct rig *rig, const struct search_criterion *c, int64_t budget_us, struct uid_list *found)
{
	struct search *search;
	bool done = false;

	assert_int_equal(search_new(rig->view, c, &search), 0);
	while (!done)
		assert_int_equal(search_step(search, budget_us, found, &done), 0);
	search_free(&search);
	assert_null(search);
}

/* ---- Tests ---- */

static void random_criteria_find_what_the_model_finds(void **state)
{
	struct rig *rig = *state;

	make_mailbox(rig);
	for (unsigned i = 0; i < CRITERIA; i++) {
		uint64_t seed = rig->random;
		const struct search_criterion *c = some_criterion(rig, 3);
		struct uid_list found = UID_LIST_INIT(MESSAGES);

		/* In one go, and in the smallest pieces. */
		run(rig, c, i % 2 ? 0 : 10000000, &found);
		for (size_t n = 0; n < MESSAGES; n++) {
			const struct model_message *m = &rig->messages[n];

			if (uid_set_has(uid_list_set(&found), m->entry.uid) != matches(m, c))
				fail_msg("seed %llu, kind %d: message %zu", (unsigned long long)seed, c->kind, n + 1);
		}
		uid_list_free(&found);
	}
}

/* One message of `before` bytes of filler, the needle, and filler behind it. */
static void append_filler(struct rig *rig, size_t before, const char *needle)
{
	struct buffer b = BUFFER_INIT(4 << 20);
	struct append_item item = {.internaldate = INT64_MIN};

	buffer_put_text(&b, "Subject: filler\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
	for (size_t i = 0; i < before; i++)
		buffer_put_byte(&b, i % 71 == 70 ? '\n' : '.');
	buffer_put_text(&b, needle);
	for (size_t i = 0; i < 70000; i++)
		buffer_put_byte(&b, i % 71 == 70 ? '\n' : '.');
	assert_int_equal(buffer_error(&b), 0);
	append(rig, buffer_slice(&b), item);
	buffer_free(&b);
}

static void a_string_across_pieces_is_found(void **state)
{
	struct rig *rig = *state;
	struct search_criterion c = {.kind = SEARCH_BODY, .text = SLICE("NÄh € NäHE")};
	struct search_criterion wrong = {.kind = SEARCH_BODY, .text = SLICE("näh € näher")};
	struct uid_list found = UID_LIST_INIT(200);
	uint32_t first = rig->mailbox->uidnext, last;

	/* Around every byte of the end of a piece and of a body frame, the string in every position. */
	for (size_t at = 65536 - 70; at < 65536 + 2; at += 3)
		append_filler(rig, at, "näh € nähe");
	for (size_t at = 262144 - 70; at < 262144 + 2; at += 7)
		append_filler(rig, at, "näh € nähe");
	last = rig->mailbox->uidnext - 1;
	view_close(&rig->view);
	assert_int_equal(view_open(rig->mailbox, changed, rig, &rig->view), 0);
	run(rig, &c, 500, &found);
	assert_int_equal(uid_set_count(uid_list_set(&found)), last - first + 1);
	uid_list_free(&found);
	run(rig, &wrong, 500, &found);
	assert_int_equal(found.count, 0);
	uid_list_free(&found);
}

static void what_is_gone_is_not_found(void **state)
{
	struct rig *rig = *state;
	const struct uid_range gone = {2, 4};
	struct search_criterion c = {.kind = SEARCH_ALL};
	struct uid_list found = UID_LIST_INIT(200), expunged = UID_LIST_INIT(200);

	assert_int_equal(entries_expunge(rig->mailbox, (struct uid_set){&gone, 1}, false, &actor, &expunged), 0);
	run(rig, &c, 500, &found);
	assert_int_equal(uid_set_count(uid_list_set(&found)), view_count(rig->view) - 3);
	assert_false(uid_set_has(uid_list_set(&found), 3));
	uid_list_free(&found);
	uid_list_free(&expunged);
}

static void impossible_criteria_are_refused(void **state)
{
	struct rig *rig = *state;
	static struct search_criterion chain[1000];
	struct search_criterion empty_not = {.kind = SEARCH_NOT};
	struct search *search = NULL;

	for (size_t i = 0; i + 1 < ARRAY_LEN(chain); i++)
		chain[i] = (struct search_criterion){.kind = SEARCH_NOT, .children = &chain[i + 1]};
	assert_int_equal(search_new(rig->view, chain, &search), -EINVAL);
	assert_int_equal(search_new(rig->view, &empty_not, &search), -EINVAL);
	assert_null(search);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_criteria_find_what_the_model_finds),
		cmocka_unit_test(a_string_across_pieces_is_found),
		cmocka_unit_test(what_is_gone_is_not_found),
		cmocka_unit_test(impossible_criteria_are_refused),
	};

	return cmocka_run_group_tests_name("store: search", tests, setup, teardown);
}
