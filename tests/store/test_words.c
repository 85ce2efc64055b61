/*
 * Files of words against the texts they were made from: whatever is asked, what they say must be so - what has a string, what may have it, what has it not -
 * of texts made of few characters, so that everything is found everywhere. All follows from a seed that is printed when something differs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/words/internal.h"

enum { DOCS = 150, TEXTS_MAX = 3, NEEDLES = 3000, PATHS = 4, FIRST = 1000 };

struct doc {
	uint32_t number;
	struct buffer texts[WORDS_STREAMS][TEXTS_MAX];
	size_t count[WORDS_STREAMS];
};
struct world {
	char dir[64], path[PATHS][96];
	uint64_t seed, random;
	struct doc docs[DOCS];
	struct words_id id;
	uint64_t exact, maybe, silent;
};

/* ---- Chance ---- */

static uint64_t below(struct world *w, uint64_t bound)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (w->random >> 11) % bound;
}

static const char *const bits_of_text[] = {"A", "B", "AB", "BA", "A", "B", "7", "Ö", "O\xcc\x88", "漢", "字", "か",
	"한", "ก", " ", " ", ".", "-", "\r\n", "“", "😀", "\xff", "\xc3", "\xe6\xbc", "_", "@", "A B", "AB.BA"};

static void put_text(struct world *w, struct buffer *b)
{
	for (uint64_t n = below(w, 40); n > 0; n--) {
		const char *bit = bits_of_text[below(w, ARRAY_LEN(bits_of_text))];
		/* Once in a while a word that is kept in pieces. */
		uint64_t times = below(w, 25) ? 1 : 60 + below(w, 300);

		while (times-- > 0)
			buffer_put_text(b, below(w, 4) || times == 0 ? bit : "A");
	}
}

static void make_docs(struct world *w)
{
	uint32_t number = FIRST;

	for (size_t i = 0; i < DOCS; i++) {
		struct doc *d = &w->docs[i];

		d->number = number;
		number += 1 + (uint32_t)below(w, 3);
		for (size_t s = 0; s < WORDS_STREAMS; s++) {
			d->count[s] = below(w, TEXTS_MAX + 1);
			for (size_t t = 0; t < d->count[s]; t++) {
				d->texts[s][t] = BUFFER_INIT(1 << 20);
				put_text(w, &d->texts[s][t]);
			}
		}
	}
	w->id = (struct words_id){77, 5, FIRST, number};
}

/* ---- Building ---- */

/* In pieces that end between characters, as texts come. */
static void put_in_pieces(struct world *w, struct words_builder *b, enum words_stream stream, struct slice text)
{
	struct buffer window = BUFFER_INIT(1 << 20);
	size_t left;

	while (text.len) {
		struct slice piece = token_first_chars(text, 1 + (unsigned)below(w, 50));

		buffer_put(&window, piece);
		text = slice_from(text, piece.len);
		left = words_builder_text(b, stream, buffer_slice(&window), false);
		buffer_consume(&window, window.len - left);
	}
	assert_int_equal(words_builder_text(b, stream, buffer_slice(&window), true), 0);
	buffer_free(&window);
}

static void put_doc(struct world *w, struct words_builder *b, const struct doc *d)
{
	words_builder_begin(b, d->number);
	for (enum words_stream s = 0; s < WORDS_STREAMS; s++)
		for (size_t t = 0; t < d->count[s]; t++) {
			if (s < WORDS_COLUMNS)
				words_builder_value(b, s, buffer_slice(&d->texts[s][t]));
			else
				put_in_pieces(w, b, s, buffer_slice(&d->texts[s][t]));
		}
}

/* Those from `first` to below `end`; every one that `without` says is begun, but not listed. */
static void build(struct world *w, size_t first, size_t end, size_t without, const char *path, struct words_id *ret_id)
{
	struct words_builder *b;

	*ret_id = w->id;
	ret_id->first = w->docs[first].number;
	ret_id->last = w->docs[end - 1].number;
	assert_int_equal(words_builder_new(w->random, &b), 0);
	for (size_t i = first; i < end; i++) {
		put_doc(w, b, &w->docs[i]);
		assert_int_equal(words_builder_end(b, !without || i % without), 0);
	}
	assert_int_equal(words_builder_write(b, &file_system_real, path, ret_id), 0);
	words_builder_free(&b);
}

