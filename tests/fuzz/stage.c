#include "stage.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/directory.h"
#include "store/email.h"
#include "store/engine.h"

static int stage_mail(struct stage *stage)
{
	struct append_item item = {.internaldate = 0};
	struct account *account;
	uint32_t uid;
	int error = account_open(store_shard(stage->store, 0), stage->account, &account);

	for (int i = 0; !error && i < 8; i++) {
		error = ingest_new(stage->store, &item.ingest);
		if (!error)
			error = ingest_write(item.ingest, SLICE("Message-ID: <1@example.org>\r\n\r\nHello.\r\n"));
		if (!error)
			error = ingest_finish(item.ingest);
		if (!error)
			error = mailbox_append(mailbox_inbox(account), &item, 1, NULL, &uid);
		ingest_free(&item.ingest);
	}
	if (!error)
		error = store_wait_applied(stage->store, account_seq(account));
	account_release(&account);
	return error;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void dir_remove(const char *dir)
{
	CHECK(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

/* Of stage_folder(); empty until it is made. */
static char *folder_path(void)
{
	static char path[64];

	return path;
}

static void folder_remove(void)
{
	dir_remove(folder_path());
}

const char *stage_folder(void)
{
	char *path = folder_path();

	if (*path)
		return path;
	(void)snprintf(path, 64, "%s/penfold-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(path));
	CHECK(atexit(folder_remove) == 0);
	return path;
}

struct stage *stage_make(void)
{
	static struct stage stage;
	char dir[] = "/tmp/penfold-fuzz-XXXXXX";
	struct store_settings settings = store_settings_default();

	if (stage.store)
		return &stage;
	CHECK(mkdtemp(dir));
	settings.dir = slice_of(dir);
	settings.segment_bytes = 1 << 20;
	CHECK(store_open(&settings, &stage.store) == 0);
	CHECK(directory_domain_add(stage.store, SLICE("example.org")) == 0);
	CHECK(directory_account_add(stage.store, SLICE("a@example.org"), SLICE(""), 0, NULL, &stage.account) == 0);
	CHECK(stage_mail(&stage) == 0);
	CHECK(index_rows_new(stage.store->index, &stage.rows) == 0);
	/* Its files stay open; nothing is left behind, however the fuzzer ends. */
	dir_remove(dir);
	return &stage;
}
