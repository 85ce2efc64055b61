/*
 * Bit rot in the index, class by class: what LMDB or the store would trust is refused before LMDB maps it, and the page is named; a bit
 * anywhere else does no harm.
 */
#include "rot.h"
#include "store/engine.h"

enum { PAGE = 4096, SPOTS_MAX = 8000, PAGES_OF_A_TABLE = 4 };
static const char index_file[] = "index/data.mdb";

/* What must come of a flipped bit. */
enum due {
	NAMED,   /* refused, and the page that was hit is named */
	REFUSED, /* refused; the fault cannot be told from one of a page that was not hit */
	HARMLESS /* refused, or everything is there all the same */
};
/* clang-format off */
#define CLASSES(X) \
	X(META_PAGE, NAMED, "meta page in use: page") \
	X(META_HEAD, NAMED, "meta page in use: magic, version, address, page size") \
	X(META_TREE, NAMED, "meta page in use: its trees") \
	X(META_LAST, HARMLESS, "meta page in use: last page, size of the map") \
	X(META_TXN, REFUSED, "meta page in use: transaction") \
	X(META_UNUSED, HARMLESS, "meta page in use: unused bytes") \
	X(META_OLDER, HARMLESS, "older meta page") \
	X(PAGE_NUMBER, NAMED, "page: number") \
	X(PAGE_KIND, NAMED, "page: kind") \
	X(PAGE_LOWER, NAMED, "page: lower end of its free space") \
	X(PAGE_UPPER, NAMED, "page: upper end of its free space") \
	X(PAGE_FREE, HARMLESS, "page: in its free space") \
	X(NODE_PLACE, NAMED, "node: place") \
	X(NODE_CHILD, NAMED, "node: page below") \
	X(NODE_SIZE, NAMED, "node: bytes of its value") \
	X(NODE_FLAGS, NAMED, "node: flags") \
	X(NODE_KEY_BYTES, NAMED, "node: bytes of its key") \
	X(BRANCH_KEY, HARMLESS, "branch: key") \
	X(LEAF_KEY, NAMED, "leaf: key") \
	X(LEAF_VALUE, NAMED, "leaf: value") \
	X(LEAF_CRC, NAMED, "leaf: CRC of a value") \
	X(LEAF_UNUSED, HARMLESS, "leaf: byte behind a value") \
	X(TABLE_RECORD, NAMED, "table: kind, depth, counts, root") \
	X(TABLE_UNUSED, HARMLESS, "table: unused bytes") \
	X(FREE_KEY, HARMLESS, "free pages: transaction") \
	X(FREE_COUNT, NAMED, "free pages: count") \
	X(FREE_NUMBER, REFUSED, "free pages: number") \
	X(LONG_PLACE, NAMED, "long value: its page, in the leaf") \
	X(LONG_PAGE, NAMED, "long value: page's number and kind") \
	X(LONG_COUNT, REFUSED, "long value: count of pages") \
	X(LONG_VALUE, NAMED, "long value") \
	X(LONG_CRC, NAMED, "long value: CRC") \
	X(LONG_UNUSED, HARMLESS, "long value: bytes behind it") \
	X(FREE_PAGE, HARMLESS, "free page")
/* clang-format on */
#define NAME_OF(name, due, text) name,
enum class { CLASSES(NAME_OF) CLASS_COUNT };
#undef NAME_OF
#define ROW_OF(name, due, text) {due, text},
static const struct {
	enum due due;
	const char *text;
} classes[] = {CLASSES(ROW_OF)};
#undef ROW_OF

struct spot {
	uint64_t page, at; /* `at` from the page's beginning; a long value is known by its first page */
	enum class class;
};

/* The origin as it is, which is sound, gone through from its newest meta page. */
struct map {
	struct buffer bytes;
	struct spot spots[SPOTS_MAX];
	size_t count;
	unsigned char used[1 << 16]; /* pages that something leads to */
	unsigned leaves;             /* taken of the table in hand */
	bool free_pages;             /* the table in hand is the one of free pages */
};

static struct rot world;

static uint64_t number_at(const struct map *map, uint64_t page, uint64_t at, unsigned bytes)
{
	const char *from = map->bytes.at + page * PAGE + at;
	uint64_t number = 0;

	assert_true(page * PAGE + at + bytes <= map->bytes.len);
	for (unsigned i = bytes; i > 0; i--)
		number = number << 8 | (unsigned char)from[i - 1];
	return number;
}

