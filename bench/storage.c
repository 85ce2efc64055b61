/*
 * What each way of storing bodies brings: bytes, and processor time for packing and unpacking, over the messages of a folder or made ones.
 *
 *     bench-storage generated [COUNT]     mixed messages, each with a body of its own (messages.h)
 *     bench-storage FOLDER                every file in it is a message
 *
 * Every message is packed, unpacked and compared; one that does not come back as it was ends the run. Pieces are what the engine makes of a
 * body: 256 KiB, base64 in them as encoded.h says, the dictionary trained on what comes first, counted among the bytes.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>
#include <zdict.h>
#include <zstd.h>

#include "base/base64.h"
#include "base/codec.h"
#include "base/hash.h"
#include "mail/mail.h"
#include "messages.h"
#include "store/body.h"
#include "store/encoded.h"
#include "store/squeeze.h"

enum {
	DICTIONARY_BYTES = STORE_DICTIONARY_BYTES_MAX,
	SAMPLES_MAX = 512,
	SAMPLES_BYTES_MAX = 1 << 20,
	SAMPLE_BYTES_MAX = 8192,
	SHARED_MIN = 4096,    /* bytes of an attachment worth a look */
	REFERENCE_BYTES = 24, /* what a message keeps of an attachment that is kept already */
	FILE_MAX = 64 << 20,
	GENERATED = 5000
};

struct step {
	const char *name;
	int level;       /* of zstd; 0: as it is; negative: LZ4, from so many bytes on */
	int bytes_level; /* of what base64 stands for */
	bool split, dictionary, share;
};

static const struct step steps[] = {
	{"as it is", 0, 0, false, false, false},
	{"zstd 1", 1, 1, false, false, false},
	{"zstd 1, dictionary", 1, 1, false, true, false},
	{"zstd 1, base64 decoded", 1, 1, true, false, false},
	{"zstd 1, base64 decoded, dictionary", 1, 1, true, true, false},
	{"the same, text with zstd 2 (repack_after = never)", TEXT_LEVEL, BYTES_LEVEL, true, true, false},
	{"the same, equal attachments once", TEXT_LEVEL, BYTES_LEVEL, true, true, true},
	{"base64 decoded", 0, 0, true, false, false},
	{"LZ4, base64 decoded", -1, -1, true, false, false},
	{"LZ4 from 4 KiB on, base64 decoded", -4096, -4096, true, false, false},
	{"LZ4 from 8 KiB on, base64 decoded", -8192, -8192, true, false, false},
	{"LZ4 from 16 KiB on, base64 decoded", -16384, -16384, true, false, false},
	{"LZ4 from 32 KiB on, base64 decoded (as mail comes in)", -LZ4_LEAST, -LZ4_LEAST, true, false, false},
	{"LZ4 from 64 KiB on, base64 decoded", -65536, -65536, true, false, false},
	{"zstd 12 and 9, base64 decoded, dictionary (what stays)", TIGHT_TEXT_LEVEL, TIGHT_BYTES_LEVEL, true, true,
		false},
	{"zstd 3, base64 decoded, dictionary", 3, 3, true, true, false},
	{"zstd 6, base64 decoded, dictionary", 6, 6, true, true, false},
	{"zstd 9, base64 decoded, dictionary", 9, 9, true, true, false},
	{"zstd 19, base64 decoded, dictionary", 19, 19, true, true, false},
};

struct attachment {
	uint64_t hash[2];
	struct buffer bytes;
};

struct set {
	struct buffer *messages;
	size_t count, room;
	uint64_t bytes;
	char dictionary[DICTIONARY_BYTES];
	size_t dictionary_bytes;
};

struct packer {
	const struct step *step;
	struct squeeze_contexts contexts;
	ZSTD_CDict *pack_with;
	ZSTD_DDict *unpack_with;
	struct encoded parts;
	struct buffer packed, text, bytes, fresh, fresh_back, back;
	struct attachment *seen;
	size_t seen_count, seen_room;
	uint64_t stored, shared, shared_bytes;
	double pack_seconds, unpack_seconds;
};

