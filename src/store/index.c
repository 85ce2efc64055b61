#include "store/index.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/codec.h"
#include "base/hash.h"

enum { INDEX_FORMAT = 3, INDEX_READERS = 1024, PATH_ROOM = 4096, ROOM_BYTES = 1 << 20 };

static const char *const table_names[TABLE_COUNT] = {[TABLE_META] = "meta",
	[TABLE_IDENTITIES] = "identities",
	[TABLE_ADDRESSES] = "addresses",
	[TABLE_ALIASES] = "aliases",
	[TABLE_DOMAINS] = "domains",
	[TABLE_ACCOUNTS] = "accounts",
	[TABLE_MAILBOXES] = "mailboxes",
	[TABLE_SUBSCRIPTIONS] = "subscriptions",
	[TABLE_ENTRIES] = "entries",
	[TABLE_EMAILS] = "emails",
	[TABLE_SHARES] = "shares",
	[TABLE_EXPUNGED] = "expunged",
	[TABLE_EXPIRY] = "expiry",
	[TABLE_THREADS] = "threads",
	[TABLE_SEGMENTS] = "segments",
	[TABLE_LARGE] = "large",
	[TABLE_DICTIONARIES] = "dictionaries"};

const char *index_table_name(enum index_table table)
{
	return table_names[table];
}

int index_error(int mdb_error)
{
	switch (mdb_error) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_READERS_FULL:
		return -EBUSY;
	case MDB_CORRUPTED:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_PAGE_NOTFOUND:
	case MDB_BAD_VALSIZE:
	case MDB_INCOMPATIBLE:
		return -EBADMSG;
	default:
		return mdb_error > 0 ? -mdb_error : -EIO;
	}
}

/* The map is only address space; on a machine that does not give that much, less will do. An emulated one may call it invalid. */
static int env_open(struct index *index, const char *path, uint64_t bytes_max)
{
	static const size_t sizes[] = {(size_t)1 << 40, (size_t)1 << 37, (size_t)1 << 33};
	int error = -ENOMEM;

	for (size_t i = 0; i < ARRAY_LEN(sizes) && (error == -ENOMEM || error == -EINVAL); i++) {
		error = index_error(mdb_env_create(&index->env));
		if (error)
			return error;
		if (!(error = index_error(
			      mdb_env_set_mapsize(index->env, bytes_max ? MIN(sizes[i], bytes_max) : sizes[i]))) &&
			!(error = index_error(mdb_env_set_maxdbs(index->env, TABLE_COUNT))) &&
			!(error = index_error(mdb_env_set_maxreaders(index->env, INDEX_READERS))))
			error = index_error(mdb_env_open(index->env, path, MDB_NOTLS | MDB_NORDAHEAD, 0600));
		if (error) {
			mdb_env_close(index->env);
			index->env = NULL;
		}
	}
	return error;
}

static int tables_open(struct index *index, bool *ret_fresh)
{
	uint64_t format = 0;
	MDB_txn *txn;
	int error = index_begin(index, true, &txn);

	if (error)
		return error;
	for (int i = 0; !error && i < TABLE_COUNT; i++)
		error = index_error(mdb_dbi_open(txn, table_names[i], MDB_CREATE, &index->tables[i]));
	if (!error)
		error = index_get_number(index, txn, TABLE_META, SLICE("format"), &format);
	*ret_fresh = error == -ENOENT;
	if (error == -ENOENT)
		error = index_put_number(index, txn, TABLE_META, SLICE("format"), INDEX_FORMAT);
	else if (!error && format != INDEX_FORMAT)
		error = -EBADMSG;
	else if (!error) /* absent when the one who made it anew was interrupted */
		error = index_get_number(index, txn, TABLE_META, INDEX_READY, &format) ? -EBADMSG : 0;
	if (error) {
		mdb_txn_abort(txn);
		return error;
	}
	return index_commit(txn);
}

int index_open(const struct file_system *files, struct slice dir, const char *name, uint64_t bytes_max,
	struct index **ret_index, bool *ret_fresh)
{
	struct index *index = calloc(1, sizeof(*index));
	char path[PATH_ROOM];
	bool fresh = false;
	int error;