static int setup(void **state)
{
	static struct world w;
	const char *seed = getenv("PENFOLD_SEED");

	w = (struct world){.seed = seed ? strtoull(seed, NULL, 10) : 88172645463325252};
	w.random = w.seed;
	(void)snprintf(
		w.dir, sizeof(w.dir), "%s/penfold-words-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(w.dir));
	for (int i = 0; i < PATHS; i++)
		(void)snprintf(w.path[i], sizeof(w.path[i]), "%s/%d", w.dir, i);
	make_docs(&w);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < DOCS; i++)
		for (size_t s = 0; s < WORDS_STREAMS; s++)
			for (size_t t = 0; t < w->docs[i].count[s]; t++)
				buffer_free(&w->docs[i].texts[s][t]);
	for (int i = 0; i < PATHS; i++)
		(void)unlink(w->path[i]);
	return rmdir(w->dir);
}

/* ---- Asking ---- */

static bool has(struct slice text, struct slice needle)
{
	return !needle.len || (text.len >= needle.len && memmem(text.at, text.len, needle.at, needle.len));
}

static bool doc_has(const struct doc *d, unsigned streams, struct slice needle)
{
	for (size_t s = 0; s < WORDS_STREAMS; s++)
		for (size_t t = 0; t < d->count[s]; t++)
			if ((streams >> s & 1) && has(buffer_slice(&d->texts[s][t]), needle))
				return true;
	return false;
}

static const struct doc *doc_of(const struct world *w, uint32_t number)
{
	for (size_t i = 0; i < DOCS; i++)
		if (w->docs[i].number == number)
			return &w->docs[i];
	return NULL;
}

static void compare(struct world *w, struct words_segment *segment, const struct words_question *q,
	const uint64_t *hits, const uint64_t *sure)
{
	if (!hits) {
		w->silent++;
		return;
	}
	for (uint32_t i = 0; i < words_segment_count(segment); i++) {
		uint32_t number = words_segment_numbers(segment)[i];
		bool may = hits[i / 64] >> i % 64 & 1, must = sure[i / 64] >> i % 64 & 1;
		bool has_it = doc_has(doc_of(w, number), q->streams, q->text);

		if ((has_it && !may) || (must && !(may && has_it)))
			fail_msg("seed %llu: \"%.*s\" in streams %x of %u: %s, %s", (unsigned long long)w->seed,
				SLICE_ARG(q->text), q->streams, number, may ? "may" : "has not", must ? "has" : "open");
		*(may == must ? &w->exact : &w->maybe) += 1;
	}
}

static void ask(struct world *w, struct words_segment *segment, const struct words_question *questions, size_t count)
{
	struct words_ask *asking;
	const uint64_t *sure = NULL;
	bool done = false;

	assert_int_equal(words_ask_new(questions, count, &asking), 0);
	assert_int_equal(words_ask_begin(asking, segment), 0);
	while (!done)
		assert_int_equal(words_ask_step(asking, &done), 0);
	for (size_t i = 0; i < count; i++) {
		const uint64_t *hits = words_ask_hits(asking, i, &sure);

		compare(w, segment, &questions[i], hits, sure);
	}
	words_ask_free(&asking);
}

/* A part of some text, mostly a short one, cut anywhere; or one made up. */
static struct slice some_needle(struct world *w, struct buffer *made)
{
	const struct doc *d = &w->docs[below(w, DOCS)];
	size_t stream = below(w, WORDS_STREAMS);
	struct slice text;

	buffer_reset(made);
	if (below(w, 4) == 0 || !d->count[stream]) {
		for (uint64_t n = 1 + below(w, 5); n > 0; n--)
			buffer_put_text(made, bits_of_text[below(w, ARRAY_LEN(bits_of_text))]);
		return buffer_slice(made);
	}
	text = buffer_slice(&d->texts[stream][below(w, d->count[stream])]);
	text = slice_from(text, below(w, text.len + 1));
	return slice_first(text, 1 + below(w, below(w, 3) ? 12 : 300));
}

static void ask_much(struct world *w, struct words_segment *segment, unsigned needles)
{
	static const unsigned streams[] = {1u << WORDS_BODY, 1u << WORDS_HEAD, 1u << WORDS_BODY | 1u << WORDS_HEAD,
		1u << WORDS_SUBJECT, 1u << WORDS_FROM, 1u << WORDS_BCC};
	struct words_question questions[3];
	struct buffer made[3] = {BUFFER_INIT(4096), BUFFER_INIT(4096), BUFFER_INIT(4096)};

	for (unsigned i = 0; i < needles; i++) {
		size_t count = 1 + below(w, 3);

		for (size_t q = 0; q < count; q++)
			questions[q] = (struct words_question){
				.streams = streams[below(w, ARRAY_LEN(streams))], .text = some_needle(w, &made[q])};
		ask(w, segment, questions, count);
	}
	for (size_t q = 0; q < 3; q++)
		buffer_free(&made[q]);
}