static double cpu_now(void)
{
	struct timespec t;

	CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- The messages ---- */

static void set_add(struct set *set, struct buffer message)
{
	CHECK(buffer_error(&message) == 0);
	if (set->count == set->room) {
		set->room = set->room ? set->room * 2 : 1024;
		set->messages = realloc(set->messages, set->room * sizeof(*set->messages));
		CHECK(set->messages);
	}
	set->bytes += message.len;
	set->messages[set->count++] = message;
}

static void set_generate(struct set *set, uint64_t count)
{
	struct messages *messages = messages_new(false);

	for (uint64_t number = 0; number < count; number++) {
		struct buffer message = BUFFER_INIT(MESSAGE_MAX);

		messages_put(messages, MESSAGE_UNIQUE, number, &message);
		set_add(set, message);
	}
	messages_free(&messages);
}

static void read_file(struct set *set, const char *path)
{
	struct buffer message = BUFFER_INIT(FILE_MAX);
	struct mail_canon canon = {false};
	FILE *file = fopen(path, "rb");
	static char block[65536];
	size_t have;

	CHECK(file);
	while ((have = fread(block, 1, sizeof(block), file)) > 0)
		mail_canon_feed(&canon, (struct slice){block, have}, &message);
	CHECK(!ferror(file) && fclose(file) == 0);
	set_add(set, message);
}

static bool set_read(struct set *set, const char *folder)
{
	struct dirent **names;
	int count = scandir(folder, &names, NULL, alphasort);

	if (count < 0)
		return false;
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];
		struct stat st;

		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
			read_file(set, path);
		free(names[i]);
	}
	free(names);
	return set->count > 0;
}

/* From the first small texts, as the engine does. */
static void set_train(struct set *set)
{
	struct encoded parts = {BUFFER_INIT(FILE_MAX), BUFFER_INIT(FILE_MAX), BUFFER_INIT(FILE_MAX)};
	struct buffer samples = BUFFER_INIT(SAMPLES_BYTES_MAX);
	size_t sizes[SAMPLES_MAX];
	unsigned count = 0;

	for (size_t i = 0; i < set->count && count < SAMPLES_MAX; i++) {
		struct slice text = buffer_slice(&set->messages[i]);

		if (text.len <= FRAME_RAW_BYTES && encoded_split(text, &parts))
			text = buffer_slice(&parts.text);
		if (text.len < 64 || text.len > DICTIONARY_MESSAGE_MAX)
			continue;
		text = slice_first(text, SAMPLE_BYTES_MAX);
		if (samples.len + text.len > SAMPLES_BYTES_MAX)
			break;
		buffer_put(&samples, text);
		sizes[count++] = text.len;
	}
	set->dictionary_bytes =
		ZDICT_trainFromBuffer(set->dictionary, sizeof(set->dictionary), samples.at, sizes, count);
	if (ZDICT_isError(set->dictionary_bytes))
		set->dictionary_bytes = 0;
	buffer_free(&samples);
	buffer_free(&parts.runs);
	buffer_free(&parts.text);
	buffer_free(&parts.bytes);
}

/* ---- Packing ---- */

static void packer_open(struct packer *p, const struct step *step, const struct set *set)
{
	*p = (struct packer){.step = step,
		.parts = {BUFFER_INIT(FILE_MAX), BUFFER_INIT(FILE_MAX), BUFFER_INIT(FILE_MAX)},
		.packed = BUFFER_INIT(FILE_MAX),
		.text = BUFFER_INIT(FILE_MAX),
		.bytes = BUFFER_INIT(FILE_MAX),
		.fresh = BUFFER_INIT(FILE_MAX),
		.fresh_back = BUFFER_INIT(FILE_MAX),
		.back = BUFFER_INIT(FILE_MAX)};
	CHECK(squeeze_contexts_make(&p->contexts) == 0);
	if (!step->dictionary || !set->dictionary_bytes)
		return;
	p->pack_with = ZSTD_createCDict(set->dictionary, set->dictionary_bytes, step->level);
	p->unpack_with = ZSTD_createDDict(set->dictionary, set->dictionary_bytes);
	CHECK(p->pack_with && p->unpack_with);
	p->stored = set->dictionary_bytes;
}

