#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "gate/selfsign.h"

enum { VALID_S = 10 * 365 * 86400, CLOCK_SLACK_S = 86400 };

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	added = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

static bool set_serial(X509 *certificate)
{
	uint64_t serial;

	return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1;
}

/* A host name, or a wildcard for one label, goes into OpenSSL's little language of extensions: nothing but a host name may get in there. */
static bool is_host_name(struct slice name)
{
	for (size_t i = slice_starts(name, SLICE("*.")) ? 2 : 0; i < name.len; i++)
		if (!byte_is_alpha(name.at[i]) && !byte_is_digit(name.at[i]) && name.at[i] != '.' && name.at[i] != '-')
			return false;
	return name.len > 0 && name.len < 64; /* the longest common name, RFC 5280 §A.1 */
}

static bool fill(X509 *certificate, EVP_PKEY *key, struct slice hostname)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	struct buffer names = BUFFER_INIT(512);
	bool filled;

	buffer_put_text(&names, "DNS:localhost,IP:127.0.0.1,IP:::1");
	if (!slice_equal_nocase(hostname, SLICE("localhost")))
		buffer_printf(&names, ",DNS:%.*s", SLICE_ARG(hostname));
	filled = X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
		 X509_gmtime_adj(X509_getm_notBefore(certificate), -CLOCK_SLACK_S) &&
		 X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S) && X509_set_pubkey(certificate, key) == 1 &&
		 X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, (const unsigned char *)hostname.at,
			 (int)hostname.len, -1, 0) == 1 &&
		 X509_set_issuer_name(certificate, name) == 1 &&
		 add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
		 add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
		 add_extension(certificate, NID_subject_alt_name, buffer_text(&names)) &&
		 X509_sign(certificate, key, EVP_sha256()) != 0;
	buffer_free(&names);
	return filled;
}

static void take_bio(BIO *bio, struct buffer *out)
{
	char *at;
	long len = BIO_get_mem_data(bio, &at);

	if (len > 0)
		buffer_put(out, slice_make(at, (size_t)len));
}

int gate_selfsign(struct slice hostname, struct buffer *chain, struct buffer *key_text)
{
	EVP_PKEY *key = NULL;
	X509 *certificate = X509_new();
	BIO *chain_bio = BIO_new(BIO_s_mem());
	BIO *key_bio = BIO_new(BIO_s_secmem());
	int error = -ENOMEM;

	if (!is_host_name(hostname)) {
		error = -EINVAL;
		goto out;
	}
	key = EVP_EC_gen("P-256");
	if (!key || !certificate || !chain_bio || !key_bio || !fill(certificate, key, hostname) ||
		PEM_write_bio_X509(chain_bio, certificate) != 1 ||
		PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		goto out;
	take_bio(chain_bio, chain);
	take_bio(key_bio, key_text);
	error = buffer_error(chain) ? buffer_error(chain) : buffer_error(key_text);
out:
	EVP_PKEY_free(key);
	X509_free(certificate);
	BIO_free(chain_bio);
	BIO_free(key_bio);
	return error;
}
