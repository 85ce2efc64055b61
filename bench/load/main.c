#include <arpa/inet.h>
#include <getopt.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ceiling.h"
#include "load.h"

static int usage(void)
{
	(void)fprintf(stderr,
		"usage: bench-load WORKLOAD --imap|--imaps|--pop3|--pop3s|--lmtp HOST:PORT [options]\n"
		"  --clients N (1)  --threads N (up to processors)  --seconds S, --count N: until when  --gap MS: "
		"between operations\n"
		"  --users N (1)  --first-user N (0)  --domain D (example.org)  --password P (penfold)  --mailbox M "
		"(INBOX)\n"
		"  --kind mixed|small|unique  --first N: number of the first message  --messages N: in the mailbox\n"
		"  --item SUBJECT|FROM|BODY|TEXT  --pipeline N (1)  --batch N (100): messages in one MULTIAPPEND\n"
		"  --warm M: what is fetched is fetched from this mailbox for half a second, before the clock runs\n"
		"  --plain-append: without LITERAL+  --quick-ack: acknowledge each segment at once  --timeout S (30)\n"
		"or: bench-load --serve [--certificate FILE --key FILE], bench-load --serve --messages N --kind K "
		"[--maildrop], "
		"bench-load --serve --log FILE, bench-load --bytes: the limits\n"
		"prints one line of JSON; exit status 1 when there were errors. Workloads:\n");
	for (const struct workload *w = workloads; w->name; w++)
		(void)fprintf(stderr, "  %-15s %s\n", w->name, w->what);
	return 2;
}

enum option_code {
	O_IMAP = 256,
	O_IMAPS,
	O_POP3,
	O_POP3S,
	O_LMTP,
	O_CLIENTS,
	O_THREADS,
	O_SECONDS,
	O_COUNT,
	O_GAP,
	O_USERS,
	O_FIRST_USER,
	O_DOMAIN,
	O_PASSWORD,
	O_MAILBOX,
	O_WARM,
	O_KIND,
	O_FIRST,
	O_MESSAGES,
	O_ITEM,
	O_PIPELINE,
	O_BATCH,
	O_PLAIN_APPEND,
	O_QUICK_ACK,
	O_TIMEOUT,
	O_SERVE,
	O_BYTES,
	O_MAILDROP,
	O_CERTIFICATE,
	O_KEY,
	O_LOG
};

static const struct option names[] = {{"imap", 1, NULL, O_IMAP}, {"imaps", 1, NULL, O_IMAPS}, {"pop3", 1, NULL, O_POP3},
	{"pop3s", 1, NULL, O_POP3S}, {"lmtp", 1, NULL, O_LMTP}, {"clients", 1, NULL, O_CLIENTS},
	{"threads", 1, NULL, O_THREADS}, {"seconds", 1, NULL, O_SECONDS}, {"count", 1, NULL, O_COUNT},
	{"gap", 1, NULL, O_GAP}, {"users", 1, NULL, O_USERS}, {"first-user", 1, NULL, O_FIRST_USER},
	{"domain", 1, NULL, O_DOMAIN}, {"password", 1, NULL, O_PASSWORD}, {"mailbox", 1, NULL, O_MAILBOX},
	{"kind", 1, NULL, O_KIND}, {"first", 1, NULL, O_FIRST}, {"messages", 1, NULL, O_MESSAGES},
	{"item", 1, NULL, O_ITEM}, {"pipeline", 1, NULL, O_PIPELINE}, {"batch", 1, NULL, O_BATCH},
	{"plain-append", 0, NULL, O_PLAIN_APPEND}, {"quick-ack", 0, NULL, O_QUICK_ACK}, {"timeout", 1, NULL, O_TIMEOUT},
	{"serve", 0, NULL, O_SERVE}, {"bytes", 0, NULL, O_BYTES}, {"maildrop", 0, NULL, O_MAILDROP},
	{"certificate", 1, NULL, O_CERTIFICATE}, {"key", 1, NULL, O_KEY}, {"log", 1, NULL, O_LOG},
	{"warm", 1, NULL, O_WARM}, {NULL, 0, NULL, 0}};

