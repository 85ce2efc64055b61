/* Long lists, a page at a time, in the store's order of addresses. */
#include "admin/internal.h"
#include "store/address.h"

enum { PAGE_ENTRIES = 1000, KEY_MAX = 4 * DIRECTORY_ADDRESS_MAX };

int admin_page_start(const struct admin_call *call, struct admin_page *page)
{
	struct slice after = admin_text(call, "after");

	*page = (struct admin_page){.entries = json_array(),
		.after = BUFFER_INIT(KEY_MAX),
		.key = BUFFER_INIT(KEY_MAX),
		.last = BUFFER_INIT(KEY_MAX)};
	if (!page->entries)
		return -ENOMEM;
	return after.len ? address_key(after, &page->after) : 0;
}

bool admin_page_add(struct admin_page *page, struct slice address, json_t *(*json)(const void *of), const void *of)
{
	buffer_reset(&page->key);
	if (page->after.len && address_key(address, &page->key) == 0 &&
		slice_compare(buffer_slice(&page->key), buffer_slice(&page->after)) <= 0)
		return true;
	page->has_more = json_array_size(page->entries) >= PAGE_ENTRIES;
	if (page->has_more)
		return false;
	json_array_append_new(page->entries, json(of));
	buffer_reset(&page->last);
	buffer_put(&page->last, address);
	return true;
}

json_t *admin_page_end(struct admin_page *page, int error, const char *name)
{
	json_t *answer;

	if (error) {
		json_decref(page->entries);
		answer = error == -EINVAL ? admin_refuse(error, "This is not the name of a domain or address.")
					  : admin_refuse_plainly(error);
	} else {
		answer = admin_done_with(name, page->entries);
		if (page->has_more)
			json_object_set_new(answer, "more", admin_string(buffer_slice(&page->last)));
	}
	buffer_free(&page->after);
	buffer_free(&page->key);
	buffer_free(&page->last);
	return answer;
}
