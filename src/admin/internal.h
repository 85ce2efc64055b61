/* The inside of admin: one request on its way through the commands. */
#ifndef PENFOLD_ADMIN_INTERNAL_H
#define PENFOLD_ADMIN_INTERNAL_H

#include <jansson.h>
#include <stdatomic.h>

#include "admin/admin.h"
#include "store/directory.h"

struct admin_call {
	const struct admin_services *services;
	const _Atomic bool *cancelled; /* the server is ending: do not wait for shards any more; may be NULL */
	json_t *request;
	int asked; /* enum admin_request, or -1 */
};

/* Of every change made by an admin. */
extern const struct actor admin_actor;

/* As admin_execute(), for the server's thread. */
void admin_execute_call(const struct admin_services *services, const _Atomic bool *cancelled, struct slice request,
	int *ret_request, struct buffer *answer);

/* ---- Fields of the request ---- */

struct slice admin_text(const struct admin_call *call, const char *field); /* empty when it is not there */
bool admin_has(const struct admin_call *call, const char *field);

/* ---- Answers; NULL when there is no memory ---- */

json_t *admin_done(void); /* {"ok":true} */
json_t *admin_refuse(int error, const char *format, ...) PRINTF_LIKE(2, 3);
/* For what may happen to any command: no space, damaged data, a bug. */
json_t *admin_refuse_plainly(int error);
/* Takes the value; {"ok":true,name:value}. */
json_t *admin_done_with(const char *name, json_t *value);
json_t *admin_string(struct slice text);

json_t *admin_refuse_address(int error, struct slice address);

/* ---- Lists come a page at a time: "after" in the request, "more" in the answer ---- */

struct admin_page {
	json_t *entries;
	struct buffer after, key; /* as the store sorts them */
	struct buffer last;       /* address of the last entry */
	bool has_more;
};
/* Initialises the page in every case. -EINVAL: "after" is no address. */
MUST_CHECK int admin_page_start(const struct admin_call *call, struct admin_page *page);
/* Adds json(of) unless it comes before the page. False when the page is full. */
bool admin_page_add(struct admin_page *page, struct slice address, json_t *(*json)(const void *of), const void *of);
json_t *admin_page_end(struct admin_page *page, int error, const char *name);

json_t *admin_account_json(const void *of); /* of a struct directory_account */

/* ---- On a shard ---- */

/*
 * Calls `run` on the shard's thread and waits for the JSON it returns. -ETIMEDOUT, -ECANCELED, -ENOMEM; an error of `run`'s comes
 * back as it is.
 */
struct admin_visit {
	unsigned shard;
	uint64_t account_id; /* 0: of no account */
	int (*run)(const struct admin_services *services, unsigned shard, uint64_t account_id, json_t **ret_json);
};
MUST_CHECK int admin_visit_shard(const struct admin_call *call, const struct admin_visit *visit, json_t **ret_json);

/* ---- Commands: each returns its answer ---- */

json_t *admin_domain_add(struct admin_call *call);
json_t *admin_domain_list(struct admin_call *call);
json_t *admin_domain_delete(struct admin_call *call);
json_t *admin_account_add(struct admin_call *call);
json_t *admin_account_list(struct admin_call *call);
json_t *admin_account_info(struct admin_call *call);
json_t *admin_account_passwd(struct admin_call *call);
json_t *admin_account_set(struct admin_call *call);
json_t *admin_account_delete(struct admin_call *call);
json_t *admin_alias_add(struct admin_call *call);
json_t *admin_alias_list(struct admin_call *call);
json_t *admin_alias_delete(struct admin_call *call);
json_t *admin_check_start(struct admin_call *call);
json_t *admin_check_poll(struct admin_call *call);
json_t *admin_compact_start(struct admin_call *call);
json_t *admin_compact_poll(struct admin_call *call);
json_t *admin_status(struct admin_call *call);
json_t *admin_reload(struct admin_call *call);
json_t *admin_stop(struct admin_call *call);

#endif