static void spot(struct map *map, uint64_t page, uint64_t at, enum class class)
{
	assert_true(map->count < SPOTS_MAX);
	map->spots[map->count++] = (struct spot){page, at, class};
}

/* The first, the last and one between. */
static void spots_in(struct map *map, uint64_t page, uint64_t at, uint64_t bytes, enum class class)
{
	if (bytes)
		spot(map, page, at, class);
	if (bytes > 2)
		spot(map, page, at + bytes / 2, class);
	if (bytes > 1)
		spot(map, page, at + bytes - 1, class);
}

static void spots_each(struct map *map, uint64_t page, uint64_t at, uint64_t bytes, enum class class)
{
	for (uint64_t i = 0; i < bytes; i++)
		spot(map, page, at + i, class);
}

/* ---- Trees ---- */

static void tree_spots(struct map *map, uint64_t page, uint64_t at, enum class record, enum class unused)
{
	spots_in(map, page, at, 4, unused);
	spots_each(map, page, at + 4, 4, record);
	for (unsigned field = 8; field < 48; field += 8)
		spots_in(map, page, at + field, 8, record);
}

static void walk(struct map *map, uint64_t page);

static void long_value(struct map *map, uint64_t leaf, uint64_t at, uint64_t bytes)
{
	uint64_t page = number_at(map, leaf, at, 8), pages = number_at(map, page, 12, 4), end = 16 + bytes;

	memset(map->used + page, 1, pages);
	spots_in(map, leaf, at, 8, LONG_PLACE);
	spots_in(map, page, 0, 8, LONG_PAGE);
	spots_each(map, page, 8, 4, LONG_PAGE);
	spots_each(map, page, 12, 4, LONG_COUNT);
	if (map->free_pages)
		return;
	spot(map, page, 16, LONG_VALUE);
	for (uint64_t one = 1000; one + INDEX_CRC_BYTES < end; one += 3000)
		spot(map, page, one, LONG_VALUE);
	spots_each(map, page, end - INDEX_CRC_BYTES, INDEX_CRC_BYTES, LONG_CRC);
	if (end % PAGE)
		spots_in(map, page, end, PAGE - end % PAGE, LONG_UNUSED);
}

static void value_spots(struct map *map, uint64_t page, uint64_t at, uint64_t bytes, unsigned flags)
{
	if (flags & 2) {
		tree_spots(map, page, at, TABLE_RECORD, TABLE_UNUSED);
	} else if (map->free_pages) {
		spots_in(map, page, at, 8, FREE_COUNT);
		spots_in(map, page, at + 8, bytes - 8, FREE_NUMBER);
	} else {
		spots_in(map, page, at, bytes - INDEX_CRC_BYTES, LEAF_VALUE);
		spots_each(map, page, at + bytes - INDEX_CRC_BYTES, INDEX_CRC_BYTES, LEAF_CRC);
		if (bytes % 2 && (at + bytes) % 2)
			spot(map, page, at + bytes, LEAF_UNUSED);
	}
}

static void node_spots(struct map *map, uint64_t page, unsigned nth, bool leaf)
{
	uint64_t node = number_at(map, page, 16 + 2 * nth, 2), key = node + 8;
	uint64_t bytes = number_at(map, page, node, 4), key_bytes = number_at(map, page, node + 6, 2);
	unsigned flags = (unsigned)number_at(map, page, node + 4, 2);

	spots_each(map, page, 16 + 2 * nth, 2, NODE_PLACE);
	spots_each(map, page, node + 6, 2, NODE_KEY_BYTES);
	if (!leaf) {
		spots_each(map, page, node, 6, NODE_CHILD);
		spots_in(map, page, key, key_bytes, BRANCH_KEY);
		return;
	}
	spots_each(map, page, node, 4, NODE_SIZE);
	spots_each(map, page, node + 4, 2, NODE_FLAGS);
	spots_in(map, page, key, key_bytes, map->free_pages ? FREE_KEY : LEAF_KEY);
	if (flags & 1)
		long_value(map, page, key + key_bytes, bytes);
	else
		value_spots(map, page, key + key_bytes, bytes, flags);
}

static void page_spots(struct map *map, uint64_t page, bool leaf, unsigned nodes)
{
	uint64_t lower = number_at(map, page, 12, 2), upper = number_at(map, page, 14, 2);

	spots_in(map, page, 0, 8, PAGE_NUMBER);
	spots_each(map, page, 8, 4, PAGE_KIND);
	spots_each(map, page, 12, 2, PAGE_LOWER);
	spots_each(map, page, 14, 2, PAGE_UPPER);
	if (page % 4 == 0)
		spots_in(map, page, lower, upper - lower, PAGE_FREE);
	for (unsigned i = 0; i < nodes; i++) {
		if (i < 2 || i + 1 == nodes || i == nodes / 2)
			node_spots(map, page, i, leaf);
	}
}

