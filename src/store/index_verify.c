/*
 * Does the file hold an index that LMDB can trust? A page that is not what it seems makes LMDB read and write anywhere, so this reads the
 * file (format 1 of LMDB 0.9, 64 bits, little-endian) by its own means, with every number checked, before LMDB maps it: each page that the
 * newest meta page leads to is of the right kind, its nodes fill it and nothing else, keys ascend within what the pages above say, no page is
 * used twice or is free as well, the counts are right, and each value has its checksum. What it says is the page where that is not so, and
 * those that lead to it: the fault may be theirs.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "store/index.h"

enum {
	PATH_ROOM = 4096,
	PAGE_MIN = 4096,
	PAGE_MAX = 65536,
	PAGE_HEAD = 16,
	NODE_HEAD = 8,
	DEPTH_MAX = 32,
	KEY_MAX = 511,
	META_COUNT = 2,
	META_MAGIC_AT = PAGE_HEAD,
	META_DBS_AT = PAGE_HEAD + 24,
	META_BYTES = 136,
	TREE_BYTES = 48,
};
enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 };
#define META_MAGIC 0xBEEFC0DEu
#define NO_PAGE    UINT64_MAX
#define OWN_TABLES TABLE_COUNT       /* the tree of the tables' trees */
#define FREE_PAGES (TABLE_COUNT + 1) /* transaction -> page numbers */
/* A file may end before its last page, when that was freed again before it was ever written. */
#define PAGES_BEYOND 65536

struct tree {
	uint16_t flags, depth;
	uint64_t branches, leaves, overflows, entries, root;
};

struct verify {
	int file;
	uint64_t file_pages, last_page;
	uint64_t meta, txn; /* the newest meta page, and its transaction */
	size_t page_bytes;
	uint16_t *sizes;     /* of the nodes of a page, by where they are; two bytes a place */
	unsigned char *seen; /* a bit for each page */
	uint64_t tables;     /* a bit for each found */
	struct tree free_tree, main_tree;
	struct buffer value; /* of a value on overflow pages */
	struct buffer *detail;
};

/* One tree being walked: what is found, to be compared with what is said. */
struct walking {
	struct verify *v;
	unsigned table;
	struct tree said, found;
	char *pages; /* one for each level */
};

static int bad(struct verify *v, uint64_t page, const char *what)
{
	if (!v->detail->len)
		buffer_printf(v->detail, "page %llu: %s", (unsigned long long)page, what);
	return -EBADMSG;
}

static int below(struct verify *v, uint64_t page, int error)
{
	if (error == -EBADMSG)
		buffer_printf(v->detail, ", below page %llu", (unsigned long long)page);
	return error;
}

static struct reader reader_at(const char *page, size_t at, size_t bytes)
{
	struct slice part = {page + at, bytes};

	return (struct reader)READER_INIT(part);
}

static int page_read(struct verify *v, uint64_t page, uint64_t count, char *to)
{
	size_t want = (size_t)count * v->page_bytes, have = 0;

	if (page >= v->file_pages || count > v->file_pages - page)
		return bad(v, page, "beyond the end of the file");
	while (have < want) {
		ssize_t got = pread(v->file, to + have, want - have, (off_t)(page * v->page_bytes + have));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : bad(v, page, "beyond the end of the file");
		have += (size_t)got;
	}
	return 0;
}

/* Each page has one use. */
static int page_take(struct verify *v, uint64_t page, uint64_t count)
{
	if (page < META_COUNT || page > v->last_page || count > v->last_page + 1 - page)
		return bad(v, page, "no such page");
	for (uint64_t i = page; i < page + count; i++) {
		unsigned char bit = (unsigned char)(1 << i % 8);

		if (v->seen[i / 8] & bit)
			return bad(v, i, "used twice");
		v->seen[i / 8] |= bit;
	}
	return 0;
}

static struct tree tree_read(struct slice bytes)
{
	struct reader r = READER_INIT(bytes);
	struct tree tree;