static void packer_close(struct packer *p)
{
	struct buffer *buffers[] = {&p->parts.runs, &p->parts.text, &p->parts.bytes, &p->packed, &p->text, &p->bytes,
		&p->fresh, &p->fresh_back, &p->back};

	for (size_t i = 0; i < ARRAY_LEN(buffers); i++)
		buffer_free(buffers[i]);
	for (size_t i = 0; i < p->seen_count; i++)
		buffer_free(&p->seen[i].bytes);
	free(p->seen);
	squeeze_contexts_free(&p->contexts);
	ZSTD_freeCDict(p->pack_with);
	ZSTD_freeDDict(p->unpack_with);
}

/* Packs a part, counts what it takes, unpacks it to the end of `back`. `is_text`: else what base64 stands for. */
static void part_through(struct packer *p, struct slice raw, bool is_text, struct buffer *back)
{
	const struct step *step = p->step;
	int level = is_text ? step->level : step->bytes_level;
	bool fits = is_text && raw.len <= DICTIONARY_MESSAGE_MAX;
	struct squeeze_how how = {level < 0 ? (size_t)-level : 0, level, fits ? p->pack_with : NULL};
	enum squeezed squeezed = SQUEEZED_NOT;
	double start = cpu_now(), between;
	size_t packed = raw.len;
	char *room;

	if (!raw.len)
		return;
	buffer_reset(&p->packed);
	room = buffer_room(&p->packed, squeeze_room(raw.len));
	CHECK(room);
	if (level && (is_text || !squeeze_is_vain(raw)))
		packed = squeeze(&p->contexts, &how, raw, room, &squeezed);
	between = cpu_now();
	if (squeezed == SQUEEZED_NOT) {
		buffer_put(back, raw);
	} else {
		char *to = buffer_room(back, raw.len);

		CHECK(to && expand(&p->contexts, squeezed, fits ? p->unpack_with : NULL, slice_make(room, packed), to,
				    raw.len) == 0);
		buffer_added(back, raw.len);
	}
	p->stored += packed;
	p->pack_seconds += between - start;
	p->unpack_seconds += cpu_now() - between;
}

/* The attachment when there is one like it; else it is kept, and NULL. */
static struct attachment *find_or_keep(struct packer *p, struct slice bytes)
{
	uint64_t hash[2] = {hash64(bytes, 1), hash64(bytes, 2)};
	struct attachment *kept;

	for (size_t i = 0; i < p->seen_count; i++) {
		if (p->seen[i].hash[0] == hash[0] && p->seen[i].hash[1] == hash[1])
			return &p->seen[i];
	}
	if (p->seen_count == p->seen_room) {
		p->seen_room = p->seen_room ? p->seen_room * 2 : 256;
		p->seen = realloc(p->seen, p->seen_room * sizeof(*p->seen));
		CHECK(p->seen);
	}
	kept = &p->seen[p->seen_count++];
	*kept = (struct attachment){{hash[0], hash[1]}, BUFFER_INIT(FILE_MAX)};
	buffer_put(&kept->bytes, bytes);
	return NULL;
}

/* What is kept already is not kept again; the rest of the bytes is compressed together, as ever. */
static void runs_through(struct packer *p)
{
	struct reader r = READER_INIT(buffer_slice(&p->parts.runs));
	struct slice rest = buffer_slice(&p->parts.bytes);

	buffer_reset(&p->fresh);
	buffer_reset(&p->fresh_back);
	while (r.rest.len) {
		struct attachment *same = NULL;
		struct slice bytes;

		(void)reader_varint(&r);
		(void)reader_varint(&r);
		bytes = slice_first(rest, (size_t)reader_varint(&r));
		CHECK(reader_error(&r) == 0);
		rest = slice_from(rest, bytes.len);
		if (bytes.len >= SHARED_MIN)
			same = find_or_keep(p, bytes);
		if (same) {
			p->shared++;
			p->shared_bytes += bytes.len;
			p->stored += REFERENCE_BYTES;
		}
		buffer_put(same ? &p->bytes : &p->fresh, same ? buffer_slice(&same->bytes) : bytes);
		if (!same)
			buffer_put(&p->bytes, bytes);
	}
	part_through(p, buffer_slice(&p->fresh), false, &p->fresh_back);
	CHECK(slice_equal(buffer_slice(&p->fresh), buffer_slice(&p->fresh_back)));
}

