/* Asking a file: block by block, each unpacked once for all questions. */
#include "store/words/internal.h"

struct asked {
	const struct words_question *question;
	struct pieces pieces;
	bool can;                 /* be answered at all */
	uint64_t *hits;           /* in the file */
	uint64_t *of[PIECES_MAX]; /* of each piece, in the stream */
	bool full[PIECES_MAX];    /* all have it: there is nothing more to find out */
};
struct words_ask {
	struct asked *asked;
	size_t count;
	struct words_segment *segment;
	size_t words; /* of a set of bits */
	uint64_t *sets;
	size_t set_count;
	uint32_t *scratch;
	enum words_stream stream;
	size_t next_block;
	struct block block;
};

static void question_take(struct asked *a, const struct words_question *question)
{
	a->question = question;
	a->pieces.exact = true;
	a->can = true;
	if (question->streams < 1u << WORDS_COLUMNS)
		return;
	if (question->text.len)
		a->can = pieces_add(&a->pieces, question->text);
	if (question->name.len && a->can) {
		a->can = pieces_add(&a->pieces, question->name);
		a->pieces.exact = false; /* it may be in the other one's value */
	}
	a->can &= a->pieces.count > 0;
}

int words_ask_new(const struct words_question *questions, size_t count, struct words_ask **ret_ask)
{
	struct words_ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return -ENOMEM;
	ask->block = BLOCK_INIT;
	ask->count = count;
	ask->asked = calloc(count, sizeof(*ask->asked));
	if (!ask->asked) {
		words_ask_free(&ask);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		question_take(&ask->asked[i], &questions[i]);
		ask->set_count += 1 + ask->asked[i].pieces.count;
	}
	*ret_ask = ask;
	return 0;
}

void words_ask_free(struct words_ask **ask)
{
	if (!*ask)
		return;
	block_free(&(*ask)->block);
	free((*ask)->asked);
	free((*ask)->sets);
	free((*ask)->scratch);
	free(*ask);
	*ask = NULL;
}

/* Some question is about it. */
static bool is_asked(const struct words_ask *ask, enum words_stream stream)
{
	for (size_t i = 0; i < ask->count; i++)
		if (ask->asked[i].can && ask->asked[i].question->streams >> stream & 1)
			return true;
	return false;
}

static void stream_begin(struct words_ask *ask, enum words_stream stream)
{
	while (stream < WORDS_STREAMS && !is_asked(ask, stream))
		stream++;
	ask->stream = stream;
	ask->next_block = ask->segment->first_block[stream];
}

int words_ask_begin(struct words_ask *ask, struct words_segment *segment)
{
	uint64_t *at;

	free(ask->sets);
	free(ask->scratch);
	ask->segment = segment;
	ask->words = segment->count / 64 + 1;
	ask->sets = calloc(ask->set_count * ask->words, sizeof(*ask->sets));
	ask->scratch = malloc(segment->count * sizeof(*ask->scratch));
	at = ask->sets;
	if (!ask->sets || !ask->scratch)
		return -ENOMEM;
	for (size_t i = 0; i < ask->count; i++) {
		memset(ask->asked[i].full, 0, sizeof(ask->asked[i].full));
		ask->asked[i].hits = at;
		at += ask->words;
		for (size_t piece = 0; piece < ask->asked[i].pieces.count; piece++) {
			ask->asked[i].of[piece] = at;
			at += ask->words;
		}
	}
	stream_begin(ask, 0);
	return 0;
}

/* ---- A block of words ---- */

/* Each term that has the piece gives its messages. */
static int look_for_piece(struct words_ask *ask, struct slice piece, uint64_t *bits)
{
	struct slice text = buffer_slice(&ask->block.text);
	const struct term_place *places = NULL;
	const char *at = text.at, *term = text.at, *end = text.at + text.len;
	uint32_t index = 0;
	int error = 0;

	while (!error && (at = memmem(at, (size_t)(end - at), piece.at, piece.len))) {
		const char *inside = at + (*at == (char)TERM_END), *next;
		struct slice bytes;

		/* `term` is the TERM_END before the term with that index. */
		while ((next = memchr(term + 1, TERM_END, (size_t)(end - term - 1))) && next < inside) {
			term = next;
			index++;
		}
		error = block_read_postings(ask->segment, &ask->block, &places);
		if (error || index >= ask->block.count)
			break;
		bytes = slice_first(
			slice_from(buffer_slice(&ask->block.postings), places[index].at), places[index].bytes);
		error = postings_mark(bytes, places[index].count, ask->segment->count, ask->scratch, bits);
		if (!next)
			break;
		at = term = next;
		index++;
	}
	return error;
}

