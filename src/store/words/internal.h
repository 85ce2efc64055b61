/*
 * Inside the files of words: terms, postings, blocks.
 *
 *   0    header, 64 bytes: magic, le64 epoch, le32 account, first, last, count, le64 where the directory is, le32 its bytes, unpacked bytes, CRC-32C,
 *        zeros, le32 CRC-32C of what is before
 *   64   blocks, stream by stream: a head (zstd) and, of words, postings
 *   ...  directory (zstd): varints of the numbers in runs that follow one another: how many are left out before it, how many more than one it has;
 *        then of each stream how many blocks, and of each block varints bytes of its head, unpacked, bytes of its postings or, in a column, its first
 *        ordinal as what it is more than the last block's, le32 CRC-32C of head and postings
 *
 * The head of a column's block: varint values; for each varint ordinal (as what it is more than the one before) and length; then the values. The head of
 * a block of words: varint terms; a byte for each: how many it has in common with the one before; a byte: how many it has of its own; varints: in how
 * many messages, and, of those whose postings' length does not follow from that, it; then the bytes they have of their own. Messages are
 * numbered by ordinals within the file.
 */
#ifndef PENFOLD_STORE_WORDS_INTERNAL_H
#define PENFOLD_STORE_WORDS_INTERNAL_H

#include <zstd.h>

#include "base/codec.h"
#include "store/words/words.h"

enum {
	HEADER_BYTES = 64,
	BLOCK_TERMS_BYTES = 16384, /* a block ends with the term or value that reaches it */
	BLOCK_VALUES_BYTES = 32768,
	BLOCK_POSTINGS_BYTES = 1 << 18,
	VALUE_MAX = 65536,
	BLOCK_RAW_MAX = 1 << 20, /* no block is larger unpacked: what says so is damaged */
	BLOCK_TEXT_MAX = 1 << 20,
	BLOCK_POSTINGS_MAX = 1 << 20,
	DIRECTORY_RAW_MAX = 16 << 20,
	TERM_OVERLAP = 24, /* of the pieces of a long word */
	TERM_END = 0xff,   /* between terms in memory: no UTF-8 has it */
};
#define WORDS_MAGIC SLICE("PFWORDS2") /* WORDS_FORMAT */

/* ---- tokens.c: what a text consists of ---- */

enum token_class {
	TOKEN_WORD,  /* a run of letters, digits and what belongs to them */
	TOKEN_CHARS, /* a run of a script without spaces */
	TOKEN_SIGN,  /* one of all other characters */
	TOKEN_RAW,   /* a byte that is not UTF-8 */
};
struct token {
	enum token_class class;
	struct slice text;
};
bool token_next(struct slice *rest, struct token *ret_token);
struct slice token_first_chars(struct slice chars, unsigned count); /* the first so many characters, or all */

/* ---- pieces.c: what a term must have so that a message may have the string ---- */

enum { PIECES_MAX = 8, PIECE_MAX = WORDS_TERM_MAX + 2 };
struct piece {
	char bytes[PIECE_MAX]; /* a string of the terms as they lie in memory, TERM_END before and behind each */
	size_t len;
};
struct pieces {
	struct piece list[PIECES_MAX];
	size_t count;
	bool exact;
};
/* Adds those of a string. False: nothing can be said of it. */
bool pieces_add(struct pieces *pieces, struct slice text);

/* ---- postings.c: ascending ordinals below `of` ---- */

void postings_put(const uint32_t *ordinals, uint32_t count, uint32_t of, struct buffer *out);
/* True: as many bytes as *ret_bytes, always. Otherwise they have to be told. */
bool postings_length(uint32_t count, uint32_t of, uint32_t *ret_bytes);
MUST_CHECK int postings_read(struct slice bytes, uint32_t count, uint32_t of, uint32_t *ret_ordinals);
/* Sets their bits; `scratch` has room for `of`. */
MUST_CHECK int postings_mark(struct slice bytes, uint32_t count, uint32_t of, uint32_t *scratch, uint64_t *bits);

/* ---- writer.c ---- */

struct words_writer;
/* `numbers` as said in the directory. Streams in order, terms of each ascending, values by ascending ordinals. */
MUST_CHECK int words_writer_new(const struct file_system *files, const char *path, const struct words_id *id,
	const uint32_t *numbers, uint32_t count, struct words_writer **ret_writer);
void words_writer_stream(struct words_writer *w, enum words_stream stream);
void words_writer_term(struct words_writer *w, struct slice term, const uint32_t *ordinals, uint32_t count);
void words_writer_value(struct words_writer *w, uint32_t ordinal, struct slice value);
/* Errors of all before are told here. Frees it; without `error` the file is whole, with one it is gone. */
MUST_CHECK int words_writer_end(struct words_writer **w, int error);

/* ---- segment.c ---- */

struct block_place {
	uint64_t at;
	uint32_t head_bytes, raw_bytes, postings_bytes, head_crc, postings_crc;
	uint32_t first, last; /* of a column: ordinals it may have; it has the first */
};
struct term_place {
	uint32_t count, at, bytes; /* postings */
};
struct value_place {
	uint32_t ordinal, at, bytes;
};

struct words_segment {
	const struct file_system *files;
	int file;
	struct words_id id;
	uint32_t count;
	uint32_t *numbers;
	struct block_place *blocks;
	size_t first_block[WORDS_STREAMS_ALL + 1]; /* of each stream, in blocks[] */
	struct words_contexts *contexts;
	ZSTD_DCtx *unpack;
	struct buffer stored;
};

/* contexts.c. NULL: no memory. */
ZSTD_DCtx *words_context_take(struct words_contexts *contexts);
void words_context_give(struct words_contexts *contexts, ZSTD_DCtx *context);

/* A block unpacked: `text` is all terms, TERM_END before and behind each; or all values. */
struct block {
	struct buffer raw, text, postings;
	struct reader numbers; /* behind the lengths: counts and sizes */
	uint32_t count;        /* of terms or values */
	void *places;          /* room for `room` of either */
	size_t room;
	bool placed, has_postings;
	const struct block_place *place;
};
#define BLOCK_INIT                                              \
	((struct block){.raw = BUFFER_INIT(BLOCK_RAW_MAX + 64), \
		.text = BUFFER_INIT(BLOCK_TEXT_MAX + 64),       \
		.postings = BUFFER_INIT(BLOCK_POSTINGS_MAX)})
void block_free(struct block *block);
MUST_CHECK int block_read_terms(struct words_segment *s, const struct block_place *place, struct block *block);
MUST_CHECK int block_read_values(struct words_segment *s, const struct block_place *place, struct block *block);
/* Where the postings of each term are, and the postings themselves. */
MUST_CHECK int block_read_postings(struct words_segment *s, struct block *block, const struct term_place **ret_places);
static inline const struct value_place *block_values(const struct block *block)
{
	return block->places;
}

#endif
