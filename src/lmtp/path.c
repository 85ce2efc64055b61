#include "base/utf8.h"
#include "lmtp/parse.h"

/* RFC 5321 §4.1.2 atext and dots, RFC 6531 §3.3 non-ASCII. */
static bool is_atom_byte(char c)
{
	return byte_is_alpha(c) || byte_is_digit(c) || (unsigned char)c >= 0x80 ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static bool is_domain_byte(char c)
{
	return byte_is_alpha(c) || byte_is_digit(c) || (unsigned char)c >= 0x80 || c == '-' || c == '.' || c == '_';
}

static bool is_printable(char c)
{
	return (unsigned char)c >= ' ' && c != 0x7f;
}

/* Length of the quoted string that `s` begins with; 0 when it does not end or has control characters. */
static size_t quoted_length(struct slice s)
{
	for (size_t i = 1; i < s.len; i++) {
		if (s.at[i] == '"')
			return i + 1;
		if (s.at[i] == '\\')
			i++;
		if (i < s.len && !is_printable(s.at[i]))
			return 0;
	}
	return 0;
}

static size_t local_length(struct slice s)
{
	size_t i = 0;

	if (s.len && s.at[0] == '"')
		return quoted_length(s);
	while (i < s.len && is_atom_byte(s.at[i]))
		i++;
	return i;
}

static bool label_ends_badly(struct slice domain, size_t i)
{
	return i == 0 || i == domain.len - 1 || domain.at[i - 1] == '.';
}

static bool domain_is_valid(struct slice domain)
{
	bool literal = domain.len > 2 && domain.at[0] == '[' && domain.at[domain.len - 1] == ']';

	if (domain.len == 0 || domain.len > LMTP_NAME_MAX)
		return false;
	for (size_t i = literal; i < domain.len - literal; i++) {
		char c = domain.at[i];

		if (literal ? !is_domain_byte(c) && c != ':' : !is_domain_byte(c))
			return false;
		if (!literal && c == '.' && label_ends_badly(domain, i))
			return false;
	}
	return true;
}

/* "@one,@two:" in front of the mailbox is legal, obsolete and without meaning (RFC 5321 Appendix C). */
static int skip_route(struct slice *path)
{
	size_t colon;
	struct slice route, hop;

	if (path->len == 0 || path->at[0] != '@')
		return 0;
	colon = slice_find_byte(*path, ':');
	if (colon == SIZE_MAX)
		return -EBADMSG;
	route = slice_first(*path, colon);
	while (route.len) {
		hop = slice_split(&route, ',');
		if (hop.len < 2 || hop.at[0] != '@' || !domain_is_valid(slice_from(hop, 1)))
			return -EBADMSG;
	}
	*path = slice_from(*path, colon + 1);
	return path->len ? 0 : -EBADMSG;
}

/* Where the path ends: the first '>' outside a quoted string. */
static size_t path_end(struct slice s)
{
	for (size_t i = 1; i < s.len; i++) {
		if (s.at[i] == '>')
			return i;
		if (s.at[i] == '"') {
			size_t quoted = quoted_length(slice_from(s, i));

			if (quoted == 0)
				return SIZE_MAX;
			i += quoted - 1;
		}
	}
	return SIZE_MAX;
}

int lmtp_path_parse(struct slice *rest, struct lmtp_path *ret_path)
{
	struct lmtp_path path = {.is_ascii = true};
	size_t end = rest->len && rest->at[0] == '<' ? path_end(*rest) : SIZE_MAX;
	struct slice text, after;
	size_t local;

	if (end == SIZE_MAX || end > LMTP_PATH_MAX)
		return -EBADMSG;
	text = slice_from(slice_first(*rest, end), 1);
	after = slice_from(*rest, end + 1);
	if (!utf8_is_valid(text) || skip_route(&text))
		return -EBADMSG;
	local = local_length(text);
	if (text.len && local == 0)
		return -EBADMSG;
	path.text = text;
	path.local = slice_first(text, local);
	path.is_ascii = utf8_is_ascii(text);
	if (local < text.len) {
		path.domain = slice_from(text, local + 1);
		if (text.at[local] != '@' || !domain_is_valid(path.domain))
			return -EBADMSG;
	}
	*rest = after;
	*ret_path = path;
	return 0;
}

void lmtp_path_address(const struct lmtp_path *path, struct slice default_domain, struct buffer *out)
{
	struct slice local = path->local;

	if (local.len >= 2 && local.at[0] == '"') {
		for (size_t i = 1; i + 1 < local.len; i++) {
			if (local.at[i] == '\\' && i + 2 < local.len)
				i++;
			buffer_put_byte(out, local.at[i]);
		}
	} else {
		buffer_put(out, local);
	}
	buffer_put_byte(out, '@');
	buffer_put(out, path->domain.len ? path->domain : default_domain);
}
