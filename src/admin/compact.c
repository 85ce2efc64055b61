/* compact.start and compact.poll: space given back now, rather than by and by. */
#include "admin/internal.h"

json_t *admin_compact_start(struct admin_call *call)
{
	int error = store_compact_start(call->services->store);

	/* Whoever asked first gets nothing else than what is asked for now. */
	return error && error != -EALREADY ? admin_refuse_plainly(error) : admin_done();
}

/* over; bytes: of the journal; failure: why it ended early. */
json_t *admin_compact_poll(struct admin_call *call)
{
	struct store_stats stats;
	bool over = false;
	int error = store_compact_poll(call->services->store, &over);
	json_t *json;

	store_stats(call->services->store, &stats);
	json = json_pack("{s:b,s:I}", "over", over, "bytes", (json_int_t)stats.segment_bytes);
	if (json && error)
		json_object_set_new(json, "failure", json_string(strerror(-error)));
	return admin_done_with("compact", json);
}
