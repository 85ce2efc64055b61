/*
 * Files of words. Half of the inputs are files: the script says what stands in directory and blocks, which are then packed and get right checksums,
 * so that what reads them is reached. Reading, asking and merging must end, whatever they say. The others are texts and a string to look for in them: a
 * file made of the texts must know which of them have it.
 */
#include <zstd.h>

#include "base/hash.h"
#include "store/words/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 3, FILE_MAX = 1 << 22, DOCS = 8, TEXT_MAX = 2000 };

/* ---- Files in memory: a path is a digit ---- */

struct disk {
	struct buffer files[FILES];
};

static int disk_open(void *context, const char *path, enum file_mode mode, int *ret_file)
{
	(void)context;
	(void)mode;
	*ret_file = path[0] - '0';
	return 0;
}

static int disk_nothing(void *context, int file)
{
	(void)context;
	(void)file;
	return 0;
}

static int disk_read(void *context, int file, uint64_t at, char *to, size_t bytes, size_t *ret_bytes)
{
	struct slice rest = slice_first(
		slice_from(buffer_slice(&((struct disk *)context)->files[file]), (size_t)MIN(at, (uint64_t)FILE_MAX)),
		bytes);

	if (rest.len)
		memcpy(to, rest.at, rest.len);
	*ret_bytes = rest.len;
	return 0;
}

static int disk_write(void *context, int file, uint64_t at, struct slice bytes)
{
	struct buffer *b = &((struct disk *)context)->files[file];

	while (b->len < at + bytes.len && !b->error)
		buffer_put_byte(b, 0);
	if (buffer_error(b))
		return -ENOSPC;
	if (bytes.len)
		memcpy(b->at + at, bytes.at, bytes.len);
	return 0;
}

static int disk_unlink(void *context, const char *path)
{
	buffer_reset(&((struct disk *)context)->files[path[0] - '0']);
	return 0;
}

/* ---- A file as the script says ---- */

struct laying {
	struct reader script;
	struct buffer file, directory;
};

/* Mostly what it should be. */
static uint64_t odd(struct reader *script, uint64_t usual)
{
	uint8_t how = reader_u8(script);

	return how < 240 ? usual : how < 250 ? usual + how - 245 : reader_varint(script);
}

static struct slice packed(struct slice raw, struct buffer *out)
{
	char *room;

	buffer_reset(out);
	room = buffer_room(out, ZSTD_compressBound(raw.len));
	CHECK(room);
	buffer_added(out, ZSTD_compress(room, ZSTD_compressBound(raw.len), raw.at, raw.len, 1));
	return buffer_slice(out);
}

static void put_block(struct laying *l, bool of_column)
{
	struct buffer scratch = BUFFER_INIT(1 << 20);
	struct slice raw = reader_bytes(&l->script, MIN((size_t)reader_le16(&l->script), l->script.rest.len));
	struct slice head = packed(raw, &scratch);
	uint8_t more = reader_u8(&l->script); /* of a column: its first ordinal */
	struct slice postings = reader_bytes(&l->script, of_column ? 0 : MIN((size_t)more, l->script.rest.len));

	buffer_put(&l->file, head);
	buffer_put(&l->file, postings);
	buffer_put_varint(&l->directory, odd(&l->script, head.len));
	buffer_put_varint(&l->directory, odd(&l->script, raw.len));
	buffer_put_varint(&l->directory, odd(&l->script, of_column ? more : postings.len));
	buffer_put_le32(&l->directory, crc32c(0, head.at, head.len));
	buffer_put_le32(&l->directory, crc32c(0, postings.at, postings.len));
	buffer_free(&scratch);
}

static void put_file(struct laying *l, const struct words_id *id, uint32_t count)
{
	struct buffer header = BUFFER_INIT(FILE_MAX), scratch = BUFFER_INIT(1 << 22);
	uint64_t at = HEADER_BYTES + l->file.len, raw_bytes = odd(&l->script, l->directory.len);
	struct slice directory = packed(buffer_slice(&l->directory), &scratch);

	buffer_put(&header, WORDS_MAGIC);
	buffer_put_le64(&header, id->epoch);
	buffer_put_le32(&header, id->account);
	buffer_put_le32(&header, id->first);
	buffer_put_le32(&header, id->last);
	buffer_put_le32(&header, (uint32_t)odd(&l->script, count));
	buffer_put_le64(&header, odd(&l->script, at));
	buffer_put_le32(&header, (uint32_t)odd(&l->script, directory.len));
	buffer_put_le32(&header, (uint32_t)raw_bytes);
	buffer_put_le32(&header, crc32c(0, directory.at, directory.len));
	buffer_put_le64(&header, 0);
	buffer_put_le32(&header, crc32c(0, header.at, header.len));
	buffer_put(&header, buffer_slice(&l->file));
	buffer_reset(&l->file);
	buffer_put(&l->file, buffer_slice(&header));
	buffer_put(&l->file, directory);
	buffer_free(&header);
	buffer_free(&scratch);
}

static void ask(struct words_segment *segment, const struct words_question *questions, size_t count)
{
	struct words_ask *asking;
	bool done = false;
	int error;

	CHECK(words_ask_new(questions, count, &asking) == 0);
	error = words_ask_begin(asking, segment);
	while (!error && !done)
		error = words_ask_step(asking, &done);
	words_ask_free(&asking);
}

