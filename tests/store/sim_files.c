#include "sim_files.h"

#include <pthread.h>
#include <stdlib.h>

enum { SECTOR = 512, NAMES_MAX = 256, HANDLES_MAX = 1024, CHANGES_MAX = 512, PATH_ROOM = 128 };

struct content {
	char *bytes;
	size_t size, room;
	size_t filled; /* bytes may lie beyond the size; a greater size will show them */
};

enum { SECTOR_DIRTY = 1 /* will be written back */, SECTOR_DIFFERS = 2 /* from what the disk has */ };

struct inode {
	struct content now, disk;
	unsigned char *dirty; /* per sector of now.room */
	size_t first, end;    /* sectors outside are neither dirty nor do they differ */
	bool size_dirty;
	bool resized; /* since both were the same: more than the sectors may differ */
	unsigned handles;
	struct inode *next;
};

struct name {
	char path[PATH_ROOM];
	struct inode *inode; /* NULL: a directory */
};

struct names {
	struct name at[NAMES_MAX];
	size_t count;
};

struct change { /* of a directory, not synced */
	enum { CHANGE_ADD, CHANGE_REMOVE, CHANGE_RENAME } kind;
	struct name name;
	char to[PATH_ROOM];
};

struct sim_files {
	struct file_system system;
	pthread_mutex_t lock;
	uint64_t random, count, changing, fail_at, fail_change_at, stop_at, room;
	int error;
	bool stopped;
	unsigned lies;
	struct names now, disk;
	struct change changes[CHANGES_MAX];
	size_t change_count;
	struct inode *inodes;
	struct inode *pool; /* their memory is used again: fresh pages are what costs time here */
	struct inode *handles[HANDLES_MAX];
};

static uint64_t chance(struct sim_files *sim, uint64_t of)
{
	sim->random ^= sim->random << 13;
	sim->random ^= sim->random >> 7;
	sim->random ^= sim->random << 17;
	return (sim->random * 0x2545f4914f6cdd1dULL >> 33) % of;
}

/* ---- Names ---- */

static size_t names_at(const struct names *names, const char *path)
{
	size_t i = 0;

	while (i < names->count && strcmp(names->at[i].path, path) != 0)
		i++;
	return i;
}

static struct name *names_find(struct names *names, const char *path)
{
	size_t at = names_at(names, path);

	return at < names->count ? &names->at[at] : NULL;
}

static void names_remove(struct names *names, const char *path)
{
	struct name *name = names_find(names, path);

	if (name)
		*name = names->at[--names->count];
}

static void path_set(char to[PATH_ROOM], const char *path)
{
	CHECK(strlen(path) < PATH_ROOM);
	memcpy(to, path, strlen(path) + 1);
}

static void names_add(struct names *names, const char *path, struct inode *inode)
{
	struct name name = {.inode = inode};

	path_set(name.path, path);
	names_remove(names, path);
	CHECK(names->count < NAMES_MAX);
	names->at[names->count++] = name;
}

static bool is_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (strcmp(dir, ".") == 0)
		return !strchr(path, '/');
	return strncmp(path, dir, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/');
}

static void apply(struct names *names, const struct change *change)
{
	struct name *name;

	switch (change->kind) {
	case CHANGE_ADD:
		names_add(names, change->name.path, change->name.inode);
		break;
	case CHANGE_REMOVE:
		names_remove(names, change->name.path);
		break;
	case CHANGE_RENAME:
		name = names_find(names, change->name.path);
		if (name) {
			struct inode *inode = name->inode;

			names_remove(names, change->name.path);
			names_add(names, change->to, inode);
		}
		break;
	}
}

static void change_names(struct sim_files *sim, const struct change *change)
{
	apply(&sim->now, change);
	CHECK(sim->change_count < CHANGES_MAX);
	sim->changes[sim->change_count++] = *change;
}

/* ---- Contents ---- */

static void content_fill(struct content *content, size_t size)
{
	if (size > content->room) {
		content->room = MAX(size, MAX((size_t)65536, content->room * 2));
		content->bytes = realloc(content->bytes, content->room);
		CHECK(content->bytes);
	}
	if (size > content->filled)
		memset(content->bytes + content->filled, 0, size - content->filled);
	content->filled = MAX(content->filled, size);
}

