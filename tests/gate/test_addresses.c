#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "gate/addresses.h"

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		memcpy(&storage, &in, sizeof(in));
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
		memcpy(&storage, &in6, sizeof(in6));
	}
	return storage;
}

static int enter(struct addresses *addresses, const char *text, struct address_count **ret_count)
{
	struct sockaddr_storage peer = address(text);

	return addresses_enter(addresses, &peer, ret_count);
}

static void each_address_has_its_own_count(void **state)
{
	struct addresses *addresses = calloc(1, sizeof(*addresses));
	struct address_count *counts[5];

	(void)state;
	assert_non_null(addresses);
	addresses->per_address_max = 2;
	assert_int_equal(enter(addresses, "192.0.2.1", &counts[0]), 0);
	assert_int_equal(enter(addresses, "::ffff:192.0.2.1", &counts[1]), 0); /* the same one */
	assert_ptr_equal(counts[0], counts[1]);
	assert_int_equal(enter(addresses, "192.0.2.1", &counts[2]), -EDQUOT);
	assert_int_equal(enter(addresses, "192.0.2.2", &counts[2]), 0);
	addresses_leave(counts[0]);
	assert_int_equal(enter(addresses, "192.0.2.1", &counts[0]), 0);
	assert_int_equal(enter(addresses, "2001:db8::1", &counts[3]), 0);
	assert_int_equal(enter(addresses, "2001:db8::2:3", &counts[4]), 0); /* of the same /64 */
	assert_ptr_equal(counts[3], counts[4]);
	assert_int_equal(enter(addresses, "2001:db8:0:0:9::", &counts[4]), -EDQUOT);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		addresses_leave(counts[i]);
	for (size_t i = 0; i < ARRAY_LEN(addresses->buckets); i++)
		assert_null(addresses->buckets[i]);
	free(addresses);
}

static void loopback_is_not_counted(void **state)
{
	struct addresses *addresses = calloc(1, sizeof(*addresses));
	struct address_count *count;

	(void)state;
	assert_non_null(addresses);
	assert_int_equal(enter(addresses, "127.0.0.1", &count), 0);
	assert_null(count);
	assert_int_equal(enter(addresses, "::1", &count), 0);
	assert_null(count);
	addresses_leave(count);
	assert_int_equal(enter(addresses, "192.0.2.1", &count), -EDQUOT); /* none are allowed */
	free(addresses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_address_has_its_own_count),
		cmocka_unit_test(loopback_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