static struct words_segment *opened(const char *path, const struct words_id *id)
{
	struct words_segment *segment;

	assert_int_equal(words_segment_open(&file_system_real, NULL, path, id, &segment), 0);
	return segment;
}

/* ---- Tests ---- */

static void postings_come_back(void **state)
{
	enum { OF_MAX = 5000 };
	struct world *w = *state;
	uint32_t *in = malloc(OF_MAX * sizeof(*in)), *out = malloc(OF_MAX * sizeof(*out));
	struct buffer bytes = BUFFER_INIT(1 << 20);

	for (unsigned i = 0; i < 3000; i++) {
		uint32_t of = 1 + (uint32_t)below(w, below(w, 2) ? 40 : OF_MAX), count = 0, length;
		uint64_t one_of = 1 + below(w, 1 + below(w, of));

		for (uint32_t n = 0; n < of; n++)
			if (below(w, one_of) == 0 || (n + 1 == of && !count))
				in[count++] = n;
		buffer_reset(&bytes);
		postings_put(in, count, of, &bytes);
		if (postings_length(count, of, &length))
			assert_int_equal(length, bytes.len);
		assert_int_equal(postings_read(buffer_slice(&bytes), count, of, out), 0);
		assert_memory_equal(in, out, count * sizeof(*in));
		if (bytes.len)
			assert_int_not_equal(
				postings_read(slice_first(buffer_slice(&bytes), bytes.len - 1), count, of, out), 0);
	}
	free(in);
	free(out);
	buffer_free(&bytes);
}

static void token_is(struct slice *rest, enum token_class class, const char *text)
{
	struct token token;

	assert_true(token_next(rest, &token));
	assert_int_equal(token.class, class);
	assert_true(slice_equal(token.text, slice_of(text)));
}

static void texts_are_cut_by_their_characters(void **state)
{
	struct slice rest = SLICE("AB7Ö: 漢字X\xff\xc3“かな😀");

	(void)state;
	token_is(&rest, TOKEN_WORD, "AB7Ö");
	token_is(&rest, TOKEN_SIGN, ":");
	token_is(&rest, TOKEN_SIGN, " ");
	token_is(&rest, TOKEN_CHARS, "漢字");
	token_is(&rest, TOKEN_WORD, "X");
	token_is(&rest, TOKEN_RAW, "\xff");
	token_is(&rest, TOKEN_RAW, "\xc3");
	token_is(&rest, TOKEN_SIGN, "“");
	token_is(&rest, TOKEN_CHARS, "かな");
	token_is(&rest, TOKEN_SIGN, "😀");
	assert_int_equal(rest.len, 0);
}

static bool is_exact(const char *text)
{
	struct pieces pieces = {.exact = true};

	return pieces_add(&pieces, slice_of(text)) && pieces.exact;
}