static void content_size(struct content *content, size_t size)
{
	content_fill(content, size);
	if (size < content->size)
		content->filled = size;
	content->size = size;
}

static void inode_size(struct inode *inode, size_t size)
{
	size_t before = (inode->now.room + SECTOR - 1) / SECTOR;
	size_t sectors;

	if (size == inode->now.size)
		return;
	content_size(&inode->now, size);
	inode->size_dirty = inode->resized = true;
	sectors = (inode->now.room + SECTOR - 1) / SECTOR;
	if (sectors > before) {
		inode->dirty = realloc(inode->dirty, sectors);
		CHECK(inode->dirty);
		memset(inode->dirty + before, 0, sectors - before);
	}
}

static void sectors_touch(struct inode *inode, size_t first, size_t end)
{
	memset(inode->dirty + first, SECTOR_DIRTY | SECTOR_DIFFERS, end - first);
	inode->first = inode->first < inode->end ? MIN(inode->first, first) : first;
	inode->end = MAX(inode->end, end);
}

static void sector_to_disk(struct inode *inode, size_t sector)
{
	size_t at = sector * SECTOR;
	size_t len = at < inode->now.size ? MIN((size_t)SECTOR, inode->now.size - at) : 0;

	inode->dirty[sector] = 0;
	content_fill(&inode->disk, at + len);
	if (len)
		memcpy(inode->disk.bytes + at, inode->now.bytes + at, len);
}

/* Each sector that was not synced reaches the disk, or not. `keep` of 4; without `again` it will not be tried again. */
static void sectors_to_disk(struct sim_files *sim, struct inode *inode, unsigned keep, bool again)
{
	bool differ = false;

	for (size_t i = inode->first; i < inode->end; i++) {
		if ((inode->dirty[i] & SECTOR_DIRTY) && (keep == 4 || chance(sim, 4) < keep))
			sector_to_disk(inode, i);
		else if (!again)
			inode->dirty[i] &= SECTOR_DIFFERS;
		differ |= inode->dirty[i] != 0;
	}
	if (!differ)
		inode->first = inode->end = 0;
}

static void size_to_disk(struct inode *inode)
{
	if (inode->size_dirty)
		content_size(&inode->disk, inode->now.size);
	inode->size_dirty = inode->resized = false;
}

/* What is in memory is forgotten: the file is what the disk has. */
static void inode_reread(struct inode *inode)
{
	if (inode->resized) {
		inode_size(inode, inode->disk.size);
		if (inode->disk.size)
			memcpy(inode->now.bytes, inode->disk.bytes, inode->disk.size);
	}
	for (size_t i = inode->first; i < inode->end; i++) {
		size_t at = i * SECTOR;

		if (inode->dirty[i] && at < inode->disk.size && !inode->resized)
			memcpy(inode->now.bytes + at, inode->disk.bytes + at,
				MIN((size_t)SECTOR, inode->disk.size - at));
		inode->dirty[i] = 0;
	}
	inode->first = inode->end = 0;
	inode->size_dirty = inode->resized = false;
}

static bool is_named(const struct names *names, const struct inode *inode)
{
	for (size_t i = 0; i < names->count; i++)
		if (names->at[i].inode == inode)
			return true;
	return false;
}

static bool is_used(const struct sim_files *sim, const struct inode *inode)
{
	if (inode->handles || is_named(&sim->now, inode) || is_named(&sim->disk, inode))
		return true;
	for (size_t i = 0; i < sim->change_count; i++)
		if (sim->changes[i].kind == CHANGE_ADD && sim->changes[i].name.inode == inode)
			return true;
	return false;
}

static void collect(struct sim_files *sim)
{
	struct inode **at = &sim->inodes;

	while (*at) {
		struct inode *inode = *at;

		if (is_used(sim, inode)) {
			at = &inode->next;
			continue;
		}
		*at = inode->next;
		inode->next = sim->pool;
		sim->pool = inode;
	}
}

