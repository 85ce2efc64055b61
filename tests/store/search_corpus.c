/*
 * Searches in real mail, answered with the help of the search index and without it: the answers must be the same.
 *
 *     store-search-corpus MESSAGES     a file of messages, each behind its length (le32)
 *
 * Strings are taken from the decoded texts themselves: within words, across words and lines, in any script, single characters, and some that are nowhere;
 * alone and in AND, OR and NOT. All follows from a seed that is printed, and that PENFOLD_SEED sets. Prints TAP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "store/engine.h"
#include "store/search_internal.h"
#include "store/searcher.h"
#include "support.h"

enum { MAILBOXES = 48, SEARCHES = 450, LEAVES_MAX = 8, TEXTS_MAX = 4000, TEXT_MAX = 60000, KINDS = 6 };

struct texts { /* some of what the mail has, folded */
	struct slice all[TEXTS_MAX];
	size_t count;
};
struct rig {
	struct world world;
	struct arena *arena;
	struct texts texts;
	struct mailbox *mailboxes[MAILBOXES];
	size_t messages, mail_bytes;
	uint64_t seed, random, needles, found, kinds[KINDS];
	struct search_criterion leaves[LEAVES_MAX], inner[LEAVES_MAX * 2];
	struct buffer needle_text[LEAVES_MAX];
};

static uint64_t below(struct rig *rig, uint64_t bound)
{
	rig->random ^= rig->random << 13;
	rig->random ^= rig->random >> 7;
	rig->random ^= rig->random << 17;
	return (rig->random >> 11) % bound;
}

/* ---- The mail ---- */

static void append(struct rig *rig, struct mailbox *mailbox, struct slice bytes)
{
	struct append_item item = {.internaldate = INT64_MIN};
	uint32_t uid;

	assert_int_equal(ingest_new(rig->world.store, &item.ingest), 0);
	assert_int_equal(ingest_write(item.ingest, bytes), 0);
	assert_int_equal(ingest_finish(item.ingest), 0);
	assert_int_equal(mailbox_append(mailbox, &item, 1, &actor_lmtp, &uid), 0);
	ingest_free(&item.ingest);
	rig->messages++;
}

static struct slice file_read(const char *path)
{
	struct buffer all = BUFFER_INIT(SIZE_MAX / 2);
	FILE *file = fopen(path, "rb");
	size_t n = 0;

	assert_non_null(file);
	do {
		char *room = buffer_room(&all, 1 << 20);

		assert_non_null(room);
		n = fread(room, 1, 1 << 20, file);
		buffer_added(&all, n);
	} while (n);
	assert_int_equal(fclose(file), 0);
	return buffer_slice(&all);
}

static void mail_load(struct rig *rig, struct slice all)
{
	struct reader r = READER_INIT(all);
	char name[16];

	for (size_t i = 0; i < MAILBOXES; i++) {
		(void)snprintf(name, sizeof(name), "Box%zu", i);
		assert_int_equal(
			mailbox_create(rig->world.account, slice_of(name), 0, &actor_imap, &rig->mailboxes[i]), 0);
	}
	for (size_t i = 0; r.rest.len; i++) {
		uint32_t bytes = reader_le32(&r);

		append(rig, rig->mailboxes[i % MAILBOXES], reader_bytes(&r, bytes));
	}
	assert_int_equal(reader_error(&r), 0);
	world_settle(&rig->world);
}

/* ---- Its texts ---- */

static void text_keep(struct rig *rig, struct slice folded)
{
	struct texts *t = &rig->texts;

	/* Any of them may be among those that are kept. */
	size_t at = t->count < TEXTS_MAX ? t->count++ : below(rig, TEXTS_MAX * 4);

	if (at < TEXTS_MAX && folded.len)
		assert_int_equal(arena_copy(rig->arena, slice_first(folded, TEXT_MAX), &t->all[at]), 0);
	else if (at + 1 == t->count)
		t->count--;
}

static void on_field(void *context, bool in_body, struct slice folded)
{
	struct rig *rig = context;

	if (in_body || below(rig, 8) == 0)
		text_keep(rig, folded);
}

static void on_text(void *context, struct buffer *folded, bool last)
{
	(void)last;
	text_keep(context, buffer_slice(folded));
	buffer_reset(folded);
}

static void texts_find(struct rig *rig)
{
	const struct search_listener listener = {on_field, on_text, rig};
	struct search_walk walk;

	search_walk_init(&walk);
	for (size_t i = 0; i < MAILBOXES; i++) {
		struct entry entry = {.uid = 0};
		int error;

		while (mailbox_entry_from(rig->mailboxes[i], entry.uid + 1, &entry, &error)) {
			struct body_reader *reader;
			struct mail_message message;
			struct email_room room = EMAIL_ROOM_INIT;
			struct arena *parts;
			struct email email;
			bool done = false;

			assert_int_equal(arena_new(32 << 20, &parts), 0);
			assert_int_equal(email_find(rig->world.account, entry.email, EMAIL_WHOLE, &room, &email), 0);
			assert_int_equal(mail_unpack(email.packed, parts, &message), 0);
			assert_int_equal(body_reader_new(rig->world.account, entry.email, &reader), 0);
			search_walk_start(&walk, &listener, &message, reader);
			while (!done)
				assert_int_equal(search_walk_step(&walk, &done), 0);
			search_walk_stop(&walk);
			body_reader_free(&reader);
			arena_free(&parts);
			email_room_free(&room);
		}
	}
	search_walk_free(&walk);
}

