/*
 * Slowing down guesses. Two tables, each in sets of eight: counts of failures (per account, per network, per account from a
 * network it is known on), the smallest making room; and known pairs of account and network, the oldest making room. Only a
 * login that succeeded enters the second, so guessing cannot push it out.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <sodium.h>

#include "auth/auth.h"

enum { SET_ENTRIES = 8, ONE_FAILURE = 1024 /* counts are kept in 1/1024 */, KEY_TEXT_MAX = AUTH_USER_MAX + 64 };

struct failure {
	uint64_t key; /* 0: empty */
	int64_t at_ms;
	uint64_t count;
};
struct known {
	uint64_t key; /* 0: empty */
	int64_t at_ms;
};

struct auth_throttle {
	pthread_mutex_t lock;
	struct auth_throttle_settings settings;
	const struct clock_source *clock;
	unsigned char key[crypto_shorthash_KEYBYTES];
	size_t sets;
	struct failure *failures;
	struct known *known;
};

int auth_throttle_new(const struct auth_throttle_settings *settings, const struct clock_source *clock,
	struct auth_throttle **ret_throttle)
{
	struct auth_throttle *throttle;

	if (sodium_init() < 0)
		return -EIO;
	throttle = calloc(1, sizeof(*throttle));
	if (!throttle)
		return -ENOMEM;
	throttle->sets = MAX(settings->entries_max / 2 / SET_ENTRIES, 1);
	throttle->failures = calloc(throttle->sets * SET_ENTRIES, sizeof(*throttle->failures));
	throttle->known = calloc(throttle->sets * SET_ENTRIES, sizeof(*throttle->known));
	if (!throttle->failures || !throttle->known || pthread_mutex_init(&throttle->lock, NULL) != 0) {
		free(throttle->failures);
		free(throttle->known);
		free(throttle);
		return -ENOMEM;
	}
	throttle->settings = *settings;
	throttle->clock = clock;
	clock_random(clock, throttle->key, sizeof(throttle->key));
	*ret_throttle = throttle;
	return 0;
}

void auth_throttle_free(struct auth_throttle **throttle)
{
	if (!*throttle)
		return;
	pthread_mutex_destroy(&(*throttle)->lock);
	free((*throttle)->failures);
	free((*throttle)->known);
	free(*throttle);
	*throttle = NULL;
}

/* ---- Who and where ---- */

/* The network of an address: bytes that are the same for all of an IPv4 /24 or an IPv6 /64. */
struct network {
	char bytes[64];
	size_t len;
	bool is_loopback;
};

static struct network network_of_v4(const unsigned char *address)
{
	struct network network = {.len = 3, .is_loopback = address[0] == 127};

	memcpy(network.bytes, address, 3);
	return network;
}

static struct network network_of(struct slice address)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct network network = {.len = 0};
	struct slice text = slice_first(address, sizeof(network.bytes) - 1);
	unsigned char bytes[16];

	if (text.len)
		memcpy(network.bytes, text.at, text.len);
	network.bytes[text.len] = '\0';
	if (inet_pton(AF_INET, network.bytes, bytes) == 1)
		return network_of_v4(bytes);
	if (inet_pton(AF_INET6, network.bytes, bytes) == 1) {
		if (memcmp(bytes, mapped, sizeof(mapped)) == 0)
			return network_of_v4(bytes + sizeof(mapped));
		network.is_loopback = memcmp(bytes, &in6addr_loopback, sizeof(bytes)) == 0;
		memcpy(network.bytes, bytes, 8);
		network.len = 8;
		return network;
	}
	/* No address at all: a Unix socket of this machine. */
	network.is_loopback = text.len == 0 || slice_equal(text, SLICE("unix"));
	network.len = text.len;
	return network;
}

struct subject {
	uint64_t account, network, pair;
	bool is_exempt;
};

static uint64_t key_of(
	const struct auth_throttle *throttle, char kind, struct slice name, const struct network *network)
{
	unsigned char text[1 + 2 + KEY_TEXT_MAX];
	size_t len = 0;
	uint64_t key;

	name = slice_first(name, AUTH_USER_MAX);
	text[len++] = (unsigned char)kind;
	text[len++] = (unsigned char)(name.len >> 8);
	text[len++] = (unsigned char)name.len;
	for (size_t i = 0; i < name.len; i++)
		text[len++] = (unsigned char)byte_lower(name.at[i]);
	if (network) {
		memcpy(text + len, network->bytes, network->len);
		len += network->len;
	}
	CHECK(crypto_shorthash_BYTES == sizeof(key));
	crypto_shorthash((unsigned char *)&key, text, len, throttle->key);
	return key ? key : 1;
}

static struct subject subject_of(const struct auth_throttle *throttle, struct slice user, struct slice address)
{
	struct network network = network_of(address);

	return (struct subject){
		.account = key_of(throttle, 'a', user, NULL),
		.network = key_of(throttle, 'n', (struct slice){NULL, 0}, &network),
		.pair = key_of(throttle, 'p', user, &network),
		.is_exempt = throttle->settings.exempt_loopback && network.is_loopback,
	};
}

/* ---- Counts that fade ---- */