	if (!index)
		return -ENOMEM;
	(void)snprintf(path, sizeof(path), "%.*s/%s", SLICE_ARG(dir), name);
	error = file_make_dir(files, path);
	if (!error)
		error = env_open(index, path, bytes_max);
	if (!error)
		error = tables_open(index, &fresh);
	/* Also of one that was there: whoever put it there may have ended before its name was durable. */
	if (!error)
		error = files->sync_dir(files->context, path);
	if (error) {
		index_close(&index);
		return error;
	}
	*ret_index = index;
	*ret_fresh = fresh;
	return 0;
}

void index_close(struct index **index)
{
	if (!*index)
		return;
	if ((*index)->env)
		mdb_env_close((*index)->env);
	free(*index);
	*index = NULL;
}

int index_replace(const struct file_system *files, struct slice dir)
{
	char from[PATH_ROOM], to[PATH_ROOM];
	int error;

	(void)snprintf(to, sizeof(to), "%.*s/" INDEX_NAME, SLICE_ARG(dir));
	error = file_make_dir(files, to);
	if (error)
		return error;
	(void)snprintf(from, sizeof(from), "%.*s/" INDEX_NEW_NAME "/data.mdb", SLICE_ARG(dir));
	(void)snprintf(to, sizeof(to), "%.*s/" INDEX_NAME "/data.mdb", SLICE_ARG(dir));
	error = files->rename(files->context, from, to);
	if (error)
		return error;
	(void)snprintf(to, sizeof(to), "%.*s/" INDEX_NAME, SLICE_ARG(dir));
	error = files->sync_dir(files->context, to);
	(void)snprintf(from, sizeof(from), "%.*s/" INDEX_NEW_NAME, SLICE_ARG(dir));
	if (!error)
		error = files->sync_dir(files->context, from); /* a rename is in two directories */
	return error ? error : index_remove(files, dir, INDEX_NEW_NAME);
}

int index_remove(const struct file_system *files, struct slice dir, const char *name)
{
	static const char *const names[] = {"data.mdb", "lock.mdb"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[PATH_ROOM];
		int error;

		(void)snprintf(path, sizeof(path), "%.*s/%s/%s", SLICE_ARG(dir), name, names[i]);
		error = files->unlink(files->context, path);
		if (error && error != -ENOENT)
			return error;
	}
	return 0;
}

int index_begin(struct index *index, bool write, MDB_txn **ret_txn)
{
	return index_error(mdb_txn_begin(index->env, NULL, write ? 0 : MDB_RDONLY, ret_txn));
}

