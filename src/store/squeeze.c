#include "store/squeeze.h"

#include <lz4.h>

enum {
	SAMPLE_PIECES = 4,
	SAMPLE_BYTES = 512,
	SAMPLE_WORTH = 4096,
	SAMPLE_PAIRS = 9216 /* 8,192 where all are equally frequent, give or take 90 */
};

int squeeze_contexts_make(struct squeeze_contexts *c)
{
	c->pack = ZSTD_createCCtx();
	c->unpack = ZSTD_createDCtx();
	c->unpack_with = ZSTD_createDCtx();
	return c->pack && c->unpack && c->unpack_with ? 0 : -ENOMEM;
}

void squeeze_contexts_free(struct squeeze_contexts *c)
{
	ZSTD_freeCCtx(c->pack);
	ZSTD_freeDCtx(c->unpack);
	ZSTD_freeDCtx(c->unpack_with);
}

/*
 * All bytes are about as frequent. A compressor would find nothing in them either, but takes longer to find that. Seen in a sample by how many
 * pairs of equal bytes there are. (Of the corpus' attachments, 6.8 MB, a quarter is taken for such, of which zstd would have saved 4 KB.)
 */
bool squeeze_is_vain(struct slice bytes)
{
	uint16_t seen[256] = {0};
	size_t step = bytes.len / SAMPLE_PIECES;
	uint32_t pairs = 0;

	if (bytes.len < SAMPLE_WORTH)
		return false;
	for (size_t piece = 0; piece < SAMPLE_PIECES; piece++) {
		const char *at = bytes.at + piece * step;

		for (size_t i = 0; i < SAMPLE_BYTES; i++)
			pairs += seen[(unsigned char)at[i]]++;
	}
	return pairs < SAMPLE_PAIRS;
}

size_t squeeze_room(size_t raw)
{
	return MAX(ZSTD_compressBound(raw), (size_t)LZ4_COMPRESSBOUND(raw));
}

size_t squeeze(struct squeeze_contexts *c, const struct squeeze_how *how, struct slice raw, char *to,
	enum squeezed *ret_squeezed)
{
	size_t room = squeeze_room(raw.len), bytes;

	if (how->lz4_least > raw.len)
		bytes = 0;
	else if (how->lz4_least)
		bytes = (size_t)LZ4_compress_default(raw.at, to, (int)raw.len, (int)room);
	else if (how->dictionary)
		bytes = ZSTD_compress_usingCDict(c->pack, to, room, raw.at, raw.len, how->dictionary);
	else
		bytes = ZSTD_compressCCtx(c->pack, to, room, raw.at, raw.len, how->level);
	/* An error of zstd's is a number larger than all lengths, one of LZ4's is 0. */
	if (bytes && bytes < raw.len) {
		*ret_squeezed = how->lz4_least ? SQUEEZED_LZ4 : SQUEEZED_ZSTD;
		return bytes;
	}
	*ret_squeezed = SQUEEZED_NOT;
	if (raw.len)
		memcpy(to, raw.at, raw.len);
	return raw.len;
}

int expand(struct squeeze_contexts *c, enum squeezed squeezed, const ZSTD_DDict *dictionary, struct slice stored,
	char *room, size_t raw)
{
	size_t bytes;

	if (squeezed == SQUEEZED_LZ4) {
		int unpacked = LZ4_decompress_safe(stored.at, room, (int)stored.len, (int)raw);

		return unpacked >= 0 && (size_t)unpacked == raw ? 0 : -EBADMSG;
	}
	if (dictionary)
		bytes = ZSTD_decompress_usingDDict(c->unpack_with, room, raw, stored.at, stored.len, dictionary);
	else
		bytes = ZSTD_decompressDCtx(c->unpack, room, raw, stored.at, stored.len);
	return ZSTD_isError(bytes) || bytes != raw ? -EBADMSG : 0;
}
