#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "gate/tls.h"

/* One DNS name of a certificate, in lower case; "*.example.org" stands for any one label. */
struct name {
	char *text;
	SSL_CTX *context; /* one of the set's */
};

struct tls_set {
	SSL_CTX **contexts;
	size_t context_count;
	struct name *names; /* sorted */
	size_t name_count;
};

struct tls {
	struct tls_set set;
};

/* ---- Names ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static SSL_CTX *find_name(const struct tls_set *set, const char *text)
{
	const struct name key = {(char *)(uintptr_t)text, NULL};
	const struct name *found = NULL;

	if (set->name_count)
		found = bsearch(&key, set->names, set->name_count, sizeof(key), compare_names);
	return found ? found->context : NULL;
}

/* RFC 6125 §6.4.3: the wildcard is the whole leftmost label. */
static SSL_CTX *find_context(const struct tls_set *set, const char *server_name)
{
	char lower[256];
	size_t len = strlen(server_name);
	SSL_CTX *context;
	char *dot;

	if (len == 0 || len >= sizeof(lower))
		return NULL;
	for (size_t i = 0; i <= len; i++)
		lower[i] = byte_lower(server_name[i]);
	if (lower[len - 1] == '.')
		lower[len - 1] = '\0';
	context = find_name(set, lower);
	dot = strchr(lower, '.');
	if (context || !dot || dot == lower)
		return context;
	dot[-1] = '*';
	return find_name(set, dot - 1);
}

static int add_name(struct tls_set *set, struct slice name, SSL_CTX *context)
{
	struct name *grown;
	char *text;

	if (name.len == 0 || name.len > 255 || slice_find_byte(name, '\0') != SIZE_MAX)
		return 0; /* no DNS name: nobody can ask for it */
	grown = realloc(set->names, (set->name_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	set->names = grown;
	text = malloc(name.len + 1);
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < name.len; i++)
		text[i] = byte_lower(name.at[i]);
	text[name.len] = '\0';
	set->names[set->name_count++] = (struct name){text, context};
	return 0;
}

static struct slice asn1_slice(const ASN1_STRING *string)
{
	return slice_make(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

/* The common name counts only where there is no subjectAltName (RFC 6125 §6.4.4). */
static int add_common_name(struct tls_set *set, const X509 *certificate, SSL_CTX *context)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (at < 0)
		return 0;
	return add_name(set, asn1_slice(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))), context);
}

static int add_names(struct tls_set *set, const X509 *certificate, SSL_CTX *context)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int error = 0;

	if (!names)
		return add_common_name(set, certificate, context);
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !error; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			error = add_name(set, asn1_slice(name->d.dNSName), context);
	}
	GENERAL_NAMES_free(names);
	return error;
}

/* ---- Certificates ---- */

/* Nobody is there to be asked. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

static const char *use_chain(SSL_CTX *context, BIO *pem)
{
	X509 *certificate = PEM_read_bio_X509_AUX(pem, NULL, no_passphrase, NULL);
	bool used = certificate && SSL_CTX_use_certificate(context, certificate) == 1;

	X509_free(certificate);
	if (!used)
		return "there is no certificate in its chain";
	while ((certificate = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL))) {
		if (SSL_CTX_add0_chain_cert(context, certificate) != 1) {
			X509_free(certificate);
			return "its chain cannot be used";
		}
	}
	ERR_clear_error(); /* the end of the chain is reported as one */
	return NULL;
}

static const char *use_key(SSL_CTX *context, BIO *pem)
{
	EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
	const char *problem = NULL;

	if (!key)
		problem = "its key cannot be read (is it encrypted?)";
	else if (SSL_CTX_use_PrivateKey(context, key) != 1 || SSL_CTX_check_private_key(context) != 1)
		problem = "its key does not belong to it";
	EVP_PKEY_free(key);
	return problem;
}

static const char *use_certificate(SSL_CTX *context, const struct gate_certificate *certificate)
{
	BIO *chain, *key;
	const char *problem;

	if (certificate->chain.len + certificate->key.len > GATE_PEM_BYTES_MAX)
		return "it is too long";
	chain = BIO_new_mem_buf(certificate->chain.at, (int)certificate->chain.len);
	key = BIO_new_mem_buf(certificate->key.at, (int)certificate->key.len);
	problem = chain && key ? use_chain(context, chain) : "there is no memory for it";
	if (!problem)
		problem = use_key(context, key);
	BIO_free(chain);
	BIO_free(key);
	return problem;
}

/* ---- Contexts ---- */

static int choose_certificate(SSL *ssl, int *alert, void *context)
{
	const struct tls *tls = context;
	const char *server_name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *found = server_name ? find_context(&tls->set, server_name) : NULL;

	(void)alert;
	if (found)
		(void)SSL_set_SSL_CTX(ssl, found);
	return SSL_TLSEXT_ERR_OK;
}

/*
 * A client that says which protocol it expects and means another one was led here by somebody between (RFC 7301 §3.2; RFC 9325 §3.7):
 * it gets no connection.
 */