static void what_is_exact_is_known(void **state)
{
	struct pieces pieces = {.exact = true};

	(void)state;
	assert_true(is_exact("N"));
	assert_true(is_exact("NEEDLE"));
	assert_true(is_exact("KO\xcc\x88LN"));
	assert_true(is_exact("漢"));
	assert_true(is_exact("漢字"));
	assert_true(is_exact("-"));
	assert_true(is_exact("“"));
	assert_true(is_exact("ABCDEFGHIJKLMNOPQRSTUVWXY"));
	assert_false(is_exact("ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	assert_false(is_exact("A B"));
	assert_false(is_exact("A "));
	assert_false(is_exact("--"));
	assert_false(is_exact("漢字か"));
	assert_false(is_exact("A漢"));
	assert_false(pieces_add(&pieces, SLICE("A\xff")));
	assert_false(pieces_add(&pieces, SLICE("\xcc")));
	assert_false(pieces_add(&pieces, SLICE("")));
}

static void answers_are_those_of_the_texts(void **state)
{
	struct world *w = *state;
	struct words_segment *segment;
	struct words_id id;
	const struct words_question empty = {.streams = 1u << WORDS_TO, .text = {NULL, 0}};

	build(w, 0, DOCS, 0, w->path[0], &id);
	segment = opened(w->path[0], &id);
	assert_int_equal(words_segment_count(segment), DOCS);
	assert_int_equal(words_segment_verify(segment), 0);
	ask_much(w, segment, NEEDLES);
	ask(w, segment, &empty, 1);
	words_segment_close(&segment);
	assert_null(segment);
	/* None of the three is only there in theory. */
	print_message("# %llu exact, %llu perhaps, %llu unanswered\n", (unsigned long long)w->exact,
		(unsigned long long)w->maybe, (unsigned long long)w->silent);
	assert_true(w->exact > NEEDLES / 2 * DOCS && w->maybe > NEEDLES / 8 * DOCS && w->silent > NEEDLES / 8);
}

/* What words leave open of a column is looked for in the values where many messages may have it, and left where few may. */
static void values_are_read_where_many_may_have_it(void **state)
{
	enum { MANY = 700, ALL = 4000, FEW_FROM = 2400 };
	struct world *w = *state;
	const struct words_question questions[] = {{1u << WORDS_FROM, SLICE("XX YY"), {NULL, 0}},
		{1u << WORDS_FROM, SLICE("\xff"), {NULL, 0}}, {1u << WORDS_FROM, SLICE("XX"), {NULL, 0}}};
	struct buffer text = BUFFER_INIT(128);
	const struct words_id id = {77, 5, 1, ALL};
	struct words_segment *segment;
	struct words_builder *b;
	struct words_ask *asking;
	const uint64_t *hits[3], *sure[3];
	bool done = false;

	assert_int_equal(words_builder_new(1, &b), 0);
	for (unsigned i = 0; i < ALL; i++) {
		bool many = i < MANY && i % 10 < 2, few = i == FEW_FROM || i == FEW_FROM + 1;

		buffer_reset(&text);
		buffer_printf(&text, "NUMBER %u, MORE THAN ANYBODY NEEDS: %s", i,
			!many && !few ? ""
			: i % 10      ? "YY XX"
				      : "XX YY");
		buffer_put_text(&text, i % 1000 == 999 ? "\xff" : "");
		words_builder_begin(b, i + 1);
		words_builder_value(b, WORDS_FROM, buffer_slice(&text));
		assert_int_equal(words_builder_end(b, true), 0);
	}
	assert_int_equal(words_builder_write(b, &file_system_real, w->path[0], &id), 0);
	words_builder_free(&b);
	segment = opened(w->path[0], &id);
	assert_in_range(segment->first_block[WORDS_FROM + 1] - segment->first_block[WORDS_FROM], 4, 8);
	assert_int_equal(words_ask_new(questions, 3, &asking), 0);
	assert_int_equal(words_ask_begin(asking, segment), 0);
	while (!done)
		assert_int_equal(words_ask_step(asking, &done), 0);
	for (size_t q = 0; q < 3; q++)
		hits[q] = words_ask_hits(asking, q, &sure[q]);
	for (unsigned i = 0; i < ALL; i++) {
		bool both = (i < MANY && i % 10 < 2) || i == FEW_FROM || i == FEW_FROM + 1;
		unsigned bit = i % 64;

		assert_int_equal(hits[0][i / 64] >> bit & 1, i < MANY ? i % 10 == 0 : both);
		assert_int_equal(sure[0][i / 64] >> bit & 1, i < MANY && i % 10 == 0);
		assert_int_equal(hits[1][i / 64] >> bit & 1, i % 1000 == 999);
		assert_int_equal(sure[1][i / 64] >> bit & 1, i % 1000 == 999);
		assert_int_equal(hits[2][i / 64] >> bit & 1, both);
		assert_int_equal(sure[2][i / 64] >> bit & 1, both);
	}
	words_ask_free(&asking);
	words_segment_close(&segment);
	buffer_free(&text);
}

static void many_become_one(void **state)
{
	struct world *w = *state;
	struct words_segment *from[3], *merged;
	struct words_id id[4];
	uint32_t live[DOCS];
	size_t live_count = 0;

	build(w, 0, 40, 0, w->path[0], &id[0]);
	build(w, 40, 41, 0, w->path[1], &id[1]);
	build(w, 41, DOCS, 7, w->path[2], &id[2]);
	for (size_t i = 0; i < 3; i++)
		from[i] = opened(w->path[i], &id[i]);
	for (size_t i = 0; i < DOCS; i++)
		if (i % 3)
			live[live_count++] = w->docs[i].number;
	id[3] = id[0];
	id[3].last = id[2].last;
	assert_int_equal(words_merge(from, 3, live, live_count, &file_system_real, w->path[3], &id[3]), 0);
	merged = opened(w->path[3], &id[3]);
	assert_int_equal(words_segment_verify(merged), 0);
	for (size_t i = 0, at = 0; i < DOCS; i++) {
		if (i % 3 == 0 || (i >= 41 && i % 7 == 0))
			continue;
		assert_int_equal(words_segment_numbers(merged)[at++], w->docs[i].number);
	}
	ask_much(w, merged, NEEDLES / 4);
	words_segment_close(&merged);
	/* Of none that is alive nothing is made. */
	assert_int_equal(words_merge(from, 3, live, 0, &file_system_real, w->path[3], &id[3]), -ENOENT);
	for (size_t i = 0; i < 3; i++)
		words_segment_close(&from[i]);
}

static void what_is_too_large_is_left_out(void **state)
{
	struct world *w = *state;
	struct words_builder *b;
	struct words_segment *segment;
	struct buffer huge = BUFFER_INIT(1 << 20);
	struct words_id id = {77, 5, 1, 9};

	for (unsigned i = 0; huge.len < 600000; i++)
		buffer_printf(&huge, "NUMBER%uX ", i);
	assert_int_equal(words_builder_new(1, &b), 0);
	for (uint32_t i = 1; i <= 9; i++) {
		words_builder_begin(b, i);
		if (i == 3)
			(void)words_builder_text(b, WORDS_BODY, buffer_slice(&huge), true);
		else if (i == 6)
			words_builder_value(b, WORDS_CC, slice_first(buffer_slice(&huge), VALUE_MAX + 1));
		else
			(void)words_builder_text(b, WORDS_BODY, SLICE("A WORD"), true);
		assert_int_equal(words_builder_end(b, true), 0);
	}
	assert_int_equal(words_builder_write(b, &file_system_real, w->path[0], &id), 0);
	words_builder_free(&b);
	segment = opened(w->path[0], &id);
	assert_int_equal(words_segment_count(segment), 7);
	assert_int_equal(words_segment_verify(segment), 0);
	for (uint32_t i = 0; i < 7; i++)
		assert_true(words_segment_numbers(segment)[i] % 3 || words_segment_numbers(segment)[i] == 9);
	words_segment_close(&segment);
	buffer_free(&huge);
}

static void another_ones_file_is_none(void **state)
{
	struct world *w = *state;
	struct words_segment *segment = NULL;
	struct words_id id, other;

	build(w, 0, 20, 0, w->path[0], &id);
	for (int i = 0; i < 4; i++) {
		other = id;
		other.epoch += i == 0;
		other.account += i == 1;
		other.first += i == 2;
		other.last += i == 3;
		assert_int_equal(words_segment_open(&file_system_real, NULL, w->path[0], &other, &segment), -EBADMSG);
	}
	(void)unlink(w->path[0]);
	assert_int_equal(words_segment_open(&file_system_real, NULL, w->path[0], &id, &segment), -ENOENT);
	assert_null(segment);
}

/* Every byte, in turn: it is noticed by whoever reads all, and nobody is told anything wrong. */
static void a_flipped_bit_is_noticed(void **state)
{
	struct world *w = *state;
	struct words_segment *segment = NULL;
	struct words_id id;
	uint64_t bytes;
	int file;

	build(w, 0, 12, 0, w->path[0], &id);
	assert_int_equal(file_system_real.open(NULL, w->path[0], FILE_WRITE, &file), 0);
	assert_int_equal(file_system_real.size(NULL, file, &bytes), 0);
	for (uint64_t at = 0; at < bytes; at++) {
		char byte, flipped;
		size_t have;
		int error;

		assert_int_equal(file_system_real.read(NULL, file, at, &byte, 1, &have), 0);
		flipped = (char)(byte ^ 1 << at % 8);
		assert_int_equal(file_system_real.write(NULL, file, at, (struct slice){&flipped, 1}), 0);
		error = words_segment_open(&file_system_real, NULL, w->path[0], &id, &segment);
		if (!error)
			error = words_segment_verify(segment);
		words_segment_close(&segment);
		if (error != -EBADMSG)
			fail_msg("byte %llu of %llu: %d", (unsigned long long)at, (unsigned long long)bytes, error);
		assert_int_equal(file_system_real.write(NULL, file, at, (struct slice){&byte, 1}), 0);
	}
	assert_int_equal(file_system_real.truncate(NULL, file, bytes - 1), 0);
	segment = NULL;
	assert_int_equal(words_segment_open(&file_system_real, NULL, w->path[0], &id, &segment), -EBADMSG);
	assert_int_equal(file_system_real.close(NULL, file), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(postings_come_back),
		cmocka_unit_test(texts_are_cut_by_their_characters),
		cmocka_unit_test(what_is_exact_is_known),
		cmocka_unit_test(answers_are_those_of_the_texts),
		cmocka_unit_test(values_are_read_where_many_may_have_it),
		cmocka_unit_test(many_become_one),
		cmocka_unit_test(what_is_too_large_is_left_out),
		cmocka_unit_test(another_ones_file_is_none),
		cmocka_unit_test(a_flipped_bit_is_noticed),
	};

	return cmocka_run_group_tests_name("store: words", tests, setup, teardown);
}