/* Asks for more behind the end of the file. What it gets stays the file's, so the next try finds it. */
static bool has_room(MDB_env *env)
{
	struct stat st;
	int file;

	if (mdb_env_get_fd(env, &file) || fstat(file, &st) < 0 ||
		fallocate(file, FALLOC_FL_KEEP_SIZE, st.st_size, ROOM_BYTES) == 0)
		return true;
	if (errno == EOPNOTSUPP) {
		struct statvfs fs;

		return fstatvfs(file, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= ROOM_BYTES;
	}
	return errno != ENOSPC && errno != EDQUOT;
}

/* The kernel writes what there is room for, and LMDB calls that EIO. */
static int write_error(MDB_env *env, int error)
{
	return error == -EIO && !has_room(env) ? -ENOSPC : error;
}

int index_commit(MDB_txn *txn)
{
	MDB_env *env = mdb_txn_env(txn);

	return write_error(env, index_error(mdb_txn_commit(txn)));
}

int index_abort(MDB_txn *txn, int error)
{
	MDB_env *env = mdb_txn_env(txn);

	mdb_txn_abort(txn);
	return write_error(env, error);
}

static void key_add(struct index_key *key, uint64_t number)
{
	number = htobe64(number);
	memcpy(key->bytes + key->len, &number, sizeof(number));
	key->len += sizeof(number);
}

static void key_add32(struct index_key *key, uint32_t number)
{
	number = htobe32(number);
	memcpy(key->bytes + key->len, &number, sizeof(number));
	key->len += sizeof(number);
}

struct index_key key_of(uint64_t number)
{
	struct index_key key = {.len = 0};

	key_add(&key, number);
	return key;
}

struct index_key key_pair(uint64_t first, uint64_t second)
{
	struct index_key key = key_of(first);

	key_add(&key, second);
	return key;
}

struct index_key key_entry(uint64_t mailbox, uint32_t uid)
{
	struct index_key key = key_of(mailbox);

	key_add32(&key, uid);
	return key;
}

struct index_key key_expunged(uint64_t mailbox, uint64_t modseq, uint32_t uid)
{
	struct index_key key = key_pair(mailbox, modseq);

	key_add32(&key, uid);
	return key;
}

struct index_key key_triple(uint64_t first, uint64_t second, uint64_t third)
{
	struct index_key key = key_pair(first, second);

	key_add(&key, third);
	return key;
}

struct slice key_slice(const struct index_key *key)
{
	return slice_make(key->bytes, key->len);
}

uint64_t key_number(struct slice key, size_t at)
{
	struct reader r = READER_INIT(slice_from(key, at));

	return reader_be64(&r);
}

uint32_t key_number32(struct slice key, size_t at)
{
	struct reader r = READER_INIT(slice_from(key, at));

	return reader_be32(&r);
}

static MDB_val val_of(struct slice bytes)
{
	union {
		const char *read;
		void *given;
	} at = {bytes.len ? bytes.at : ""};

	return (MDB_val){bytes.len, at.given}; /* LMDB does not write through it */
}

static struct slice slice_of_val(MDB_val val)
{
	return slice_make(val.mv_data, val.mv_size);
}

uint32_t index_crc(enum index_table table, struct slice key, struct slice value)
{
	char begin[2] = {(char)table, (char)key.len};
	uint32_t crc = crc32c(crc32c(0, begin, sizeof(begin)), key.at, key.len);

	return crc32c(crc, value.at, value.len);
}

/* What is stored, without its checksum. */
static int value_take(enum index_table table, struct slice key, MDB_val stored, struct slice *ret_value)
{
	struct slice value = slice_of_val(stored);
	struct reader r;

	if (value.len < INDEX_CRC_BYTES)
		return -EBADMSG;
	r = READER_INIT(slice_from(value, value.len - INDEX_CRC_BYTES));
	value.len -= INDEX_CRC_BYTES;
	if (reader_le32(&r) != index_crc(table, key, value))
		return -EBADMSG;
	*ret_value = value;
	return 0;
}

int index_get(struct index *index, MDB_txn *txn, enum index_table table, struct slice key, struct slice *ret_value)
{
	MDB_val k = val_of(key), v;
	int error = index_error(mdb_get(txn, index->tables[table], &k, &v));

	return error ? error : value_take(table, key, v, ret_value);
}

int index_put(struct index *index, MDB_txn *txn, enum index_table table, struct slice key, struct slice value)
{
	MDB_val k = val_of(key), v = {value.len + INDEX_CRC_BYTES, NULL};
	uint32_t crc = index_crc(table, key, value);
	char *to;
	int error = index_error(mdb_put(txn, index->tables[table], &k, &v, MDB_RESERVE));

	if (error)
		return error;
	to = v.mv_data;
	if (value.len)
		memcpy(to, value.at, value.len);
	for (size_t i = 0; i < INDEX_CRC_BYTES; i++)
		to[value.len + i] = (char)(crc >> (8 * i));
	return 0;
}

/*
 * LMDB splits a page in half, but when the new row comes last it moves only the last one that was there along with it. With a small row
 * behind the new one, it moves that one alone.
 */
int index_put_next(struct index *index, MDB_txn *txn, enum index_table table, struct slice key, struct slice value)
{
	struct index_key behind = {.len = key.len + 1};
	MDB_stat stat;
	int error = index_error(mdb_stat(txn, index->tables[table], &stat));

	if (error)
		return error;
	CHECK(key.len < sizeof(behind.bytes));
	if (value.len < stat.ms_psize / 4 || value.len > stat.ms_psize / 2)
		return index_put(index, txn, table, key, value);
	memcpy(behind.bytes, key.at, key.len);
	error = index_put(index, txn, table, key_slice(&behind), SLICE(""));
	if (!error)
		error = index_put(index, txn, table, key, value);
	return error ? error : index_delete(index, txn, table, key_slice(&behind));
}

int index_delete(struct index *index, MDB_txn *txn, enum index_table table, struct slice key)
{
	MDB_val k = val_of(key);
	int error = index_error(mdb_del(txn, index->tables[table], &k, NULL));

	return error == -ENOENT ? 0 : error;
}

int index_get_number(struct index *index, MDB_txn *txn, enum index_table table, struct slice key, uint64_t *ret_number)
{
	struct slice value = {NULL, 0};
	struct reader r;
	uint64_t number;
	int error = index_get(index, txn, table, key, &value);

	if (error)
		return error;
	r = READER_INIT(value);
	number = reader_le64(&r);
	if (reader_error(&r))
		return -EBADMSG;
	*ret_number = number;
	return 0;
}

int index_put_number(struct index *index, MDB_txn *txn, enum index_table table, struct slice key, uint64_t number)
{
	char bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(number >> (8 * i));
	return index_put(index, txn, table, key, slice_make(bytes, sizeof(bytes)));
}

int segment_row_read(struct slice value, struct segment_row *ret_row)
{
	struct reader r = READER_INIT(value);

	ret_row->live = reader_le64(&r);
	ret_row->loose = reader_le64(&r);
	return reader_error(&r);
}

int index_segment_get(struct index *index, MDB_txn *txn, uint64_t segment, struct segment_row *ret_row)
{
	struct index_key key = key_of(segment);
	struct slice value;
	int error = index_get(index, txn, TABLE_SEGMENTS, key_slice(&key), &value);

	*ret_row = (struct segment_row){0, 0};
	if (!error)
		error = segment_row_read(value, ret_row);
	return error == -ENOENT ? 0 : error;
}

int index_segment_put(struct index *index, MDB_txn *txn, uint64_t segment, const struct segment_row *row)
{
	struct index_key key = key_of(segment);
	struct buffer value = BUFFER_INIT(sizeof(*row));
	int error;

	if (!row->live)
		return index_delete(index, txn, TABLE_SEGMENTS, key_slice(&key));
	buffer_put_le64(&value, row->live);
	buffer_put_le64(&value, row->loose);
	error = buffer_error(&value);
	if (!error)
		error = index_put(index, txn, TABLE_SEGMENTS, key_slice(&key), buffer_slice(&value));
	buffer_free(&value);
	return error;
}

int index_applied(struct index *index, MDB_txn *txn, uint64_t *ret_seq)
{
	uint64_t seq = 0;
	int error = index_get_number(index, txn, TABLE_META, INDEX_APPLIED, &seq);

	if (error && error != -ENOENT)
		return error;
	*ret_seq = seq;
	return 0;
}

int index_walk_from(
	struct index *index, MDB_txn *txn, enum index_table table, struct slice key, struct index_walk *walk)
{
	MDB_val k = val_of(key), v;
	int error = 0;

	walk->table = table;
	if (!walk->cursor)
		error = index_error(mdb_cursor_open(txn, index->tables[table], &walk->cursor));
	if (!error)
		error = index_error(mdb_cursor_get(walk->cursor, &k, &v, key.len ? MDB_SET_RANGE : MDB_FIRST));
	if (error)
		return error;
	walk->key = slice_of_val(k);
	return value_take(table, walk->key, v, &walk->value);
}

/*
 * Has the processor fetch what lies a page behind the row that is looked at now: whoever walks through rows of 1,000 bytes, which fill pages
 * one behind the other, waits for memory most of the time. A wrong guess costs nothing but the asking.
 */
static void walk_expect(const struct index_walk *walk, MDB_val stored)
{
	enum { LINE_BYTES = 64, PAGE_BYTES = 4096, IN_PAGE_BYTES_MAX = PAGE_BYTES / 2 };
	size_t row = walk->key.len + stored.mv_size;

	/* What is larger has pages of its own; what is far smaller is in the cache already. */
	if (row < LINE_BYTES || row > IN_PAGE_BYTES_MAX)
		return;
	__builtin_prefetch(walk->key.at - (uintptr_t)walk->key.at % PAGE_BYTES + PAGE_BYTES);
	for (size_t at = 0; at < row + LINE_BYTES; at += LINE_BYTES)
		__builtin_prefetch(walk->key.at + PAGE_BYTES + at);
}

int index_walk_next(struct index_walk *walk)
{
	MDB_val k, v;
	int error = index_error(mdb_cursor_get(walk->cursor, &k, &v, MDB_NEXT));

	if (error)
		return error;
	walk->key = slice_of_val(k);
	walk_expect(walk, v);
	return value_take(walk->table, walk->key, v, &walk->value);
}

int index_walk_delete(struct index_walk *walk)
{
	return index_error(mdb_cursor_del(walk->cursor, 0));
}

void index_walk_end(struct index_walk *walk)
{
	if (walk->cursor)
		mdb_cursor_close(walk->cursor);
	walk->cursor = NULL;
}