static struct inode *inode_new(struct sim_files *sim)
{
	struct inode *inode = sim->pool;

	if (inode) {
		sim->pool = inode->next;
		inode->now.size = inode->now.filled = inode->disk.size = inode->disk.filled = 0;
		inode->size_dirty = inode->resized = false;
		inode->first = inode->end = 0;
		if (inode->dirty)
			memset(inode->dirty, 0, (inode->now.room + SECTOR - 1) / SECTOR);
	} else {
		inode = calloc(1, sizeof(*inode));
		CHECK(inode);
	}
	inode->next = sim->inodes;
	sim->inodes = inode;
	return inode;
}

static bool has_room(const struct sim_files *sim, const struct inode *inode, uint64_t size)
{
	uint64_t used = 0;

	if (size <= inode->now.size)
		return true;
	for (const struct inode *i = sim->inodes; i; i = i->next)
		used += i == inode ? size : i->now.size;
	return used <= sim->room;
}

/* ---- Operations ---- */

/* What becomes of this operation: 0, or the error it ends with; *ret_partly: it may do some of its work all the same. */
static int begin(struct sim_files *sim, bool *ret_partly)
{
	pthread_mutex_lock(&sim->lock);
	*ret_partly = false;
	sim->count++;
	if (sim->stopped)
		return -EIO;
	if (sim->count == sim->stop_at) {
		sim->stopped = *ret_partly = true;
		return -EIO;
	}
	if (sim->count == sim->fail_at) {
		*ret_partly = true;
		return sim->error;
	}
	return 0;
}

/* One that has begun, and changes something. */
static int changes(struct sim_files *sim, int error, bool *ret_partly)
{
	if (sim->stopped)
		return error;
	sim->changing++;
	if (sim->changing != sim->fail_change_at)
		return error;
	*ret_partly = true;
	return sim->error;
}

static int begin_change(struct sim_files *sim, bool *ret_partly)
{
	return changes(sim, begin(sim, ret_partly), ret_partly);
}

static int end(struct sim_files *sim, int error)
{
	pthread_mutex_unlock(&sim->lock);
	return error;
}

static int sim_open(void *context, const char *path, enum file_mode mode, int *ret_file)
{
	struct sim_files *sim = context;
	struct inode *inode;
	bool partly;
	int file = 0, error = begin(sim, &partly);
	struct name *name = names_find(&sim->now, path);

	if (!name && mode != FILE_READ)
		error = changes(sim, error, &partly);
	if (error)
		return end(sim, error);
	if (!name && mode == FILE_READ)
		return end(sim, -ENOENT);
	if (name) {
		inode = name->inode;
	} else {
		struct change change = {.kind = CHANGE_ADD};

		inode = inode_new(sim);
		path_set(change.name.path, path);
		change.name.inode = inode;
		change_names(sim, &change);
	}
	while (file < HANDLES_MAX && sim->handles[file])
		file++;
	CHECK(inode && file < HANDLES_MAX);
	sim->handles[file] = inode;
	inode->handles++;
	*ret_file = file;
	return end(sim, 0);
}

/* Also when the process is "gone": it frees what it holds. */
static int sim_close(void *context, int file)
{
	struct sim_files *sim = context;

	pthread_mutex_lock(&sim->lock);
	CHECK(file >= 0 && file < HANDLES_MAX && sim->handles[file]);
	sim->handles[file]->handles--;
	sim->handles[file] = NULL;
	collect(sim);
	return end(sim, 0);
}

static struct inode *inode_of(struct sim_files *sim, int file)
{
	CHECK(file >= 0 && file < HANDLES_MAX && sim->handles[file]);
	return sim->handles[file];
}

static int sim_read(void *context, int file, uint64_t at, char *to, size_t bytes, size_t *ret_bytes)
{
	struct sim_files *sim = context;
	bool partly;
	int error = begin(sim, &partly);
	struct inode *inode = inode_of(sim, file);

	if (error)
		return end(sim, error);
	bytes = at < inode->now.size ? MIN(bytes, inode->now.size - (size_t)at) : 0;
	if (bytes)
		memcpy(to, inode->now.bytes + at, bytes);
	*ret_bytes = bytes;
	return end(sim, 0);
}