static bool is_full(const uint64_t *bits, uint32_t count)
{
	for (uint32_t i = 0; i < count / 64; i++)
		if (bits[i] != UINT64_MAX)
			return false;
	return count % 64 == 0 || bits[count / 64] == ((uint64_t)1 << count % 64) - 1;
}

static int look_for_pieces(struct words_ask *ask, struct asked *a)
{
	int error = 0;

	for (size_t i = 0; !error && i < a->pieces.count; i++) {
		const struct piece *piece = &a->pieces.list[i];

		if (a->full[i])
			continue;
		error = look_for_piece(ask, (struct slice){piece->bytes, piece->len}, a->of[i]);
		a->full[i] = is_full(a->of[i], ask->segment->count);
	}
	return error;
}

static int look_in_terms(struct words_ask *ask, const struct block_place *place)
{
	int error = block_read_terms(ask->segment, place, &ask->block);

	for (size_t i = 0; !error && i < ask->count; i++) {
		struct asked *a = &ask->asked[i];

		if (a->can && (a->question->streams >> ask->stream & 1))
			error = look_for_pieces(ask, a);
	}
	return error;
}

/* ---- A block of values ---- */

static void look_in_values(const struct block *block, struct slice needle, uint64_t *bits)
{
	const struct value_place *places = block_values(block), *place = places, *last = places + block->count;
	const char *text = block->text.at, *at = text;
	size_t len = block->text.len;

	for (uint32_t i = 0; i < block->count && !needle.len; i++)
		bits[places[i].ordinal / 64] |= (uint64_t)1 << places[i].ordinal % 64;
	while (needle.len && len && (at = memmem(at, len - (size_t)(at - text), needle.at, needle.len))) {
		size_t offset = (size_t)(at - text);

		while (place < last && place->at + place->bytes <= offset)
			place++;
		if (place == last)
			break;
		if (offset + needle.len <= place->at + place->bytes) {
			bits[place->ordinal / 64] |= (uint64_t)1 << place->ordinal % 64;
			at = text + place->at + place->bytes; /* once is enough */
		} else {
			at++; /* across two values */
		}
	}
}

static int look_in_column(struct words_ask *ask, const struct block_place *place)
{
	int error = block_read_values(ask->segment, place, &ask->block);

	for (size_t i = 0; !error && i < ask->count; i++)
		if (ask->asked[i].question->streams >> ask->stream & 1)
			look_in_values(&ask->block, ask->asked[i].question->text, ask->asked[i].hits);
	return error;
}

/* ---- */

/* What has all pieces in this stream. */
static void stream_end(struct words_ask *ask)
{
	if (ask->stream < WORDS_COLUMNS)
		return;
	for (size_t i = 0; i < ask->count; i++) {
		struct asked *a = &ask->asked[i];

		if (!a->can || !(a->question->streams >> ask->stream & 1))
			continue;
		for (size_t w = 0; w < ask->words; w++) {
			uint64_t all = UINT64_MAX;

			for (size_t piece = 0; piece < a->pieces.count; piece++) {
				all &= a->of[piece][w];
				a->of[piece][w] = 0;
			}
			a->hits[w] |= all;
		}
		memset(a->full, 0, sizeof(a->full));
	}
}

int words_ask_step(struct words_ask *ask, bool *ret_done)
{
	int error = 0;

	if (ask->stream < WORDS_STREAMS && ask->next_block < ask->segment->first_block[ask->stream + 1]) {
		const struct block_place *place = &ask->segment->blocks[ask->next_block++];

		error = ask->stream < WORDS_COLUMNS ? look_in_column(ask, place) : look_in_terms(ask, place);
	} else if (ask->stream < WORDS_STREAMS) {
		stream_end(ask);
		stream_begin(ask, ask->stream + 1);
	}
	if (!error)
		*ret_done = ask->stream == WORDS_STREAMS;
	return error;
}

const uint64_t *words_ask_hits(const struct words_ask *ask, size_t question, bool *ret_exact)
{
	const struct asked *a = &ask->asked[question];

	if (!a->can)
		return NULL;
	*ret_exact = a->pieces.exact;
	return a->hits;
}