	(void)reader_le32(&r);
	tree.flags = reader_le16(&r);
	tree.depth = reader_le16(&r);
	tree.branches = reader_le64(&r);
	tree.leaves = reader_le64(&r);
	tree.overflows = reader_le64(&r);
	tree.entries = reader_le64(&r);
	tree.root = reader_le64(&r);
	return tree;
}

/* ---- Values ---- */

/* They may be more than the value needs: LMDB leaves them as they are when it becomes shorter in the transaction that made it. */
static int big_value(struct walking *w, uint64_t page, uint64_t bytes, struct slice *ret_value)
{
	struct verify *v = w->v;
	uint64_t need = (PAGE_HEAD + bytes + v->page_bytes - 1) / v->page_bytes, count;
	struct reader r;
	char *room;
	int error = page < META_COUNT || page >= v->file_pages || need > v->file_pages - page
			    ? bad(v, page, "no such page")
			    : 0;

	buffer_reset(&v->value);
	room = error ? NULL : buffer_room(&v->value, (size_t)need * v->page_bytes);
	if (!room)
		return error ? error : -ENOMEM;
	error = page_read(v, page, need, room);
	if (error)
		return error;
	r = reader_at(room, 0, PAGE_HEAD);
	if (reader_le64(&r) != page || reader_le16(&r) != 0 || reader_le16(&r) != PAGE_OVERFLOW)
		return bad(v, page, "not the value that it should hold");
	count = reader_le32(&r);
	if (count < need)
		return bad(v, page, "fewer pages than its value needs");
	error = page_take(v, page, count);
	if (error)
		return below(v, page, error);
	w->found.overflows += count;
	*ret_value = (struct slice){room + PAGE_HEAD, (size_t)bytes};
	return 0;
}

static int tree_walk(struct verify *v, unsigned table, const struct tree *said);

static int table_value(struct walking *w, uint64_t page, struct slice key, struct slice value)
{
	struct tree tree;

	for (unsigned table = 0; table < TABLE_COUNT; table++) {
		if (!slice_equal(key, slice_of(index_table_name((enum index_table)table))))
			continue;
		if (value.len != TREE_BYTES)
			break;
		tree = tree_read(value);
		w->v->tables |= (uint64_t)1 << table;
		return tree.flags ? bad(w->v, page, "a table of another kind")
				  : below(w->v, page, tree_walk(w->v, table, &tree));
	}
	return bad(w->v, page, "no table of ours");
}

/* How many, then their numbers, which fall. */
static int free_value(struct walking *w, uint64_t page, struct slice value)
{
	struct reader r = READER_INIT(value);
	uint64_t count = reader_le64(&r), before = NO_PAGE;
	int error = 0;

	if (value.len % 8 || count != value.len / 8 - 1)
		return bad(w->v, page, "a list of free pages of another length");
	for (uint64_t i = 0; i < count && !error; i++) {
		uint64_t one = reader_le64(&r);

		error = one >= before ? bad(w->v, page, "free pages out of order")
				      : below(w->v, page, page_take(w->v, one, 1));
		before = one;
	}
	return error;
}

static int value_check(struct walking *w, uint64_t page, struct slice key, struct slice value)
{
	struct reader r;

	if (w->table == OWN_TABLES)
		return table_value(w, page, key, value);
	if (w->table == FREE_PAGES)
		return free_value(w, page, value);
	if (value.len < INDEX_CRC_BYTES)
		return bad(w->v, page, "a value without its checksum");
	r = (struct reader)READER_INIT(slice_from(value, value.len - INDEX_CRC_BYTES));
	value.len -= INDEX_CRC_BYTES;
	if (reader_le32(&r) != index_crc((enum index_table)w->table, key, value))
		return bad(w->v, page, "a value does not fit its checksum");
	return 0;
}

/* ---- Pages ---- */

struct node {
	unsigned flags;
	uint64_t number; /* of a leaf: bytes of the value; of a branch: the page below */
	struct slice key;
	size_t at, value_at;
};

static int node_read(
	struct walking *w, const char *page, uint64_t number, unsigned nth, bool leaf, struct node *ret_node)
{
	size_t page_bytes = w->v->page_bytes;
	struct reader r = reader_at(page, PAGE_HEAD + (size_t)2 * nth, 2);
	size_t at = reader_le16(&r), key_bytes;
	struct node node;

