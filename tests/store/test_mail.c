/* Delivering, reading back, flags, expunging; and that all of it is there after every way of starting again. */
#include "support.h"

static void check_message(struct world *w, uint32_t uid, const char *text)
{
	struct entry entry = entry_of(mailbox_inbox(w->account), uid);
	size_t len;
	char *body = body_of(w->account, entry.email, &len);

	assert_int_equal(entry.bytes, strlen(text));
	assert_int_equal(len, strlen(text));
	assert_string_equal(body, text);
	free(body);
}

static void a_message_comes_back_as_it_went_in(void **state)
{
	static const char text[] = "Subject: One\r\n\r\nHello.\r\n";
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	assert_int_equal(deliver(mailbox_inbox(w.account), text), 1);
	check_message(&w, 1, text);
	world_settle(&w);
	check_message(&w, 1, text);
	world_reopen(&w);
	check_message(&w, 1, text);
	world_close(&w);
	world_forget_index(&w);
	world_open(&w);
	check_message(&w, 1, text);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_comes_back_as_it_went_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