static void subtrees_walk(struct map *map, uint64_t page, unsigned nodes)
{
	for (unsigned i = 0; i < nodes; i++) {
		uint64_t node = number_at(map, page, 16 + 2 * i, 2), key_bytes = number_at(map, page, node + 6, 2);
		unsigned flags = (unsigned)number_at(map, page, node + 4, 2);

		map->leaves = 0;
		if (flags & 2)
			walk(map, number_at(map, page, node + 8 + key_bytes + 40, 8));
		else if (flags & 1)
			memset(map->used + number_at(map, page, node + 8 + key_bytes, 8), 1,
				number_at(map, number_at(map, page, node + 8 + key_bytes, 8), 12, 4));
	}
}

static void walk(struct map *map, uint64_t page)
{
	bool leaf;
	unsigned nodes;

	if (page == UINT64_MAX)
		return;
	leaf = number_at(map, page, 10, 2) == 2;
	nodes = (unsigned)(number_at(map, page, 12, 2) - 16) / 2;
	map->used[page] = 1;
	if (!leaf || map->leaves++ < PAGES_OF_A_TABLE)
		page_spots(map, page, leaf, nodes);
	if (leaf) {
		unsigned leaves = map->leaves;

		subtrees_walk(map, page, nodes);
		map->leaves = leaves;
		return;
	}
	for (unsigned i = 0; i < nodes; i++) {
		uint64_t node = number_at(map, page, 16 + 2 * i, 2);

		walk(map, number_at(map, page, node, 4) | number_at(map, page, node + 4, 2) << 32);
	}
}

static void map_make(struct map *map)
{
	static const unsigned older[] = {0, 10, 16, 20, 24, 40, 44, 46, 48, 64, 80, 94, 112, 128, 136, 144};
	uint64_t newest, pages, taken = 0;

	map->bytes = (struct buffer)BUFFER_INIT(1 << 26);
	rot_bytes(&world, index_file, &map->bytes);
	pages = map->bytes.len / PAGE;
	assert_true(pages < sizeof(map->used));
	newest = number_at(map, 1, 144, 8) > number_at(map, 0, 144, 8);
	spots_in(map, newest, 0, 8, META_PAGE);
	spots_each(map, newest, 10, 2, META_PAGE);
	spots_each(map, newest, 16, 16, META_HEAD);
	spots_each(map, newest, 40, 4, META_HEAD);
	tree_spots(map, newest, 40, META_TREE, META_HEAD);
	tree_spots(map, newest, 88, META_TREE, META_UNUSED);
	spots_in(map, newest, 32, 8, META_LAST);
	spots_each(map, newest, 136, 8, META_LAST);
	spots_each(map, newest, 144, 8, META_TXN);
	spots_in(map, newest, 152, PAGE - 152, META_UNUSED);
	spots_each(map, newest, 12, 4, META_UNUSED);
	for (size_t i = 0; i < ARRAY_LEN(older); i++)
		spots_each(map, 1 - newest, older[i], 2, META_OLDER);
	map->free_pages = true;
	walk(map, number_at(map, newest, 80, 8));
	map->free_pages = false;
	map->leaves = 0;
	walk(map, number_at(map, newest, 128, 8));
	for (uint64_t page = 2; page < pages; page++) {
		if (!map->used[page] && taken++ < 8) {
			spots_in(map, page, 0, 16, FREE_PAGE);
			spots_in(map, page, 16, PAGE - 16, FREE_PAGE);
		}
	}
}

/* ---- What comes of it ---- */

static bool is_named(struct buffer *detail, uint64_t page)
{
	char name[40];
	size_t len = (size_t)snprintf(name, sizeof(name), "page %llu", (unsigned long long)page);
	const char *found = strstr(buffer_text(detail), name);

	while (found && strchr("0123456789", found[len]) && found[len])
		found = strstr(found + len, name);
	return found != NULL;
}

/* With this bit flipped, through the store. */
static void assert_comes_to_no_harm(const struct spot *spot, bool refused)
{
	buffer_reset(&world.lines);
	rot_assert_same(&world, classes[spot->class].text);
	assert_int_equal(rot_said(&world, "index-damaged"), refused);
	rot_restore(&world, index_file);
}