static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len, const unsigned char *in,
	unsigned in_len, void *context)
{
	static const struct slice names[GATE_PROTOCOLS] = {[GATE_IMAP] = {"imap", 4}, [GATE_POP3] = {"pop3", 4}};
	struct slice wanted = names[(uintptr_t)SSL_get_app_data(ssl) % GATE_PROTOCOLS];

	(void)context;
	for (unsigned at = 0; at < in_len && in[at] < in_len - at; at += 1u + in[at]) {
		if (slice_equal(slice_make(in + at + 1, in[at]), wanted)) {
			*ret_name = in + at + 1;
			*ret_len = in[at];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool configure(SSL_CTX *context)
{
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					     SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
	       SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1 && SSL_CTX_set_num_tickets(context, 1) == 1;
}

static SSL_CTX *context_new(struct tls *tls)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context && !configure(context)) {
		SSL_CTX_free(context);
		context = NULL;
	}
	if (!context)
		return NULL;
	SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
	SSL_CTX_set_tlsext_servername_arg(context, tls);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	return context;
}

static void set_free(struct tls_set *set)
{
	for (size_t i = 0; i < set->name_count; i++)
		free(set->names[i].text);
	for (size_t i = 0; i < set->context_count; i++)
		SSL_CTX_free(set->contexts[i]); /* connections hold it themselves */
	free(set->names);
	free(set->contexts);
	*set = (struct tls_set){NULL, 0, NULL, 0};
}

static int set_add(
	struct tls *tls, struct tls_set *set, const struct gate_certificate *certificate, const char **ret_problem)
{
	SSL_CTX *context = context_new(tls);

	if (!context)
		return -ENOMEM;
	set->contexts[set->context_count++] = context;
	*ret_problem = use_certificate(context, certificate);
	ERR_clear_error();
	if (*ret_problem)
		return -EINVAL;
	return add_names(set, SSL_CTX_get0_certificate(context), context);
}

int tls_load(struct tls *tls, const struct gate_certificate *certificates, size_t count, struct buffer *problem)
{
	struct tls_set set = {NULL, 0, NULL, 0};
	const char *why = NULL;
	int error = 0;

	set.contexts = calloc(count ? count : 1, sizeof(SSL_CTX *));
	if (!set.contexts || count > GATE_CERTIFICATES_MAX) {
		free(set.contexts);
		return count > GATE_CERTIFICATES_MAX ? -ENOBUFS : -ENOMEM;
	}
	for (size_t i = 0; i < count && !error; i++) {
		error = set_add(tls, &set, &certificates[i], &why);
		if (error)
			buffer_printf(problem, "certificate %zu: %s", i + 1, why ? why : "there is no memory for it");
	}
	if (error) {
		set_free(&set);
		return error;
	}
	if (set.name_count)
		qsort(set.names, set.name_count, sizeof(set.names[0]), compare_names);
	set_free(&tls->set);
	tls->set = set;
	return 0;
}

int tls_new(struct tls **ret_tls)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return -ENOMEM;
	*ret_tls = tls;
	return 0;
}

void tls_free(struct tls **tls)
{
	if (!*tls)
		return;
	set_free(&(*tls)->set);
	free(*tls);
	*tls = NULL;
}

bool tls_is_possible(const struct tls *tls)
{
	return tls->set.context_count != 0;
}

int gate_certificates_check(const struct gate_certificate *certificates, size_t count, struct buffer *problem)
{
	struct tls *tls;
	int error = tls_new(&tls);

	if (error)
		return error;
	error = tls_load(tls, certificates, count, problem);
	tls_free(&tls);
	return error;
}

/* ---- Connections ---- */

SSL *tls_accept(struct tls *tls, int fd, enum gate_protocol protocol)
{
	SSL *ssl = tls_is_possible(tls) ? SSL_new(tls->set.contexts[0]) : NULL;

	if (!ssl)
		return NULL;
	if (SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_app_data(ssl, (void *)(uintptr_t)protocol);
	SSL_set_accept_state(ssl);
	return ssl;
}

void tls_put_text(SSL *ssl, struct buffer *out)
{
	buffer_printf(out, "%s %s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
}

bool tls_is_13(SSL *ssl)
{
	return SSL_version(ssl) >= TLS1_3_VERSION;
}

bool tls_has_unique(SSL *ssl)
{
	return !tls_is_13(ssl) && SSL_get_extms_support(ssl) == 1;
}

void tls_put_exporter(SSL *ssl, struct buffer *out)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	unsigned char bytes[32];

	if (tls_is_13(ssl) &&
		SSL_export_keying_material(ssl, bytes, sizeof(bytes), label, sizeof(label) - 1, NULL, 0, 1) == 1)
		buffer_put(out, slice_make(bytes, sizeof(bytes)));
}

void tls_put_unique(SSL *ssl, struct buffer *out)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	size_t len;

	if (!tls_has_unique(ssl))
		return;
	/* The first Finished is the client's in a full handshake, ours in a resumed one. */
	len = SSL_session_reused(ssl) ? SSL_get_finished(ssl, bytes, sizeof(bytes))
				      : SSL_get_peer_finished(ssl, bytes, sizeof(bytes));
	buffer_put(out, slice_make(bytes, MIN(len, sizeof(bytes))));
}
