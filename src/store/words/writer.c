/* Writing a file of words: blocks as they fill, the directory behind them, the header at the end. */
#include "base/hash.h"
#include "store/words/internal.h"

enum {
	/* What makes it smaller costs each search more than it is worth; and words, which are little beside their postings, are as good as not packed. */
	ZSTD_LEVEL = 1,
	ZSTD_LEVEL_WORDS = -3,
	OUT_BYTES = 1 << 18,
	PATH_ROOM = 4096
};

struct words_writer {
	const struct file_system *files;
	char path[PATH_ROOM];
	int file, error;
	struct words_id id;
	uint32_t count;
	ZSTD_CCtx *pack;
	uint64_t at;       /* where `out` goes */
	struct buffer out; /* not written yet */
	uint64_t offset;   /* of the next block */
	enum words_stream stream;
	struct buffer directory, blocks[WORDS_STREAMS_ALL];
	uint32_t block_count[WORDS_STREAMS_ALL];
	/* The block that fills: */
	uint32_t in_block, ordinal;
	uint32_t first, first_before; /* of a column's block, and of the last one: its first ordinal */
	struct buffer shared, own, numbers, text, postings, raw, before;
	size_t bytes;
};

static void note(struct words_writer *w, int error)
{
	if (!w->error)
		w->error = error;
}

static void out_flush(struct words_writer *w)
{
	if (!w->error && w->out.len)
		note(w, w->files->write(w->files->context, w->file, w->at, buffer_slice(&w->out)));
	w->at += w->out.len;
	buffer_reset(&w->out);
}

static void put(struct words_writer *w, struct slice bytes)
{
	if (w->out.len + bytes.len > OUT_BYTES)
		out_flush(w);
	if (bytes.len > OUT_BYTES) {
		if (!w->error)
			note(w, w->files->write(w->files->context, w->file, w->at, bytes));
		w->at += bytes.len;
	} else {
		buffer_put(&w->out, bytes);
		note(w, buffer_error(&w->out));
	}
	w->offset += bytes.len;
}

/* Returns how many bytes it became, and their CRC. */
static uint32_t put_packed(struct words_writer *w, struct slice raw, int level, uint32_t *ret_crc)
{
	struct buffer packed = BUFFER_INIT(ZSTD_compressBound(raw.len));
	char *room = buffer_room(&packed, packed.max);
	size_t bytes = room ? ZSTD_compressCCtx(w->pack, room, packed.max, raw.at, raw.len, level) : 0;

	if (!room || ZSTD_isError(bytes)) {
		note(w, -ENOMEM);
		bytes = 0;
	} else {
		buffer_added(&packed, bytes);
		*ret_crc = crc32c(0, packed.at, packed.len);
		put(w, buffer_slice(&packed));
	}
	buffer_free(&packed);
	return (uint32_t)bytes;
}

static void block_flush(struct words_writer *w)
{
	struct buffer *blocks = &w->blocks[w->stream];
	uint32_t bytes, crc = 0;

	if (!w->in_block)
		return;
	buffer_put_varint(&w->raw, w->in_block);
	buffer_put(&w->raw, buffer_slice(&w->shared));
	buffer_put(&w->raw, buffer_slice(&w->own));
	buffer_put(&w->raw, buffer_slice(&w->numbers));
	buffer_put(&w->raw, buffer_slice(&w->text));
	note(w, buffer_error(&w->shared));
	note(w, buffer_error(&w->own));
	note(w, buffer_error(&w->numbers));
	note(w, buffer_error(&w->text));
	note(w, buffer_error(&w->postings));
	note(w, buffer_error(&w->raw));
	bytes = put_packed(w, buffer_slice(&w->raw), w->stream < WORDS_COLUMNS ? ZSTD_LEVEL : ZSTD_LEVEL_WORDS, &crc);
	buffer_put_varint(blocks, bytes);
	buffer_put_varint(blocks, w->raw.len);
	buffer_put_varint(blocks, w->stream < WORDS_COLUMNS ? w->first - w->first_before : w->postings.len);
	buffer_put_le32(blocks, crc);
	buffer_put_le32(blocks, crc32c(0, w->postings.at, w->postings.len));
	put(w, buffer_slice(&w->postings));
	w->block_count[w->stream]++;
	w->in_block = 0;
	w->ordinal = 0;
	w->first_before = w->first;
	w->bytes = 0;
	buffer_reset(&w->shared);
	buffer_reset(&w->own);
	buffer_reset(&w->numbers);
	buffer_reset(&w->text);
	buffer_reset(&w->postings);
	buffer_reset(&w->raw);
	buffer_reset(&w->before);
}

void words_writer_stream(struct words_writer *w, enum words_stream stream)
{
	CHECK(stream >= w->stream);
	block_flush(w);
	w->stream = stream;
	w->first_before = 0;
}

static size_t in_common(struct slice a, struct slice b)
{
	size_t most = MIN(a.len, b.len), len = 0;

	while (len < most && a.at[len] == b.at[len])
		len++;
	return len;
}

void words_writer_term(struct words_writer *w, struct slice term, const uint32_t *ordinals, uint32_t count)
{
	size_t shared = in_common(buffer_slice(&w->before), term), before = w->postings.len;
	uint32_t bytes;

	CHECK(w->stream >= WORDS_COLUMNS && term.len && term.len <= WORDS_TERM_MAX && count);
	buffer_put_byte(&w->shared, (char)shared);
	buffer_put_byte(&w->own, (char)(term.len - shared));
	buffer_put(&w->text, slice_from(term, shared));
	postings_put(ordinals, count, w->count, &w->postings);
	buffer_put_varint(&w->numbers, count);
	if (!postings_length(count, w->count, &bytes))
		buffer_put_varint(&w->numbers, w->postings.len - before);
	buffer_reset(&w->before);
	buffer_put(&w->before, term);
	w->in_block++;
	w->bytes += term.len + 1;
	if (w->bytes >= BLOCK_TERMS_BYTES || w->postings.len >= BLOCK_POSTINGS_BYTES)
		block_flush(w);
}