struct arguments {
	struct load load;
	const char *certificate, *key, *log;
	bool serve, bytes, maildrop;
};

static bool number(const char *text, uint64_t max, uint64_t *value)
{
	return slice_to_u64(slice_of(text), max, value) == 0;
}

static bool narrow(const char *text, unsigned max, unsigned *value)
{
	uint64_t wide;

	if (!number(text, max, &wide) || wide == 0)
		return false;
	*value = (unsigned)wide;
	return true;
}

static bool endpoint(const char *text, bool tls, struct endpoint *to)
{
	struct slice rest = slice_of(text), host = slice_split(&rest, ':');
	uint64_t port;

	if (host.len >= sizeof(to->host) || slice_to_u64(rest, 65535, &port))
		return false;
	*to = (struct endpoint){.port = (uint16_t)port, .tls = tls};
	(void)snprintf(to->host, sizeof(to->host), "%.*s", SLICE_ARG(host));
	return true;
}

static bool kind(const char *text, enum message_kind *ret_kind)
{
	static const char *const kinds[] = {"mixed", "small", "unique"};

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(text, kinds[i]) == 0) {
			*ret_kind = (enum message_kind)i;
			return true;
		}
	return false;
}

static bool take_flag(struct arguments *args, int option)
{
	bool *const flags[] = {
		&args->load.plain_append, &args->load.quick_ack, &args->serve, &args->bytes, &args->maildrop};
	static const int codes[] = {O_PLAIN_APPEND, O_QUICK_ACK, O_SERVE, O_BYTES, O_MAILDROP};

	for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
		if (option == codes[i]) {
			*flags[i] = true;
			return true;
		}
	return false;
}

static bool take_text(struct arguments *args, int option)
{
	const char **const texts[] = {&args->load.domain, &args->load.password, &args->load.mailbox, &args->load.item,
		&args->load.warm, &args->certificate, &args->key, &args->log};
	static const int codes[] = {O_DOMAIN, O_PASSWORD, O_MAILBOX, O_ITEM, O_WARM, O_CERTIFICATE, O_KEY, O_LOG};

	for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
		if (option == codes[i]) {
			*texts[i] = optarg;
			return true;
		}
	return false;
}

static bool take_number(struct load *load, int option)
{
	unsigned seconds;

	switch (option) {
	case O_CLIENTS:
		return narrow(optarg, LOAD_CLIENTS_MAX, &load->clients);
	case O_THREADS:
		return narrow(optarg, LOAD_THREADS_MAX, &load->threads);
	case O_PIPELINE:
		return narrow(optarg, 1000, &load->pipeline);
	case O_BATCH:
		return narrow(optarg, 100000, &load->batch);
	case O_GAP:
		return narrow(optarg, 60000, &load->gap_ms);
	case O_COUNT:
		return number(optarg, UINT64_MAX, &load->count);
	case O_USERS:
		return number(optarg, 1U << 30, &load->users) && load->users;
	case O_FIRST_USER:
		return number(optarg, 1U << 30, &load->first_user);
	case O_FIRST:
		return number(optarg, 1ULL << 40, &load->first);
	case O_MESSAGES:
		return number(optarg, 1U << 30, &load->messages);
	case O_SECONDS:
		if (!narrow(optarg, 86400, &seconds))
			return false;
		load->seconds = seconds;
		return true;
	case O_TIMEOUT:
		if (!narrow(optarg, 86400, &seconds))
			return false;
		load->timeout_ms = seconds * 1000;
		return true;
	default:
		return false;
	}
}