static int64_t now_ms(const struct auth_throttle *throttle)
{
	return clock_monotonic_us(throttle->clock) / 1000;
}

/* Half after each `forget_ms`, linear between. */
static uint64_t faded(const struct auth_throttle *throttle, const struct failure *failure, int64_t now)
{
	uint64_t forget_ms = MAX(throttle->settings.forget_ms, 1);
	uint64_t age_ms = now > failure->at_ms ? (uint64_t)(now - failure->at_ms) : 0;
	uint64_t count = failure->count;

	if (age_ms / forget_ms >= 32)
		return 0;
	count >>= age_ms / forget_ms;
	return count - count / 2 * (age_ms % forget_ms) / forget_ms;
}

static struct failure *failure_find(struct auth_throttle *throttle, uint64_t key)
{
	struct failure *set = throttle->failures + key % throttle->sets * SET_ENTRIES;

	for (size_t i = 0; i < SET_ENTRIES; i++) {
		if (set[i].key == key)
			return &set[i];
	}
	return NULL;
}

static uint64_t failures(struct auth_throttle *throttle, uint64_t key, int64_t now)
{
	const struct failure *failure = failure_find(throttle, key);

	return failure ? faded(throttle, failure, now) : 0;
}

static void failure_add(struct auth_throttle *throttle, uint64_t key, int64_t now)
{
	struct failure *set = throttle->failures + key % throttle->sets * SET_ENTRIES;
	struct failure *failure = failure_find(throttle, key);

	if (!failure) {
		failure = set;
		for (size_t i = 1; i < SET_ENTRIES; i++) {
			if (faded(throttle, &set[i], now) < faded(throttle, failure, now))
				failure = &set[i];
		}
		*failure = (struct failure){key, now, 0};
	}
	failure->count = MIN(faded(throttle, failure, now) + ONE_FAILURE, (uint64_t)1000 * ONE_FAILURE);
	failure->at_ms = now;
}

static struct known *known_find(struct auth_throttle *throttle, uint64_t key)
{
	struct known *set = throttle->known + key % throttle->sets * SET_ENTRIES;

	for (size_t i = 0; i < SET_ENTRIES; i++) {
		if (set[i].key == key)
			return &set[i];
	}
	return NULL;
}

static void known_add(struct auth_throttle *throttle, uint64_t key, int64_t now)
{
	struct known *set = throttle->known + key % throttle->sets * SET_ENTRIES;
	struct known *known = known_find(throttle, key);

	if (!known) {
		known = set;
		for (size_t i = 1; i < SET_ENTRIES; i++) {
			if (known->key && (!set[i].key || set[i].at_ms < known->at_ms))
				known = &set[i];
		}
	}
	*known = (struct known){key, now};
}

/* ---- The rules ---- */

static uint64_t delay_of(const struct auth_throttle *throttle, uint64_t count)
{
	uint64_t delay_ms = throttle->settings.delay_first_ms;

	/* A fading count must not fall below its whole number at once. */
	count = (count + ONE_FAILURE / 2) / ONE_FAILURE;
	if (count < 2)
		return 0;
	for (; count > 2 && delay_ms < throttle->settings.delay_max_ms; count--)
		delay_ms *= 2;
	return MIN(delay_ms, throttle->settings.delay_max_ms);
}

uint64_t auth_throttle_delay_ms(struct auth_throttle *throttle, struct slice user, struct slice address)
{
	struct subject subject = subject_of(throttle, user, address);
	int64_t now = now_ms(throttle);
	uint64_t count;

	if (subject.is_exempt)
		return 0;
	pthread_mutex_lock(&throttle->lock);
	if (user.len && known_find(throttle, subject.pair))
		count = failures(throttle, subject.pair, now);
	else
		count = MAX(failures(throttle, subject.network, now),
			user.len ? failures(throttle, subject.account, now) : 0);
	pthread_mutex_unlock(&throttle->lock);
	return delay_of(throttle, count);
}

void auth_throttle_failed(struct auth_throttle *throttle, struct slice user, struct slice address)
{
	struct subject subject = subject_of(throttle, user, address);
	int64_t now = now_ms(throttle);

	if (subject.is_exempt)
		return;
	pthread_mutex_lock(&throttle->lock);
	failure_add(throttle, subject.network, now);
	if (user.len) {
		failure_add(throttle, subject.account, now);
		if (known_find(throttle, subject.pair))
			failure_add(throttle, subject.pair, now);
	}
	pthread_mutex_unlock(&throttle->lock);
}

/*
 * What others did stays counted: else a guesser with an account of his own, or the owner logging in, would give the guesser
 * a fresh start.
 */
void auth_throttle_succeeded(struct auth_throttle *throttle, struct slice user, struct slice address)
{
	struct subject subject = subject_of(throttle, user, address);
	struct failure *failure;
	int64_t now = now_ms(throttle);

	if (subject.is_exempt || user.len == 0)
		return;
	pthread_mutex_lock(&throttle->lock);
	known_add(throttle, subject.pair, now);
	failure = failure_find(throttle, subject.pair);
	if (failure)
		failure->count = 0;
	pthread_mutex_unlock(&throttle->lock);
}