/* How much of a write was done: sectors are whole, also in memory, where pages are locked while they are written to. */
static size_t part_of(struct sim_files *sim, uint64_t at, size_t len)
{
	uint64_t end = (at + chance(sim, len + 1)) / SECTOR * SECTOR;

	return end > at ? (size_t)(end - at) : 0;
}

/* Without bytes: zeros. */
static int write_some(struct sim_files *sim, int file, uint64_t at, const char *bytes, size_t len)
{
	bool partly;
	int error = begin_change(sim, &partly);
	struct inode *inode = inode_of(sim, file);

	if (!error && !has_room(sim, inode, at + len)) {
		error = -ENOSPC;
		partly = true;
	}
	if (partly && len)
		len = part_of(sim, at, len);
	if ((error && !partly) || !len)
		return end(sim, error);
	if (!has_room(sim, inode, at + len))
		return end(sim, error);
	if (at + len > inode->now.size)
		inode_size(inode, (size_t)at + len);
	/* Now and then the kernel writes something back by itself: so older unsynced states can be on disk, too. */
	if (chance(sim, 16) == 0)
		sectors_to_disk(sim, inode, 1, true);
	if (bytes)
		memcpy(inode->now.bytes + at, bytes, len);
	else
		memset(inode->now.bytes + at, 0, len);
	sectors_touch(inode, (size_t)at / SECTOR, (size_t)(at + len + SECTOR - 1) / SECTOR);
	return end(sim, error);
}

static int sim_write(void *context, int file, uint64_t at, struct slice bytes)
{
	return write_some(context, file, at, bytes.at, bytes.len);
}

static int sim_zero(void *context, int file, uint64_t at, uint64_t bytes)
{
	return write_some(context, file, at, NULL, (size_t)bytes);
}

static int sim_sync(void *context, int file)
{
	struct sim_files *sim = context;
	bool partly;
	int error = begin_change(sim, &partly);
	struct inode *inode = inode_of(sim, file);

	if ((error && !partly) || (sim->lies & SIM_LIE_SYNC))
		return end(sim, error);
	sectors_to_disk(sim, inode, error ? 2 : 4, sim->stopped);
	if (!error || chance(sim, 2))
		size_to_disk(inode);
	return end(sim, error);
}

static int sim_allocate(void *context, int file, uint64_t bytes)
{
	struct sim_files *sim = context;
	bool partly;
	int error = begin_change(sim, &partly);
	struct inode *inode = inode_of(sim, file);

	if (!error && !has_room(sim, inode, bytes))
		error = -ENOSPC;
	if (!error && bytes > inode->now.size)
		inode_size(inode, (size_t)bytes);
	return end(sim, error);
}

static int sim_size(void *context, int file, uint64_t *ret_bytes)
{
	struct sim_files *sim = context;
	bool partly;
	int error = begin(sim, &partly);

	if (!error)
		*ret_bytes = inode_of(sim, file)->now.size;
	return end(sim, error);
}

static int sim_truncate(void *context, int file, uint64_t bytes)
{
	struct sim_files *sim = context;
	bool partly;
	int error = begin_change(sim, &partly);

	if (!error)
		inode_size(inode_of(sim, file), (size_t)bytes);
	return end(sim, error);
}

/* Of a name that is there. */
static int change_name(struct sim_files *sim, struct change *change, const char *path)
{
	bool partly;
	int error = begin_change(sim, &partly);

	if (!error && !names_find(&sim->now, path))
		error = -ENOENT;
	if (error)
		return end(sim, error);
	path_set(change->name.path, path);
	change_names(sim, change);
	return end(sim, 0);
}

static int sim_rename(void *context, const char *from, const char *to)
{
	struct change change = {.kind = CHANGE_RENAME};

	path_set(change.to, to);
	return change_name(context, &change, from);
}

static int sim_unlink(void *context, const char *path)
{
	struct change change = {.kind = CHANGE_REMOVE};

	return change_name(context, &change, path);
}

