/* Reading a file of words: nothing in it is believed before its checksum fits, and nothing about its form even then. */
#include "store/words/internal.h"

#include "base/hash.h"

enum { COPY_SLACK = 16, TERMS_MAX = BLOCK_RAW_MAX / 3, STORED_MAX = 32 << 20 };

static int file_read(struct words_segment *s, uint64_t at, size_t bytes, uint32_t crc, struct buffer *out)
{
	size_t have = 0;
	char *room;
	int error;

	buffer_reset(out);
	room = buffer_room(out, bytes);
	if (!room)
		return buffer_error(out) == -ENOMEM ? -ENOMEM : -EBADMSG;
	error = s->files->read(s->files->context, s->file, at, room, bytes, &have);
	if (error)
		return error;
	buffer_added(out, have);
	return have == bytes && crc32c(0, out->at, out->len) == crc ? 0 : -EBADMSG;
}

static int unpack(struct words_segment *s, struct slice stored, size_t raw_bytes, struct buffer *out)
{
	size_t got;
	char *room;

	buffer_reset(out);
	if (raw_bytes > out->max - COPY_SLACK)
		return -EBADMSG;
	room = buffer_room(out, raw_bytes + COPY_SLACK);
	if (!room)
		return -ENOMEM;
	got = ZSTD_decompressDCtx(s->unpack, room, raw_bytes, stored.at, stored.len);
	if (got != raw_bytes)
		return -EBADMSG;
	buffer_added(out, got);
	return 0;
}

/* ---- Opening ---- */

struct header {
	uint64_t directory_at;
	uint32_t directory_bytes, directory_raw, directory_crc;
};

static int header_read(struct words_segment *s, struct header *ret_header)
{
	char bytes[HEADER_BYTES];
	struct reader r = READER_INIT(((struct slice){bytes, sizeof(bytes)}));
	struct words_id id;
	size_t have = 0;
	int error = s->files->read(s->files->context, s->file, 0, bytes, sizeof(bytes), &have);

	if (error)
		return error;
	if (have != sizeof(bytes) || !slice_equal(reader_bytes(&r, WORDS_MAGIC.len), WORDS_MAGIC))
		return -EBADMSG;
	id.epoch = reader_le64(&r);
	id.account = reader_le32(&r);
	id.first = reader_le32(&r);
	id.last = reader_le32(&r);
	s->count = reader_le32(&r);
	ret_header->directory_at = reader_le64(&r);
	ret_header->directory_bytes = reader_le32(&r);
	ret_header->directory_raw = reader_le32(&r);
	ret_header->directory_crc = reader_le32(&r);
	(void)reader_le64(&r);
	if (reader_le32(&r) != crc32c(0, bytes, sizeof(bytes) - 4))
		return -EBADMSG;
	if (id.epoch != s->id.epoch || id.account != s->id.account || id.first != s->id.first || id.last != s->id.last)
		return -EBADMSG;
	if (s->count == 0 || s->count > WORDS_EMAILS_MAX || ret_header->directory_raw > DIRECTORY_RAW_MAX ||
		ret_header->directory_bytes > STORED_MAX)
		return -EBADMSG;
	return 0;
}

static int numbers_read(struct words_segment *s, struct reader *r)
{
	uint64_t next = s->id.first;

	s->numbers = malloc(s->count * sizeof(*s->numbers));
	if (!s->numbers)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->count;) {
		uint64_t out = reader_varint(r), more = reader_varint(r), left = s->id.last + UINT64_C(1) - next;

		if (r->error || out >= left || more >= left - out || more >= s->count - i)
			return -EBADMSG;
		next += out;
		do
			s->numbers[i++] = (uint32_t)next++;
		while (more-- > 0);
	}
	return 0;
}

static int block_place_read(struct reader *r, bool of_column, uint64_t *at, struct block_place *place)
{
	uint64_t head = reader_varint(r), raw = reader_varint(r), more = reader_varint(r);

	*place = (struct block_place){
		.at = *at, .head_bytes = (uint32_t)head, .raw_bytes = (uint32_t)raw, .head_crc = reader_le32(r)};
	place->postings_crc = reader_le32(r);
	if (r->error || head > ZSTD_compressBound(BLOCK_RAW_MAX) || raw > BLOCK_RAW_MAX ||
		more > (of_column ? WORDS_EMAILS_MAX : BLOCK_POSTINGS_MAX))
		return -EBADMSG;
	if (of_column)
		place->first = (uint32_t)more;
	else
		place->postings_bytes = (uint32_t)more;
	*at += head + place->postings_bytes;
	return 0;
}

/* A message's values may go on in the next block. */
static int ordinals_place(struct words_segment *s, size_t first, size_t end)
{
	for (size_t i = first + 1; i < end; i++) {
		s->blocks[i].first += s->blocks[i - 1].first;
		if (s->blocks[i].first >= s->count)
			return -EBADMSG;
	}
	for (size_t i = first; i < end; i++)
		s->blocks[i].last = i + 1 < end ? s->blocks[i + 1].first : s->count - 1;
	return first < end && s->blocks[first].first >= s->count ? -EBADMSG : 0;
}

