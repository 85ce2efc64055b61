/* Several files into one: their terms in order, each with the messages of all of them that are alive. */
#include "store/words/internal.h"

enum { GONE = UINT32_MAX };

struct source {
	struct words_segment *segment;
	uint32_t *become; /* ordinal -> the new one, or GONE */
	struct block block;
	size_t next_block, end_block;
	uint32_t at;       /* in the block */
	struct slice term; /* empty: there is none any more */
	struct slice rest; /* of the block's text, behind it */
};
struct merge {
	struct source *sources;
	size_t count;
	uint32_t *scratch, *ordinals; /* as many as the largest source has, as the new one has */
	struct words_writer *writer;
};

static int source_next(struct source *s)
{
	int error = 0;

	s->at++;
	if (s->term.len && s->at < s->block.count) {
		s->term = slice_split(&s->rest, (char)TERM_END);
		return 0;
	}
	s->term = (struct slice){NULL, 0};
	if (s->next_block == s->end_block)
		return 0;
	error = block_read_terms(s->segment, &s->segment->blocks[s->next_block++], &s->block);
	if (error)
		return error;
	s->at = 0;
	s->rest = slice_from(buffer_slice(&s->block.text), 1);
	s->term = slice_split(&s->rest, (char)TERM_END);
	return s->term.len ? 0 : -EBADMSG;
}

static int take_postings(struct merge *m, struct source *s, uint32_t *count)
{
	const struct term_place *places = NULL;
	struct slice bytes;
	int error = block_read_postings(s->segment, &s->block, &places);

	if (error)
		return error;
	bytes = slice_first(slice_from(buffer_slice(&s->block.postings), places[s->at].at), places[s->at].bytes);
	error = postings_read(bytes, places[s->at].count, s->segment->count, m->scratch);
	for (uint32_t i = 0; !error && i < places[s->at].count; i++)
		if (s->become[m->scratch[i]] != GONE)
			m->ordinals[(*count)++] = s->become[m->scratch[i]];
	return error;
}

static int merge_terms(struct merge *m, enum words_stream stream)
{
	struct slice least;
	char term[WORDS_TERM_MAX];
	uint32_t count;
	int error = 0;

	for (size_t i = 0; !error && i < m->count; i++) {
		struct source *s = &m->sources[i];

		s->next_block = s->segment->first_block[stream];
		s->end_block = s->segment->first_block[stream + 1];
		s->term = (struct slice){NULL, 0};
		error = source_next(s);
	}
	while (!error) {
		least = (struct slice){NULL, 0};
		for (size_t i = 0; i < m->count; i++)
			if (m->sources[i].term.len && (!least.len || slice_compare(m->sources[i].term, least) < 0))
				least = m->sources[i].term;
		if (!least.len)
			break;
		memcpy(term, least.at, least.len);
		least.at = term;
		count = 0;
		for (size_t i = 0; !error && i < m->count; i++) {
			if (!slice_equal(m->sources[i].term, least))
				continue;
			error = take_postings(m, &m->sources[i], &count);
			if (!error)
				error = source_next(&m->sources[i]);
		}
		if (!error && count)
			words_writer_term(m->writer, least, m->ordinals, count);
	}
	return error;
}

/* The values of a block. *least: what is below it has been. */
static int take_values(struct merge *m, struct source *s, uint32_t *least)
{
	for (uint32_t n = 0; n < s->block.count; n++) {
		struct value_place place = block_values(&s->block)[n];
		struct slice value = {s->block.text.at + place.at, place.bytes};
		uint32_t ordinal = s->become[place.ordinal];

		if (ordinal == GONE)
			continue;
		if (place.bytes > VALUE_MAX || ordinal < *least)
			return -EBADMSG;
		words_writer_value(m->writer, ordinal, value);
		*least = ordinal;
	}
	return 0;
}

static int merge_values(struct merge *m, enum words_stream stream)
{
	uint32_t least = 0;
	int error = 0;

	for (size_t i = 0; !error && i < m->count; i++) {
		struct source *s = &m->sources[i];
		const struct words_segment *segment = s->segment;

		for (size_t b = segment->first_block[stream]; !error && b < segment->first_block[stream + 1]; b++) {
			error = block_read_values(s->segment, &segment->blocks[b], &s->block);
			if (!error)
				error = take_values(m, s, &least);
		}
	}
	return error;
}

/* Which of each source are alive, and what they become. */
static int sources_open(struct merge *m, struct words_segment *const *from, const uint32_t *live, size_t live_count,
	uint32_t *numbers, uint32_t *ret_count)
{
	uint32_t count = 0;
	size_t at = 0;

	for (size_t i = 0; i < m->count; i++) {
		struct source *s = &m->sources[i];

		s->segment = from[i];
		s->block = BLOCK_INIT;
		s->become = malloc(from[i]->count * sizeof(*s->become));
		if (!s->become)
			return -ENOMEM;
		for (uint32_t n = 0; n < from[i]->count; n++) {
			while (at < live_count && live[at] < from[i]->numbers[n])
				at++;
			s->become[n] = GONE;
			if (at < live_count && live[at] == from[i]->numbers[n]) {
				s->become[n] = count;
				numbers[count++] = live[at];
			}
		}
	}
	*ret_count = count;
	return 0;
}

static int merge_run(struct merge *m)
{
	int error = 0;

	for (enum words_stream i = 0; !error && i < WORDS_STREAMS_ALL; i++) {
		words_writer_stream(m->writer, i);
		error = i < WORDS_COLUMNS ? merge_values(m, i) : merge_terms(m, i);
	}
	return words_writer_end(&m->writer, error);
}

int words_merge(struct words_segment *const *from, size_t count, const uint32_t *live, size_t live_count,
	const struct file_system *files, const char *path, const struct words_id *id)
{
	struct merge m = {.count = count};
	uint32_t all = 0, largest = 0, left = 0, *numbers;
	int error = 0;

	for (size_t i = 0; i < count; i++) {
		all += from[i]->count;
		largest = MAX(largest, from[i]->count);
	}
	m.sources = calloc(count, sizeof(*m.sources));
	m.scratch = malloc(largest * sizeof(*m.scratch));
	m.ordinals = malloc(all * sizeof(*m.ordinals));
	numbers = malloc(all * sizeof(*numbers));
	if (!m.sources || !m.scratch || !m.ordinals || !numbers)
		error = -ENOMEM;
	if (!error)
		error = sources_open(&m, from, live, live_count, numbers, &left);
	if (!error && (!left || left > WORDS_EMAILS_MAX))
		error = left ? -ENOBUFS : -ENOENT;
	if (!error)
		error = words_writer_new(files, path, id, numbers, left, &m.writer);
	if (!error)
		error = merge_run(&m);
	for (size_t i = 0; m.sources && i < count; i++) {
		free(m.sources[i].become);
		block_free(&m.sources[i].block);
	}
	free(m.sources);
	free(m.scratch);
	free(m.ordinals);
	free(numbers);
	return error;
}