	if (at < PAGE_HEAD || at % 2 || at + NODE_HEAD > page_bytes)
		return bad(w->v, number, "a node outside of it");
	r = reader_at(page, at, NODE_HEAD);
	node.number = reader_le32(&r);
	node.flags = reader_le16(&r);
	key_bytes = reader_le16(&r);
	if (key_bytes > KEY_MAX || key_bytes > page_bytes - at - NODE_HEAD)
		return bad(w->v, number, "a key outside of it");
	node.key = (struct slice){page + at + NODE_HEAD, key_bytes};
	node.at = at;
	node.value_at = at + NODE_HEAD + key_bytes;
	if (!leaf)
		node.number |= (uint64_t)node.flags << 32;
	*ret_node = node;
	return 0;
}

static int leaf_value(struct walking *w, const char *page, uint64_t number, const struct node *node)
{
	size_t room = w->v->page_bytes - node->value_at;
	unsigned kind = w->table == OWN_TABLES ? NODE_TREE : node->flags & NODE_BIG;
	struct slice value = {page + node->value_at, (size_t)node->number};
	struct reader r;
	uint64_t holder;
	int error;

	if (node->flags != kind)
		return bad(w->v, number, "a value of another kind");
	if (node->flags & NODE_BIG) {
		if (room < 8 || node->number > (uint64_t)UINT32_MAX / 2)
			return bad(w->v, number, "a value outside of it");
		r = reader_at(page, node->value_at, 8);
		holder = reader_le64(&r);
		error = big_value(w, holder, node->number, &value);
		if (!error)
			error = value_check(w, holder, node->key, value);
		return below(w->v, number, error);
	} else if (node->number > room) {
		return bad(w->v, number, "a value outside of it");
	}
	return value_check(w, number, node->key, value);
}

static int key_order(const struct walking *w, struct slice a, struct slice b)
{
	struct reader left = READER_INIT(a), right = READER_INIT(b);
	uint64_t x, y;

	if (w->table != FREE_PAGES)
		return slice_compare(a, b);
	x = reader_le64(&left);
	y = reader_le64(&right);
	return x < y ? -1 : x > y;
}

/* A transaction that there was already. */
static int free_key(struct walking *w, uint64_t page, struct slice key)
{
	struct reader r = READER_INIT(key);

	if (key.len != 8)
		return bad(w->v, page, "a key of another length");
	return reader_le64(&r) > w->v->txn ? bad(w->v, page, "pages freed in a transaction to come") : 0;
}

static bool key_fits(const struct walking *w, struct slice key, struct slice before, bool or_equal, struct slice high)
{
	int order = before.at ? key_order(w, key, before) : 1;

	return (order > 0 || (order == 0 && or_equal)) && (!high.at || key_order(w, key, high) < 0);
}

static int page_head(struct walking *w, const char *page, uint64_t number, bool leaf, unsigned *ret_nodes)
{
	struct reader r = reader_at(page, 0, PAGE_HEAD);
	uint64_t own = reader_le64(&r);
	unsigned pad = reader_le16(&r), flags = reader_le16(&r), lower = reader_le16(&r), upper = reader_le16(&r);

	if (own != number || pad || flags != (leaf ? PAGE_LEAF : PAGE_BRANCH))
		return bad(w->v, number, "another page than the one that should be here");
	if (lower < PAGE_HEAD || lower % 2 || upper < lower || upper > w->v->page_bytes)
		return bad(w->v, number, "its free space is not in it");
	*ret_nodes = (lower - PAGE_HEAD) / 2;
	if (*ret_nodes < (leaf ? 1 : 2))
		return bad(w->v, number, "too few nodes");
	return 0;
}