static void read_file(const struct file_system *files, const struct words_id *id)
{
	static const struct words_question questions[] = {{1u << WORDS_BODY | 1u << WORDS_HEAD, SLICE("A"), {NULL, 0}},
		{1u << WORDS_BODY, SLICE("AB C"), {NULL, 0}}, {1u << WORDS_SUBJECT, SLICE("B"), {NULL, 0}},
		{1u << WORDS_SUBJECT, SLICE("A B"), {NULL, 0}}, {1u << WORDS_CC, {NULL, 0}, {NULL, 0}},
		{1u << WORDS_HEAD, SLICE("-"), SLICE("X-A")}};
	uint32_t live[256];
	struct words_segment *segment[2] = {NULL, NULL};

	for (uint32_t i = 0; i < ARRAY_LEN(live); i++)
		live[i] = id->first + i;
	if (words_segment_open(files, NULL, "0", id, &segment[0]))
		return;
	(void)(words_segment_verify(segment[0]) == 0);
	ask(segment[0], questions, ARRAY_LEN(questions));
	if (words_segment_open(files, NULL, "0", id, &segment[1]) == 0 &&
		words_merge(segment, 2, live, ARRAY_LEN(live), files, "1", id) == 0) {
		words_segment_close(&segment[1]);
		if (words_segment_open(files, NULL, "1", id, &segment[1]) == 0)
			(void)(words_segment_verify(segment[1]) == 0);
	}
	words_segment_close(&segment[0]);
	words_segment_close(&segment[1]);
}

static void try_file(struct reader script, const struct file_system *files, struct disk *disk)
{
	struct laying l = {script, BUFFER_INIT(FILE_MAX), BUFFER_INIT(FILE_MAX)};
	const struct words_id id = {1, 2, 10, 10000};
	uint32_t count = 1 + reader_u8(&l.script) % 100;

	for (uint32_t i = 0, run; i < count; i += run) {
		run = MIN(1U + reader_u8(&l.script) % 16, count - i);
		buffer_put_varint(&l.directory, odd(&l.script, i > 0));
		buffer_put_varint(&l.directory, odd(&l.script, run - 1));
	}
	for (size_t stream = 0; stream < WORDS_STREAMS_ALL; stream++) {
		uint64_t blocks = reader_u8(&l.script) % 4;

		buffer_put_varint(&l.directory, odd(&l.script, blocks));
		while (blocks-- > 0)
			put_block(&l, stream < WORDS_COLUMNS);
	}
	buffer_put(&l.directory, reader_bytes(&l.script, MIN((size_t)reader_u8(&l.script), l.script.rest.len)));
	put_file(&l, &id, count);
	CHECK(disk_write(disk, 0, 0, buffer_slice(&l.file)) == 0);
	read_file(files, &id);
	buffer_free(&l.file);
	buffer_free(&l.directory);
}

/* ---- Texts and a string ---- */

struct texts {
	struct slice all[DOCS];
	enum words_stream stream[DOCS];
	size_t count;
	struct slice needle;
};

static bool has(struct slice text, struct slice needle)
{
	return text.len >= needle.len && memmem(text.at, text.len, needle.at, needle.len);
}

static void compare(struct words_segment *segment, const struct texts *t, enum words_stream stream)
{
	const struct words_question question = {.streams = 1u << stream, .text = t->needle};
	struct words_ask *asking;
	const uint64_t *hits, *sure = NULL;
	bool done = false;

	CHECK(words_ask_new(&question, 1, &asking) == 0 && words_ask_begin(asking, segment) == 0);
	while (!done)
		CHECK(words_ask_step(asking, &done) == 0);
	hits = words_ask_hits(asking, 0, &sure);
	for (size_t i = 0; hits && i < t->count; i++) {
		bool there = t->stream[i] == stream && has(t->all[i], t->needle);

		CHECK(!there || hits[0] >> i & 1);
		CHECK(!(sure[0] >> i & 1) || (there && hits[0] >> i & 1));
	}
	words_ask_free(&asking);
}

static void try_texts(struct reader script, const struct file_system *files)
{
	const struct words_id id = {1, 2, 1, DOCS};
	struct words_segment *segment;
	struct words_builder *b;
	struct texts t = {.count = 0};

	t.needle = reader_sized(&script);
	CHECK(words_builder_new(7, &b) == 0);
	while (t.count < DOCS && script.rest.len) {
		struct slice text = slice_split(&script.rest, '\0');

		text = slice_first(text, TEXT_MAX);
		words_builder_begin(b, (uint32_t)t.count + 1);
		t.stream[t.count] = t.count % 3 == 0 ? WORDS_SUBJECT : t.count % 3 == 1 ? WORDS_BODY : WORDS_HEAD;
		if (t.stream[t.count] == WORDS_SUBJECT)
			words_builder_value(b, WORDS_SUBJECT, text);
		else
			CHECK(words_builder_text(b, t.stream[t.count], text, true) == 0);
		CHECK(words_builder_end(b, true) == 0);
		t.all[t.count++] = text;
	}
	if (t.needle.len && t.count) {
		CHECK(words_builder_write(b, files, "2", &id) == 0);
		CHECK(words_segment_open(files, NULL, "2", &id, &segment) == 0 && words_segment_verify(segment) == 0);
		compare(segment, &t, WORDS_SUBJECT);
		compare(segment, &t, WORDS_BODY);
		compare(segment, &t, WORDS_HEAD);
		words_segment_close(&segment);
	}
	words_builder_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct disk disk;
	const struct file_system files = {.open = disk_open,
		.close = disk_nothing,
		.read = disk_read,
		.write = disk_write,
		.sync = disk_nothing,
		.unlink = disk_unlink,
		.context = &disk};
	struct reader script = READER_INIT(slice_make(data, size));

	for (size_t i = 0; i < FILES; i++)
		disk.files[i] = BUFFER_INIT(FILE_MAX);
	if (reader_u8(&script) % 2)
		try_texts(script, &files);
	else
		try_file(script, &files, &disk);
	for (size_t i = 0; i < FILES; i++)
		buffer_free(&disk.files[i]);
	return 0;
}