static int sim_make_dir(void *context, const char *path)
{
	struct sim_files *sim = context;
	struct change change = {.kind = CHANGE_ADD};
	bool partly;
	int error = begin_change(sim, &partly);

	if (error || names_find(&sim->now, path))
		return end(sim, error);
	path_set(change.name.path, path);
	change_names(sim, &change);
	return end(sim, 0);
}

/* Changes of this directory become durable in their order; those of others stay open. */
static int sim_sync_dir(void *context, const char *path)
{
	struct sim_files *sim = context;
	bool partly;
	size_t left = 0;
	int error = begin_change(sim, &partly);

	if ((error && !partly) || (sim->lies & SIM_LIE_SYNC_DIR))
		return end(sim, error);
	for (size_t i = 0; i < sim->change_count; i++) {
		if (is_in(sim->changes[i].name.path, path) && (!error || chance(sim, 2)))
			apply(&sim->disk, &sim->changes[i]);
		else
			sim->changes[left++] = sim->changes[i];
	}
	sim->change_count = left;
	collect(sim);
	return end(sim, error);
}

static int sim_list(void *context, const char *path, int (*each)(void *arg, const char *name), void *arg)
{
	struct sim_files *sim = context;
	bool partly;
	int error = begin(sim, &partly);

	for (size_t i = 0; i < sim->now.count && !error; i++)
		if (is_in(sim->now.at[i].path, path))
			error = each(arg, sim->now.at[i].path + strlen(path) + 1);
	return end(sim, error);
}

/* ---- The test's side ---- */

struct sim_files *sim_files_new(uint64_t seed)
{
	struct sim_files *sim = calloc(1, sizeof(*sim));

	CHECK(sim && pthread_mutex_init(&sim->lock, NULL) == 0);
	sim->system = (struct file_system){sim_open, sim_close, sim_read, sim_write, sim_zero, sim_sync, sim_allocate,
		sim_size, sim_truncate, sim_rename, sim_unlink, sim_make_dir, sim_sync_dir, sim_list, NULL, sim};
	sim_files_reset(sim, seed);
	return sim;
}

void sim_files_reset(struct sim_files *sim, uint64_t seed)
{
	sim_files_restart(sim);
	sim->now.count = sim->disk.count = sim->change_count = 0;
	collect(sim);
	sim->count = sim->changing = 0;
	sim->lies = 0;
	sim->random = seed * 0x9e3779b97f4a7c15ULL | 1;
	sim->room = UINT64_MAX;
}

static void free_all(struct inode *inode)
{
	for (struct inode *next; inode; inode = next) {
		next = inode->next;
		free(inode->now.bytes);
		free(inode->disk.bytes);
		free(inode->dirty);
		free(inode);
	}
}

void sim_files_free(struct sim_files **sim)
{
	if (!*sim)
		return;
	free_all((*sim)->inodes);
	free_all((*sim)->pool);
	pthread_mutex_destroy(&(*sim)->lock);
	free(*sim);
	*sim = NULL;
}

const struct file_system *sim_files_system(struct sim_files *sim)
{
	return &sim->system;
}

uint64_t sim_files_count(struct sim_files *sim)
{
	pthread_mutex_lock(&sim->lock);
	uint64_t count = sim->count;

	pthread_mutex_unlock(&sim->lock);
	return count;
}

void sim_files_fail_at(struct sim_files *sim, uint64_t n, int error)
{
	pthread_mutex_lock(&sim->lock);
	sim->fail_at = n ? sim->count + n : 0;
	sim->error = error;
	pthread_mutex_unlock(&sim->lock);
}

uint64_t sim_files_changes(struct sim_files *sim)
{
	return sim->changing;
}

void sim_files_fail_change_at(struct sim_files *sim, uint64_t n, int error)
{
	pthread_mutex_lock(&sim->lock);
	sim->fail_change_at = n ? sim->changing + n : 0;
	sim->error = error;
	pthread_mutex_unlock(&sim->lock);
}

void sim_files_lie(struct sim_files *sim, unsigned lies)
{
	sim->lies = lies;
}