/* Where LMDB adds a node, and what it moves when it takes one, follows from this: they fill the page from the end of its free space on. */
static int page_filled(struct walking *w, const char *page, uint64_t number, bool leaf, unsigned nodes)
{
	struct verify *v = w->v;
	struct reader r = reader_at(page, PAGE_HEAD - 2, 2);
	size_t at = reader_le16(&r);

	memset(v->sizes, 0, v->page_bytes / 2 * sizeof(*v->sizes));
	for (unsigned i = 0; i < nodes; i++) {
		struct node node;
		int error = node_read(w, page, number, i, leaf, &node);
		uint64_t value_bytes = !leaf ? 0 : node.flags & NODE_BIG ? 8 : node.number;

		if (error)
			return error;
		if (value_bytes > v->page_bytes - node.value_at)
			return bad(v, number, "a value outside of it");
		v->sizes[node.at / 2] = (uint16_t)((node.value_at + value_bytes - node.at + 1) & ~(uint64_t)1);
	}
	while (nodes && at % 2 == 0 && at < v->page_bytes && v->sizes[at / 2]) {
		at += v->sizes[at / 2];
		nodes--;
	}
	return nodes || at != v->page_bytes ? bad(v, number, "its nodes do not fill it") : 0;
}

/* All keys of the page are at least `low` and, where there is one (.at not NULL), below `high`. */
static int page_walk(struct walking *w, uint64_t number, unsigned level, struct slice low, struct slice high)
{
	bool leaf = level + 1 == w->said.depth;
	char *page = w->pages + level * w->v->page_bytes;
	struct slice before = low;
	unsigned nodes = 0;
	int error = page_take(w->v, number, 1);

	if (!error)
		error = page_read(w->v, number, 1, page);
	if (!error)
		error = page_head(w, page, number, leaf, &nodes);
	if (!error)
		error = page_filled(w, page, number, leaf, nodes);
	w->found.leaves += leaf;
	w->found.branches += !leaf;
	for (unsigned i = 0; i < nodes && !error; i++) {
		struct node node, next = {.key = high};
		/* A branch's first key stands for everything before the second. */
		bool open = !leaf && i == 0;

		error = node_read(w, page, number, i, leaf, &node);
		if (!error && w->table == FREE_PAGES && !open)
			error = free_key(w, number, node.key);
		if (!error && !open && !key_fits(w, node.key, before, leaf && i == 0, high))
			error = bad(w->v, number, "keys out of order");
		if (!error && !leaf && i + 1 < nodes)
			error = node_read(w, page, number, i + 1, false, &next);
		if (!error)
			error = leaf ? leaf_value(w, page, number, &node)
				     : below(w->v, number,
					       page_walk(w, node.number, level + 1, open ? low : node.key, next.key));
		if (!open)
			before = node.key;
		w->found.entries += leaf;
	}
	return error;
}

static int tree_walk(struct verify *v, unsigned table, const struct tree *said)
{
	struct walking w = {.v = v, .table = table, .said = *said};
	struct slice none = {NULL, 0};
	int error;

	if (said->root == NO_PAGE)
		return said->depth || said->entries || said->leaves || said->branches || said->overflows
			       ? bad(v, 0, "an empty table that is not empty")
			       : 0;
	if (said->depth < 1 || said->depth > DEPTH_MAX)
		return bad(v, said->root, "a table of impossible depth");
	w.pages = malloc(said->depth * v->page_bytes);
	if (!w.pages)
		return -ENOMEM;
	error = page_walk(&w, said->root, 0, none, none);
	free(w.pages);
	if (!error && (w.found.branches != said->branches || w.found.leaves != said->leaves ||
			      w.found.overflows != said->overflows || w.found.entries != said->entries))
		error = bad(v, said->root, "a table with other counts than it has");
	return error;
}

/* ---- The file ---- */