static int directory_read(struct words_segment *s, struct reader *r, uint64_t directory_at)
{
	uint64_t at = HEADER_BYTES;
	size_t blocks = 0, room = r->rest.len / 11; /* what one takes at least */
	int error = numbers_read(s, r);

	s->blocks = calloc(room + 1, sizeof(*s->blocks));
	if (!error && !s->blocks)
		error = -ENOMEM;
	for (size_t stream = 0; !error && stream < WORDS_STREAMS_ALL; stream++) {
		uint64_t count = reader_varint(r);

		s->first_block[stream] = blocks;
		if (count > room - blocks)
			return -EBADMSG;
		while (!error && count-- > 0)
			error = block_place_read(r, stream < WORDS_COLUMNS, &at, &s->blocks[blocks++]);
		if (!error && stream < WORDS_COLUMNS)
			error = ordinals_place(s, s->first_block[stream], blocks);
	}
	s->first_block[WORDS_STREAMS_ALL] = blocks;
	if (error)
		return error;
	return at == directory_at ? reader_finish(r) : -EBADMSG;
}

int words_segment_open(const struct file_system *files, struct words_contexts *contexts, const char *path,
	const struct words_id *id, struct words_segment **ret_segment)
{
	struct words_segment *s = calloc(1, sizeof(*s));
	struct buffer raw = BUFFER_INIT(DIRECTORY_RAW_MAX + COPY_SLACK);
	struct header header;
	struct reader r;
	int error;

	if (!s)
		return -ENOMEM;
	s->files = files;
	s->id = *id;
	s->file = -1;
	s->stored = BUFFER_INIT(STORED_MAX);
	s->contexts = contexts;
	s->unpack = words_context_take(contexts);
	error = s->unpack ? files->open(files->context, path, FILE_READ, &s->file) : -ENOMEM;
	if (!error)
		error = header_read(s, &header);
	if (!error)
		error = file_read(s, header.directory_at, header.directory_bytes, header.directory_crc, &s->stored);
	if (!error)
		error = unpack(s, buffer_slice(&s->stored), header.directory_raw, &raw);
	if (!error) {
		r = READER_INIT(buffer_slice(&raw));
		error = directory_read(s, &r, header.directory_at);
	}
	buffer_free(&raw);
	if (error)
		words_segment_close(&s);
	else
		*ret_segment = s;
	return error;
}

void words_segment_close(struct words_segment **segment)
{
	struct words_segment *s = *segment;

	if (!s)
		return;
	if (s->file >= 0)
		(void)s->files->close(s->files->context, s->file);
	words_context_give(s->contexts, s->unpack);
	buffer_free(&s->stored);
	free(s->numbers);
	free(s->blocks);
	free(s);
	*segment = NULL;
}

uint32_t words_segment_count(const struct words_segment *segment)
{
	return segment->count;
}

const uint32_t *words_segment_numbers(const struct words_segment *segment)
{
	return segment->numbers;
}

uint32_t *words_segment_take_numbers(struct words_segment *segment)
{
	uint32_t *numbers = segment->numbers;

	segment->numbers = NULL;
	return numbers;
}

/* ---- Blocks ---- */

void block_free(struct block *block)
{
	buffer_free(&block->raw);
	buffer_free(&block->text);
	buffer_free(&block->postings);
	free(block->places);
	block->places = NULL;
	block->room = 0;
}

static int head_read(struct words_segment *s, const struct block_place *place, struct block *block, struct reader *r)
{
	uint64_t count;
	int error = file_read(s, place->at, place->head_bytes, place->head_crc, &s->stored);

	block->placed = block->has_postings = false;
	block->place = place;
	if (!error)
		error = unpack(s, buffer_slice(&s->stored), place->raw_bytes, &block->raw);
	if (error)
		return error;
	*r = READER_INIT(buffer_slice(&block->raw));
	count = reader_varint(r);
	if (r->error || count == 0 || count > TERMS_MAX)
		return -EBADMSG;
	block->count = (uint32_t)count;
	return 0;
}

static int places_room(struct block *block, size_t each)
{
	void *grown;

	if (block->count * each <= block->room)
		return 0;
	grown = realloc(block->places, block->count * each);
	if (!grown)
		return -ENOMEM;
	block->places = grown;
	block->room = block->count * each;
	return 0;
}

/* Up to COPY_SLACK - 1 bytes more are read and written: almost all terms are copied at one go. */
static inline void copy_short(char *to, const char *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += COPY_SLACK) {
		char some[COPY_SLACK];

		memcpy(some, from + i, COPY_SLACK);
		memcpy(to + i, some, COPY_SLACK);
	}
}

