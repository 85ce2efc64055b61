#include "store/address.h"

#include <idn2.h>

#include "base/utf8.h"
#include "store/directory.h"

enum { DOMAIN_MAX = 255, LOCAL_MAX = 64 };

/* RFC 5321 §4.1.2: letters, digits and hyphens, in labels of 1 to 63. */
static bool domain_is_valid(struct slice domain)
{
	if (!domain.len || domain.len > DOMAIN_MAX)
		return false;
	while (domain.at) {
		struct slice label = slice_split(&domain, '.');

		if (!label.len || label.len > 63 || label.at[0] == '-' || label.at[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++) {
			char c = label.at[i];

			if (!byte_is_alpha(c) && !byte_is_digit(c) && c != '-')
				return false;
		}
	}
	return true;
}

static int domain_put_idna(struct slice domain, struct buffer *out)
{
	char text[DOMAIN_MAX * 4 + 1], *ascii = NULL;

	if (domain.len >= sizeof(text) || slice_find_byte(domain, '\0') != SIZE_MAX)
		return -EINVAL;
	memcpy(text, domain.at, domain.len);
	text[domain.len] = '\0';
	if (idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) != IDN2_OK)
		return -EINVAL;
	buffer_put_text(out, ascii);
	idn2_free(ascii);
	return 0;
}

int domain_normalise(struct slice domain, struct buffer *out)
{
	size_t start = out->len;
	int error = 0;

	if (!domain.len || domain.len > DOMAIN_MAX * 4)
		return -EINVAL;
	if (utf8_is_ascii(domain))
		buffer_put(out, domain);
	else
		error = domain_put_idna(domain, out);
	if (!error)
		error = buffer_error(out);
	if (error)
		return error;
	for (size_t i = start; i < out->len; i++)
		out->at[i] = byte_lower(out->at[i]);
	return domain_is_valid(slice_from(buffer_slice(out), start)) ? 0 : -EINVAL;
}

/* RFC 5321 §4.1.2 and RFC 6531 §3.3: a dot-string; quoted ones are not account names. */
static bool local_is_valid(struct slice local)
{
	if (!local.len || local.len > LOCAL_MAX || !utf8_is_valid(local))
		return false;
	for (size_t i = 0; i < local.len; i++) {
		unsigned char c = (unsigned char)local.at[i];

		if (c <= ' ' || c == 0x7f || strchr("()<>[]:;@\\,\"", c))
			return false;
	}
	return true;
}

int address_normalise(struct slice address, bool strip_detail, struct buffer *out, struct slice *ret_detail)
{
	size_t at = slice_find_last_byte(address, '@'), plus, start = out->len;
	struct slice local, detail = {NULL, 0};
	int error;

	if (at == SIZE_MAX)
		return -EINVAL;
	local = slice_first(address, at);
	plus = strip_detail ? slice_find_byte(local, '+') : SIZE_MAX;
	if (plus != SIZE_MAX && plus > 0) {
		detail = slice_from(local, plus + 1);
		local = slice_first(local, plus);
	}
	if (!local_is_valid(local))
		return -EINVAL;
	buffer_put(out, local);
	for (size_t i = start; i < out->len; i++)
		out->at[i] = byte_lower(out->at[i]);
	buffer_put_byte(out, '@');
	error = domain_normalise(slice_from(address, at + 1), out);
	if (!error)
		*ret_detail = detail;
	return error;
}

int address_key(struct slice address, struct buffer *out)
{
	size_t at = slice_find_last_byte(address, '@');

	if (at == SIZE_MAX || at == 0 || address.len > DIRECTORY_ADDRESS_MAX)
		return -EINVAL;
	buffer_put(out, slice_from(address, at + 1));
	buffer_put_byte(out, '\0');
	buffer_put(out, slice_first(address, at));
	return buffer_error(out);
}

void address_of_key(struct slice key, struct buffer *out)
{
	struct slice domain = slice_split(&key, '\0');

	buffer_put(out, key);
	buffer_put_byte(out, '@');
	buffer_put(out, domain);
}