/* `page` has at least PAGE_MIN bytes. LMDB looks at both; the one with the greater number counts. */
static int meta_read(struct verify *v, const char *page, uint64_t number)
{
	struct reader r = reader_at(page, 0, PAGE_MIN);
	uint64_t own = reader_le64(&r);
	struct tree free_tree, main_tree;
	size_t page_bytes;

	(void)reader_le16(&r);
	if (own != number || reader_le16(&r) != PAGE_META)
		return bad(v, number, "no meta page");
	r = reader_at(page, META_MAGIC_AT, META_BYTES);
	if (reader_le32(&r) != META_MAGIC || reader_le32(&r) != 1 || reader_le64(&r) != 0)
		return bad(v, number, "no meta page of LMDB");
	r = reader_at(page, META_DBS_AT, 2 * TREE_BYTES + 16);
	page_bytes = reader_le32(&r);
	if (page_bytes < PAGE_MIN || page_bytes > PAGE_MAX || (page_bytes & (page_bytes - 1)) ||
		(v->page_bytes && page_bytes != v->page_bytes))
		return bad(v, number, "pages of impossible size");
	free_tree = tree_read((struct slice){page + META_DBS_AT, TREE_BYTES});
	main_tree = tree_read((struct slice){page + META_DBS_AT + TREE_BYTES, TREE_BYTES});
	if (free_tree.flags != 0x08 || main_tree.flags)
		return bad(v, number, "a meta page of another kind");
	r = reader_at(page, META_DBS_AT + 2 * TREE_BYTES, 16);
	v->page_bytes = page_bytes;
	v->last_page = reader_le64(&r);
	v->meta = number;
	v->txn = reader_le64(&r);
	v->free_tree = free_tree;
	v->main_tree = main_tree;
	return 0;
}

static int metas_read(struct verify *v)
{
	char *page = malloc(PAGE_MIN);
	uint64_t first, second;
	struct verify older;
	int error = page ? 0 : -ENOMEM;

	v->page_bytes = PAGE_MIN;
	v->file_pages = 1; /* of the smallest size */
	if (!error)
		error = page_read(v, 0, 1, page);
	v->page_bytes = 0;
	if (!error)
		error = meta_read(v, page, 0);
	older = *v;
	if (!error && pread(v->file, page, PAGE_MIN, (off_t)v->page_bytes) != PAGE_MIN)
		error = bad(v, 1, "beyond the end of the file");
	if (!error)
		error = meta_read(v, page, 1);
	first = older.txn;
	second = v->txn;
	/* They are written in turn: the even transactions to the first. */
	if (!error &&
		(first % 2 || (second && second % 2 == 0) || (first > second ? first - second : second - first) > 1))
		error = bad(v, 0, "the two meta pages do not follow each other");
	if (!error && first > second) {
		v->meta = older.meta;
		v->txn = older.txn;
		v->last_page = older.last_page;
		v->free_tree = older.free_tree;
		v->main_tree = older.main_tree;
	}
	free(page);
	return error;
}

static int file_verify(struct verify *v)
{
	struct stat status;
	int error;

	if (fstat(v->file, &status) != 0)
		return -errno;
	if (status.st_size == 0)
		return 0; /* its making was cut short before anything was in it */
	error = metas_read(v);
	if (error)
		return error;
	v->file_pages = (uint64_t)status.st_size / v->page_bytes;
	if (v->last_page < 1 || v->last_page >= v->file_pages + PAGES_BEYOND)
		return bad(v, v->last_page, "a last page far beyond the file");
	v->seen = calloc(1, (size_t)(v->last_page / 8 + 1));
	v->sizes = calloc(v->page_bytes / 2, sizeof(*v->sizes));
	if (!v->seen || !v->sizes)
		return -ENOMEM;
	error = below(v, v->meta, tree_walk(v, FREE_PAGES, &v->free_tree));
	if (!error)
		error = below(v, v->meta, tree_walk(v, OWN_TABLES, &v->main_tree));
	if (!error && v->tables && v->tables != ((uint64_t)1 << TABLE_COUNT) - 1)
		error = bad(v, v->main_tree.root, "not all tables are there");
	return error;
}

int index_verify(struct slice dir, const char *name, struct buffer *detail)
{
	struct verify v = {.value = BUFFER_INIT(UINT32_MAX), .detail = detail};
	char path[PATH_ROOM];
	int error;

	(void)snprintf(path, sizeof(path), "%.*s/%s/data.mdb", SLICE_ARG(dir), name);
	v.file = open(path, O_RDONLY | O_CLOEXEC);
	if (v.file < 0)
		return -errno;
	buffer_reset(detail);
	error = file_verify(&v);
	close(v.file);
	free(v.seen);
	free(v.sizes);
	buffer_free(&v.value);
	return error;
}