void words_writer_value(struct words_writer *w, uint32_t ordinal, struct slice value)
{
	CHECK(w->stream < WORDS_COLUMNS && ordinal >= w->ordinal && value.len <= VALUE_MAX);
	if (!w->in_block)
		w->first = ordinal;
	buffer_put_varint(&w->numbers, ordinal - w->ordinal);
	buffer_put_varint(&w->numbers, value.len);
	buffer_put(&w->text, value);
	w->ordinal = ordinal;
	w->in_block++;
	w->bytes += value.len + 2;
	if (w->bytes >= BLOCK_VALUES_BYTES)
		block_flush(w);
}

/* ---- Beginning and end ---- */

static void writer_free(struct words_writer **w)
{
	struct buffer *const all[] = {&(*w)->out, &(*w)->directory, &(*w)->shared, &(*w)->own, &(*w)->numbers,
		&(*w)->text, &(*w)->postings, &(*w)->raw, &(*w)->before};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		buffer_free(all[i]);
	for (size_t i = 0; i < WORDS_STREAMS_ALL; i++)
		buffer_free(&(*w)->blocks[i]);
	ZSTD_freeCCtx((*w)->pack);
	free(*w);
	*w = NULL;
}

static void put_numbers(const uint32_t *numbers, uint32_t count, uint64_t next, struct buffer *out)
{
	for (uint32_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && numbers[end] == numbers[end - 1] + 1; end++)
			;
		buffer_put_varint(out, numbers[i] - next);
		buffer_put_varint(out, end - i - 1);
		next = (uint64_t)numbers[end - 1] + 1;
	}
}

int words_writer_new(const struct file_system *files, const char *path, const struct words_id *id,
	const uint32_t *numbers, uint32_t count, struct words_writer **ret_writer)
{
	struct words_writer *w = calloc(1, sizeof(*w));
	int error = 0;

	if (!w)
		return -ENOMEM;
	CHECK(count && count <= WORDS_EMAILS_MAX && strlen(path) < sizeof(w->path));
	(void)snprintf(w->path, sizeof(w->path), "%s", path);
	w->files = files;
	w->id = *id;
	w->count = count;
	w->at = w->offset = HEADER_BYTES;
	w->out = BUFFER_INIT(OUT_BYTES);
	w->directory = BUFFER_INIT(DIRECTORY_RAW_MAX);
	w->shared = w->own = w->numbers = w->text = w->raw = w->before = BUFFER_INIT(BLOCK_RAW_MAX);
	w->postings = BUFFER_INIT(BLOCK_POSTINGS_MAX);
	for (size_t i = 0; i < WORDS_STREAMS_ALL; i++)
		w->blocks[i] = BUFFER_INIT(DIRECTORY_RAW_MAX);
	put_numbers(numbers, count, id->first, &w->directory);
	w->pack = ZSTD_createCCtx();
	error = w->pack ? files->open(files->context, path, FILE_WRITE, &w->file) : -ENOMEM;
	if (error) {
		writer_free(&w);
		return error;
	}
	*ret_writer = w;
	return 0;
}

static void put_header(struct words_writer *w, uint64_t at, uint32_t bytes, uint32_t raw_bytes, uint32_t crc)
{
	struct buffer header = BUFFER_INIT(HEADER_BYTES);

	buffer_put(&header, WORDS_MAGIC);
	buffer_put_le64(&header, w->id.epoch);
	buffer_put_le32(&header, w->id.account);
	buffer_put_le32(&header, w->id.first);
	buffer_put_le32(&header, w->id.last);
	buffer_put_le32(&header, w->count);
	buffer_put_le64(&header, at);
	buffer_put_le32(&header, bytes);
	buffer_put_le32(&header, raw_bytes);
	buffer_put_le32(&header, crc);
	buffer_put_le64(&header, 0);
	buffer_put_le32(&header, crc32c(0, header.at, header.len));
	note(w, buffer_error(&header));
	if (!w->error)
		note(w, w->files->write(w->files->context, w->file, 0, buffer_slice(&header)));
	buffer_free(&header);
}

int words_writer_end(struct words_writer **writer, int error)
{
	struct words_writer *w = *writer;
	uint64_t at;
	uint32_t bytes, crc = 0;

	note(w, error);
	block_flush(w);
	for (size_t i = 0; i < WORDS_STREAMS_ALL; i++) {
		buffer_put_varint(&w->directory, w->block_count[i]);
		buffer_put(&w->directory, buffer_slice(&w->blocks[i]));
		note(w, buffer_error(&w->blocks[i]));
	}
	note(w, buffer_error(&w->directory));
	at = w->offset;
	bytes = put_packed(w, buffer_slice(&w->directory), ZSTD_LEVEL, &crc);
	out_flush(w);
	put_header(w, at, bytes, (uint32_t)w->directory.len, crc);
	if (!w->error)
		note(w, w->files->sync(w->files->context, w->file));
	note(w, w->files->close(w->files->context, w->file));
	error = w->error;
	if (error) /* whoever comes next finds it when this fails, too */
		(void)w->files->unlink(w->files->context, w->path);
	writer_free(writer);
	return error;
}