/* The terms, whole again, one behind the other; the numbers of each are behind the lengths, and before the bytes. */
int block_read_terms(struct words_segment *s, const struct block_place *place, struct block *block)
{
	struct reader r;
	struct slice shared, own, bytes;
	size_t own_bytes = 0, all = 1, len = 0;
	char *to;
	int error = head_read(s, place, block, &r);

	if (error)
		return error;
	shared = reader_bytes(&r, block->count);
	own = reader_bytes(&r, block->count);
	if (r.error)
		return -EBADMSG;
	for (uint32_t i = 0; i < block->count; i++) {
		size_t common = (unsigned char)shared.at[i], more = (unsigned char)own.at[i];

		if (common > len || common + more == 0 || common + more > WORDS_TERM_MAX)
			return -EBADMSG;
		len = common + more;
		own_bytes += more;
		all += len + 1;
	}
	if (own_bytes > r.rest.len || all > BLOCK_TEXT_MAX)
		return -EBADMSG;
	block->numbers = READER_INIT(slice_first(r.rest, r.rest.len - own_bytes));
	bytes = slice_from(r.rest, r.rest.len - own_bytes);
	buffer_reset(&block->text);
	to = buffer_room(&block->text, all + COPY_SLACK);
	if (!to)
		return -ENOMEM;
	*to++ = (char)TERM_END;
	len = 0;
	for (uint32_t i = 0; i < block->count; i++) {
		size_t common = (unsigned char)shared.at[i], more = (unsigned char)own.at[i];

		copy_short(to, to - len - 1, common); /* what it needs of that lies before `to` */
		copy_short(to + common, bytes.at, more);
		bytes.at += more;
		len = common + more;
		to += len;
		*to++ = (char)TERM_END;
	}
	buffer_added(&block->text, all);
	return 0;
}

static int places_read(struct words_segment *s, struct block *block)
{
	struct term_place *places;
	uint64_t at = 0;
	int error = places_room(block, sizeof(*places));

	if (error)
		return error;
	places = block->places;
	for (uint32_t i = 0; i < block->count; i++) {
		uint64_t count = reader_varint(&block->numbers), bytes;
		uint32_t length = 0;

		if (count == 0 || count > s->count)
			return -EBADMSG;
		bytes = postings_length((uint32_t)count, s->count, &length) ? length : reader_varint(&block->numbers);
		if (block->numbers.error || bytes > block->place->postings_bytes - at)
			return -EBADMSG;
		places[i] = (struct term_place){(uint32_t)count, (uint32_t)at, (uint32_t)bytes};
		at += bytes;
	}
	return at == block->place->postings_bytes ? reader_finish(&block->numbers) : -EBADMSG;
}

int block_read_postings(struct words_segment *s, struct block *block, const struct term_place **ret_places)
{
	const struct block_place *place = block->place;
	int error = 0;

	if (!block->placed)
		error = places_read(s, block);
	block->placed = !error;
	if (!error && !block->has_postings)
		error = file_read(
			s, place->at + place->head_bytes, place->postings_bytes, place->postings_crc, &block->postings);
	block->has_postings = !error;
	if (!error)
		*ret_places = block->places;
	return error;
}

int block_read_values(struct words_segment *s, const struct block_place *place, struct block *block)
{
	struct value_place *places;
	uint64_t at = 0, ordinal = 0;
	struct reader r;
	int error = head_read(s, place, block, &r);

	if (!error)
		error = places_room(block, sizeof(*places));
	if (error)
		return error;
	places = block->places;
	for (uint32_t i = 0; i < block->count; i++) {
		uint64_t more = reader_varint(&r), bytes = reader_varint(&r);

		if (r.error || more >= s->count || ordinal + more >= s->count || bytes > BLOCK_RAW_MAX)
			return -EBADMSG;
		ordinal += more;
		places[i] = (struct value_place){(uint32_t)ordinal, (uint32_t)at, (uint32_t)bytes};
		at += bytes;
	}
	if (at != r.rest.len || places[0].ordinal != place->first)
		return -EBADMSG;
	buffer_reset(&block->text);
	buffer_put(&block->text, r.rest);
	return buffer_error(&block->text);
}

/* ---- Looking at all of it ---- */

static int terms_verify(
	struct words_segment *s, const struct block_place *place, struct block *block, uint32_t *scratch)
{
	const struct term_place *places = NULL;
	int error = block_read_terms(s, place, block);

	if (!error)
		error = block_read_postings(s, block, &places);
	for (uint32_t i = 0; !error && i < block->count; i++)
		error = postings_read(
			slice_first(slice_from(buffer_slice(&block->postings), places[i].at), places[i].bytes),
			places[i].count, s->count, scratch);
	return error;
}

int words_segment_verify(struct words_segment *s)
{
	uint32_t *scratch = malloc(s->count * sizeof(*scratch));
	struct block block = BLOCK_INIT;
	int error = scratch ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < s->first_block[WORDS_STREAMS_ALL]; i++)
		error = i < s->first_block[WORDS_COLUMNS] ? block_read_values(s, &s->blocks[i], &block)
							  : terms_verify(s, &s->blocks[i], &block, scratch);
	block_free(&block);
	free(scratch);
	return error;
}