/* ---- Strings ---- */

static bool is_word(char c)
{
	return byte_is_alpha(c) || byte_is_digit(c) || (unsigned char)c >= 0x80;
}

static struct slice cut(struct slice text, size_t at, size_t len)
{
	/* Between characters. */
	while (at && at < text.len && ((unsigned char)text.at[at] & 0xc0) == 0x80)
		at--;
	while (at + len < text.len && ((unsigned char)text.at[at + len] & 0xc0) == 0x80)
		len++;
	return slice_first(slice_from(text, at), len);
}

/* What begins where a text has something of the kind, looked for from a place that chance chose. */
static struct slice needle_in(struct rig *rig, struct slice text, unsigned kind)
{
	size_t at = below(rig, text.len), from = at;

	switch (kind) {
	case 0: /* within a word */
		while (at < text.len && !is_word(text.at[at]))
			at++;
		for (from = at; at < text.len && at - from < 2 + below(rig, 12) && is_word(text.at[at]);)
			at++;
		return cut(text, from, at - from);
	case 1: /* across words */
		return cut(text, at, 4 + below(rig, 30));
	case 2: /* across lines */
		while (at < text.len && text.at[at] != '\n')
			at++;
		at -= MIN(at, below(rig, 8));
		return cut(text, at, 2 + below(rig, 16));
	case 3: /* of another script, if there is any */
		while (at < text.len && (unsigned char)text.at[at] < 0xc0)
			at++;
		return cut(text, at, 1 + below(rig, 14));
	case 4:
		return cut(text, at, 1);
	default: /* nowhere, most probably: two halves of what is somewhere */
		return cut(text, at, 3 + below(rig, 6));
	}
}

static void needle_make(struct rig *rig, struct buffer *out)
{
	unsigned kind = (unsigned)below(rig, KINDS);
	struct slice part;

	buffer_reset(out);
	for (unsigned tries = 0; tries < 1000 && !out->len; tries++) {
		part = needle_in(rig, rig->texts.all[below(rig, rig->texts.count)], kind);
		buffer_put(out, part);
	}
	if (kind == 5)
		buffer_put(out, needle_in(rig, rig->texts.all[below(rig, rig->texts.count)], kind));
	rig->kinds[kind]++;
	rig->needles++;
}

/* ---- Criteria ---- */

static void leaf_make(struct rig *rig, size_t n)
{
	static const struct slice names[] = {SLICE("Subject"), SLICE("FROM"), SLICE("To"), SLICE("cc"), SLICE("bcc"),
		SLICE("Received"), SLICE("message-id"), SLICE("X-Mailer"), SLICE("Content-Type")};
	static const enum search_kind kinds[] = {SEARCH_BODY, SEARCH_BODY, SEARCH_TEXT, SEARCH_HEADER, SEARCH_HEADER};
	struct search_criterion *leaf = &rig->leaves[n];

	needle_make(rig, &rig->needle_text[n]);
	*leaf = (struct search_criterion){.kind = kinds[below(rig, ARRAY_LEN(kinds))],
		.text = buffer_slice(&rig->needle_text[n]),
		.name = names[below(rig, ARRAY_LEN(names))]};
	/* Of a header mostly a short one, or none would ever be found. */
	if (leaf->kind == SEARCH_HEADER && below(rig, 4))
		leaf->text = cut(leaf->text, 0, below(rig, 4));
}

/* Some leaves under an AND or an OR, every third of them under a NOT; or a single one. */
static const struct search_criterion *criteria_make(struct rig *rig)
{
	size_t count = below(rig, 4) == 0 ? 1 : 2 + below(rig, LEAVES_MAX - 1), used = 1;
	struct search_criterion *root = &rig->inner[0], **end = &root->children;

	*root = (struct search_criterion){.kind = below(rig, 3) ? SEARCH_OR : SEARCH_AND};
	for (size_t i = 0; i < count; i++) {
		struct search_criterion *child = &rig->leaves[i];

		leaf_make(rig, i);
		if (below(rig, 3) == 0) {
			rig->inner[used] = (struct search_criterion){.kind = SEARCH_NOT, .children = child};
			child = &rig->inner[used++];
		}
		*end = child;
		end = &child->next;
	}
	return root;
}

static void run(struct view *view, const struct search_criterion *criteria, bool by_index, struct uid_list *found)
{
	struct search *search;
	bool done = false;

	assert_int_equal(search_new(view, criteria, &search), 0);
	search->index_over = !by_index;
	search->opened = by_index ? 1000 : 0; /* it is to be asked at once */
	while (!done)
		assert_int_equal(search_step(search, 10000000, found, &done), 0);
	search->opened -= by_index ? 1000 : 0;
	search_free(&search);
}