bool sim_files_is_stopped(const struct sim_files *sim)
{
	return sim->stopped;
}

int sim_files_sync_range(struct sim_files *sim, int file, uint64_t at, size_t bytes)
{
	bool partly;
	int error = begin_change(sim, &partly);
	struct inode *inode = inode_of(sim, file);

	if (error || (sim->lies & SIM_LIE_SYNC))
		return end(sim, error);
	for (size_t i = (size_t)at / SECTOR; i < MIN(inode->end, ((size_t)at + bytes + SECTOR - 1) / SECTOR); i++)
		if (inode->dirty[i] & SECTOR_DIRTY)
			sector_to_disk(inode, i);
	size_to_disk(inode);
	return end(sim, 0);
}

void sim_files_stop_at(struct sim_files *sim, uint64_t n)
{
	pthread_mutex_lock(&sim->lock);
	sim->stop_at = n ? sim->count + n : 0;
	pthread_mutex_unlock(&sim->lock);
}

void sim_files_room(struct sim_files *sim, uint64_t bytes)
{
	pthread_mutex_lock(&sim->lock);
	sim->room = bytes;
	pthread_mutex_unlock(&sim->lock);
}

void sim_files_restart(struct sim_files *sim)
{
	for (size_t i = 0; i < HANDLES_MAX; i++)
		CHECK(!sim->handles[i]);
	sim->stopped = false;
	sim->stop_at = sim->fail_at = sim->fail_change_at = 0;
}

/* A name is lost with the directory it stands in. */
static bool is_orphan(const struct sim_files *sim, const struct name *name)
{
	const char *slash = strrchr(name->path, '/');

	for (size_t i = 0; slash && i < sim->now.count; i++) {
		const struct name *dir = &sim->now.at[i];
		size_t len = strlen(dir->path);

		if (!dir->inode && len == (size_t)(slash - name->path) && memcmp(dir->path, name->path, len) == 0)
			return names_at(&sim->disk, dir->path) == sim->disk.count;
	}
	return false;
}

static void drop_orphans(struct sim_files *sim)
{
	for (size_t i = 0; i < sim->disk.count; i++) {
		if (!is_orphan(sim, &sim->disk.at[i]))
			continue;
		sim->disk.at[i] = sim->disk.at[--sim->disk.count];
		i = SIZE_MAX; /* what stands in it, too: from the beginning */
	}
}

void sim_files_power_cut(struct sim_files *sim)
{
	sim_files_restart(sim);
	for (size_t i = 0; i < sim->change_count; i++)
		if (chance(sim, 2))
			apply(&sim->disk, &sim->changes[i]);
	sim->change_count = 0;
	drop_orphans(sim);
	sim->now = sim->disk;
	collect(sim);
	for (struct inode *inode = sim->inodes; inode; inode = inode->next) {
		sectors_to_disk(sim, inode, (unsigned)chance(sim, 5), false);
		if (inode->size_dirty && chance(sim, 2))
			content_size(&inode->disk, inode->now.size);
		inode_reread(inode);
	}
}

bool sim_files_get(struct sim_files *sim, const char *path, struct slice *ret_bytes)
{
	bool found;

	/* The log's own threads may be making other files. */
	pthread_mutex_lock(&sim->lock);
	struct name *name = names_find(&sim->now, path);

	found = name && name->inode;
	if (found)
		*ret_bytes = (struct slice){name->inode->now.bytes, name->inode->now.size};
	pthread_mutex_unlock(&sim->lock);
	return found;
}

void sim_files_patch(struct sim_files *sim, const char *path, uint64_t at, struct slice bytes)
{
	struct name *name = names_find(&sim->now, path);

	CHECK(name && name->inode);
	if (at + bytes.len > name->inode->now.size)
		inode_size(name->inode, (size_t)at + bytes.len);
	sectors_to_disk(sim, name->inode, 4, true);
	size_to_disk(name->inode);
	if (!bytes.len)
		return;
	memcpy(name->inode->now.bytes + at, bytes.at, bytes.len);
	memcpy(name->inode->disk.bytes + at, bytes.at, bytes.len);
}