static void piece_through(struct packer *p, struct slice raw)
{
	double start = cpu_now();
	bool split = p->step->split && encoded_split(raw, &p->parts);
	struct slice text = split ? buffer_slice(&p->parts.text) : raw;

	p->pack_seconds += cpu_now() - start;
	buffer_reset(&p->text);
	buffer_reset(&p->bytes);
	part_through(p, text, true, split ? &p->text : &p->back);
	if (!split)
		return;
	if (p->step->share)
		runs_through(p);
	else
		part_through(p, buffer_slice(&p->parts.bytes), false, &p->bytes);
	p->stored += p->parts.runs.len;
	CHECK(buffer_room(&p->text, BASE64_SLACK) && buffer_room(&p->bytes, BASE64_SLACK));
	start = cpu_now();
	CHECK(encoded_join(buffer_slice(&p->parts.runs), buffer_slice(&p->text), buffer_slice(&p->bytes), raw.len,
		      &p->back) == 0);
	p->unpack_seconds += cpu_now() - start;
}

static bool message_through(struct packer *p, struct slice message)
{
	size_t piece =
		p->step->share ? FILE_MAX : FRAME_RAW_BYTES; /* where attachments are looked for, they are whole */

	buffer_reset(&p->back);
	for (struct slice rest = message; rest.len; rest = slice_from(rest, MIN(piece, rest.len)))
		piece_through(p, slice_first(rest, piece));
	return slice_equal(buffer_slice(&p->back), message);
}

static bool step_run(const struct step *step, const struct set *set)
{
	struct packer p;
	bool right = true;

	packer_open(&p, step, set);
	for (size_t i = 0; i < set->count && right; i++)
		right = message_through(&p, buffer_slice(&set->messages[i]));
	if (right)
		printf("| %s | %llu | %.3f | %.1f | %.1f |", step->name, (unsigned long long)p.stored,
			(double)p.stored / (double)set->bytes, p.pack_seconds * 1e6 / (double)set->count,
			p.unpack_seconds * 1e6 / (double)set->count);
	else
		(void)fprintf(stderr, "bench-storage: %s: a message did not come back as it was\n", step->name);
	if (right && step->share)
		printf(" %llu of %llu attachments of %d bytes or more, %llu bytes of them |",
			(unsigned long long)p.shared, (unsigned long long)(p.seen_count + p.shared), SHARED_MIN,
			(unsigned long long)p.shared_bytes);
	if (right)
		printf("\n");
	packer_close(&p);
	return right;
}

int main(int argc, char **argv)
{
	static struct set set;
	uint64_t count = GENERATED;
	bool right = true;

	if (argc < 2 || argc > 3 || (argc == 3 && slice_to_u64(slice_of(argv[2]), 10000000, &count))) {
		(void)fprintf(stderr, "usage: %s generated [COUNT] | FOLDER\n", argv[0]);
		return 2;
	}
	if (strcmp(argv[1], "generated") == 0)
		set_generate(&set, count);
	else if (!set_read(&set, argv[1])) {
		(void)fprintf(stderr, "%s: no messages in %s\n", argv[0], argv[1]);
		return 2;
	}
	set_train(&set);
	printf("%zu messages, %llu bytes\n\n| kept as | bytes | of the mail | us to pack | us to unpack "
	       "|\n|---|---|---|---|---|\n",
		set.count, (unsigned long long)set.bytes);
	for (size_t i = 0; i < ARRAY_LEN(steps) && right; i++)
		right = step_run(&steps[i], &set);
	for (size_t i = 0; i < set.count; i++)
		buffer_free(&set.messages[i]);
	free(set.messages);
	return right ? 0 : 1;
}