static bool take(struct arguments *args, int option)
{
	struct load *load = &args->load;

	switch (option) {
	case O_IMAP:
	case O_IMAPS:
		return endpoint(optarg, option == O_IMAPS, &load->imap);
	case O_POP3:
	case O_POP3S:
		return endpoint(optarg, option == O_POP3S, &load->pop3);
	case O_LMTP:
		return endpoint(optarg, false, &load->lmtp);
	case O_KIND:
		return kind(optarg, &load->kind);
	default:
		return take_flag(args, option) || take_text(args, option) || take_number(load, option);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double at_share(const struct stats *stats, double share)
{
	return stats->count ? (double)stats->latencies_ns[(size_t)((double)(stats->count - 1) * share)] / 1000 : 0;
}

static void print_note(const char *note)
{
	(void)printf("\"");
	for (const char *c = note; *c; c++) {
		if (*c == '"' || *c == '\\')
			(void)printf("\\%c", *c);
		else if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			(void)printf("\\u%04x", (unsigned char)*c);
		else
			(void)putchar(*c);
	}
	(void)printf("\"");
}

static void print_result(const struct load *load, struct stats *stats)
{
	uint64_t start = atomic_load(&load->start_ns);
	double seconds = stats->count ? (double)(stats->last_ns - start) / 1e9 : 0;
	struct rusage own;

	if (stats->count)
		qsort(stats->latencies_ns, stats->count, sizeof(*stats->latencies_ns), by_value);
	(void)getrusage(RUSAGE_SELF, &own);
	(void)printf("{\"workload\":\"%s\",\"clients\":%u,\"ops\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"rate\":%.3f,"
		     "\"errors\":%llu,",
		load->workload->name, load->clients, (unsigned long long)stats->ops, (unsigned long long)stats->bytes,
		seconds, seconds > 0 ? (double)stats->ops / seconds : 0,
		(unsigned long long)atomic_load(&load->errors));
	(void)printf("\"samples\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"first_us\":%.1f,\"generator_"
		     "cpu_s\":%.3f,\"note\":",
		stats->count, at_share(stats, 0.5), at_share(stats, 0.99), at_share(stats, 1),
		(double)stats->first_ns / 1000,
		(double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
			(double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6);
	print_note(stats->note);
	(void)printf("}\n");
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int run(struct load *load)
{
	struct stats *stats = calloc(1, sizeof(*stats));
	int status;

	CHECK(stats);
	raise_file_limit();
	(void)signal(SIGPIPE, SIG_IGN);
	load->threads = MIN(load->threads, load->clients);
	load->made = messages_new(load->kind == MESSAGE_MIXED);
	load->tls = SSL_CTX_new(TLS_client_method());
	CHECK(load->tls);
	SSL_CTX_set_mode(load->tls,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	load_run(load, stats);
	print_result(load, stats);
	status = atomic_load(&load->errors) ? 1 : 0;
	SSL_CTX_free(load->tls);
	messages_free(&load->made);
	free(stats->latencies_ns);
	free(stats);
	return status;
}

int main(int argc, char **argv)
{
	struct arguments args = {.load = {.clients = 1,
					 .threads = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1),
					 .users = 1,
					 .domain = "example.org",
					 .password = "penfold",
					 .mailbox = "INBOX",
					 .item = "SUBJECT",
					 .timeout_ms = 30000,
					 .pipeline = 1,
					 .batch = 100}};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		if (option == '?' || !take(&args, option))
			return usage();
	if (args.serve && args.load.messages) {
		args.load.made = messages_new(args.load.kind == MESSAGE_MIXED);
		return args.maildrop ? ceiling_maildrop(&args.load) : ceiling_answers(&args.load);
	}
	if (args.serve && args.log)
		return ceiling_taker(args.log);
	if (args.serve)
		return ceiling_serve(args.certificate, args.key);
	if (args.bytes)
		return ceiling_bytes();
	if (optind + 1 != argc)
		return usage();
	for (const struct workload *w = workloads; w->name && !args.load.workload; w++)
		if (strcmp(w->name, argv[optind]) == 0)
			args.load.workload = w;
	if (!args.load.workload)
		return usage();
	return run(&args.load);
}