static bool is_as_due(const struct spot *spot, unsigned bit, struct buffer *detail, bool *ret_refused)
{
	enum due due = classes[spot->class].due;
	int error = index_verify(slice_of(world.w.dir), INDEX_NAME, detail);
	bool good = error == -EBADMSG && slice_starts(buffer_slice(detail), SLICE("page "));

	if (due == NAMED)
		good = good && is_named(detail, spot->page);
	else if (due == HARMLESS)
		good = good || error == 0;
	*ret_refused = error != 0;
	if (!good)
		print_message("# %s: page %llu, byte %llu, bit %u: %d %s\n", classes[spot->class].text,
			(unsigned long long)spot->page, (unsigned long long)spot->at, bit, error,
			error ? buffer_text(detail) : "");
	return good;
}

static void a_bit_of_each_class_is_found_and_named_or_does_no_harm(void **state)
{
	struct map *map = calloc(1, sizeof(*map));
	struct buffer detail = BUFFER_INIT(4096);
	unsigned seen[CLASS_COUNT] = {0}, refused[CLASS_COUNT] = {0}, wrong = 0;

	(void)state;
	assert_non_null(map);
	map_make(map);
	rot_restore(&world, index_file);
	for (size_t i = 0; i < map->count; i++) {
		const struct spot *spot = &map->spots[i];
		unsigned bit = seen[spot->class]++ * 3 % 8;
		bool is_refused;

		rot_flip(&world, index_file, spot->page * PAGE + spot->at, bit);
		wrong += !is_as_due(spot, bit, &detail, &is_refused);
		refused[spot->class] += is_refused;
		/* What is not refused is opened each time; what is, now and then. */
		if (!is_refused || seen[spot->class] % 64 == 1)
			assert_comes_to_no_harm(spot, is_refused);
		else
			rot_flip(&world, index_file, spot->page * PAGE + spot->at, bit);
	}
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		print_message("# %s: %u of %u refused\n", classes[i].text, refused[i], seen[i]);
		assert_true(seen[i] > 0);
	}
	assert_int_equal(wrong, 0);
	buffer_free(&map->bytes);
	buffer_free(&detail);
	free(map);
}

static void the_check_names_a_damaged_index(void **state)
{
	(void)state;
	rot_restore(&world, index_file);
	rot_flip(&world, index_file, 16, 3); /* the magic number */
	assert_int_equal(rot_check(&world, false, false), -EBADMSG);
	assert_true(rot_said(&world, "index: page 0: "));
	assert_int_equal(rot_check(&world, false, false), 0);
	rot_assert_same(&world, "after it");
}

/* ---- What is sound is not refused ---- */

static void put_filled(struct index *index, MDB_txn *txn, uint64_t key, size_t bytes)
{
	struct index_key name = key_of(key);
	char *value = calloc(1, bytes);

	assert_non_null(value);
	assert_int_equal(index_put(index, txn, TABLE_ALIASES, key_slice(&name), (struct slice){value, bytes}), 0);
	free(value);
}

static void a_long_value_that_became_shorter_at_once_is_sound(void **state)
{
	static const size_t later[] = {9000, 4100, 3000, 100, 1, 20000};
	char dir[] = "/tmp/penfold-test-XXXXXX";
	struct buffer detail = BUFFER_INIT(1024);
	struct index *index;
	MDB_txn *txn;
	bool fresh;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(index_open(&file_system_real, slice_of(dir), INDEX_NAME, 0, &index, &fresh), 0);
	assert_int_equal(index_begin(index, true, &txn), 0);
	for (unsigned i = 0; i < ARRAY_LEN(later); i++) {
		put_filled(index, txn, i, 13000);
		put_filled(index, txn, i, later[i]);
	}
	assert_int_equal(index_commit(txn), 0);
	index_close(&index);
	if (index_verify(slice_of(dir), INDEX_NAME, &detail))
		fail_msg("%s", buffer_text(&detail));
	world_run("rm", "-rf", dir, NULL);
	buffer_free(&detail);
}

static int group_make(void **state)
{
	(void)state;
	rot_make(&world);
	return 0;
}

static int group_free(void **state)
{
	(void)state;
	rot_free(&world);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_value_that_became_shorter_at_once_is_sound),
		cmocka_unit_test(a_bit_of_each_class_is_found_and_named_or_does_no_harm),
		cmocka_unit_test(the_check_names_a_damaged_index),
	};

	return cmocka_run_group_tests(tests, group_make, group_free);
}