static void say_criteria(const struct search_criterion *c, unsigned depth)
{
	print_message(
		"# %*skind %d \"%.*s\" \"%.*s\"\n", (int)depth, "", c->kind, SLICE_ARG(c->name), SLICE_ARG(c->text));
	for (c = c->children; c; c = c->next)
		say_criteria(c, depth + 2);
}

static void changed(void *owner)
{
	(void)owner;
}

/* Returns how many messages were opened although there is an index. */
static uint64_t compare(struct rig *rig, struct mailbox *mailbox, const struct search_criterion *criteria)
{
	struct uid_list with = UID_LIST_INIT(100000), without = UID_LIST_INIT(100000);
	struct store_stats before, after;
	struct view *view;

	assert_int_equal(view_open(mailbox, changed, rig, &view), 0);
	store_stats(rig->world.store, &before);
	run(view, criteria, true, &with);
	store_stats(rig->world.store, &after);
	run(view, criteria, false, &without);
	if (with.count != without.count ||
		(with.count && memcmp(with.ranges, without.ranges, with.count * sizeof(*with.ranges)) != 0)) {
		say_criteria(criteria, 0);
		fail_msg("seed %llu, mailbox %.*s: %llu found by the index, %llu by looking",
			(unsigned long long)rig->seed, SLICE_ARG(mailbox->name),
			(unsigned long long)uid_set_count(uid_list_set(&with)),
			(unsigned long long)uid_set_count(uid_list_set(&without)));
	}
	rig->found += uid_set_count(uid_list_set(&with));
	uid_list_free(&with);
	uid_list_free(&without);
	view_close(&view);
	return after.searched - before.searched;
}

/* ---- Tests ---- */

static struct rig rig;
static const char *messages_path;

static int setup(void **state)
{
	const char *seed = getenv("PENFOLD_SEED");
	struct slice all = file_read(messages_path);

	rig = (struct rig){.seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)clock_monotonic_us(clock_system()) | 1};
	rig.random = rig.seed;
	for (size_t i = 0; i < LEAVES_MAX; i++)
		rig.needle_text[i] = BUFFER_INIT(1 << 20);
	assert_int_equal(arena_new((size_t)1 << 30, &rig.arena), 0);
	world_make(&rig.world);
	rig.world.settings.segment_bytes = 8 << 20;
	rig.world.settings.search_batch = 128;
	world_open(&rig.world);
	world_account(&rig.world);
	mail_load(&rig, all);
	rig.mail_bytes = all.len;
	free((void *)(uintptr_t)all.at);
	texts_find(&rig);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEAVES_MAX; i++)
		buffer_free(&rig.needle_text[i]);
	arena_free(&rig.arena);
	world_free(&rig.world);
	return 0;
}

/* Of all files of words, all one account's. */
static uint64_t index_bytes(void)
{
	struct search_files files = {NULL, 0, 0};
	uint64_t sum = 0;

	assert_int_equal(search_files_list(rig.world.store, rig.world.account_id, false, &files), 0);
	for (size_t i = 0; i < files.count; i++) {
		char path[SEARCH_PATH_ROOM];
		struct stat status;

		search_file_path(rig.world.store, rig.world.account_id, &files.list[i], path);
		assert_int_equal(stat(path, &status), 0);
		sum += (uint64_t)status.st_size;
	}
	search_files_free(&files);
	return sum;
}

static void sizes_say(void)
{
	struct store_stats stats;

	store_stats(rig.world.store, &stats);
	print_message("# a message: %zu bytes, %llu stored, %llu of index\n", rig.mail_bytes / rig.messages,
		(unsigned long long)(stats.live_bytes / rig.messages),
		(unsigned long long)(index_bytes() / rig.messages));
	assert_true(index_bytes() < stats.live_bytes / 4);
}

static void the_index_answers_as_the_mail_does(void **state)
{
	uint64_t opened = 0, messages = 0;

	(void)state;
	assert_int_equal(store_search_index(rig.world.store), 0);
	print_message("# seed %llu, %zu messages, %zu texts to take strings from\n", (unsigned long long)rig.seed,
		rig.messages, rig.texts.count);
	sizes_say();
	for (unsigned i = 0; i < SEARCHES; i++) {
		struct mailbox *mailbox = rig.mailboxes[below(&rig, MAILBOXES)];

		opened += compare(&rig, mailbox, criteria_make(&rig));
		messages += mailbox->messages;
	}
	print_message("# %llu strings in %u searches; %llu messages found; of %llu messages %llu were opened\n",
		(unsigned long long)rig.needles, (unsigned)SEARCHES, (unsigned long long)rig.found,
		(unsigned long long)messages, (unsigned long long)opened);
	/* It decides, and it does not decide everything: both ways were gone. */
	assert_true(opened < messages / 3);
	assert_true(opened > 0 && rig.found > 0 && rig.found < messages);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_index_answers_as_the_mail_does)};

	if (argc != 2)
		return 2;
	messages_path = argv[1];
	return cmocka_run_group_tests_name("store: search in real mail", tests, setup, teardown);
}
