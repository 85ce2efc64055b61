/* Everything that reads header values and text: words, parameters, addresses, dates, fields, HTML. Text comes out as UTF-8. */
#include "base/utf8.h"
#include "mail/mail.h"

enum { BYTES_MAX = 1 << 26 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void each_address(void *context, const struct mail_address *address)
{
	size_t *bytes = context;

	CHECK(utf8_is_valid(address->name));
	*bytes += address->local.len + address->domain.len;
}

static void check_fields(struct slice header)
{
	static const struct slice names[] = {{"to", 2}, {"subject", 7}};
	struct buffer some = BUFFER_INIT(BYTES_MAX), others = BUFFER_INIT(BYTES_MAX);
	struct slice rest = header;
	struct mail_field field;
	size_t bytes = 0;

	while (mail_field_next(&rest, &field)) {
		bytes += field.whole.len;
		CHECK(field.name.len + field.value.len <= field.whole.len);
	}
	CHECK(bytes + rest.len == header.len);
	mail_fields_select(header, names, 2, false, &some);
	mail_fields_select(header, names, 2, true, &others);
	CHECK(some.len + others.len == bytes + (rest.len ? 4 : 0));
	buffer_free(&some);
	buffer_free(&others);
}

/* As a whole message whose header is the input: parameters, envelope and subject come out of it. */
static void check_message(struct slice header)
{
	const struct mail_message *message;
	struct mail_parser *parser;

	CHECK(mail_parser_new(&mail_limits_default, &parser) == 0);
	CHECK(mail_parser_feed(parser, header) == 0 && mail_parser_finish(parser, &message) == 0);
	CHECK(utf8_is_valid(message->subject) && utf8_is_valid(message->preview));
	CHECK(message->preview.len <= 256);
	for (uint32_t i = 0; i < message->part_count; i++)
		CHECK(utf8_is_valid(message->parts[i].filename));
	mail_parser_free(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct buffer out = BUFFER_INIT(BYTES_MAX);
	int64_t seconds = 0;
	int16_t zone = 0;
	size_t bytes = 0;

	mail_header_text(text, &out);
	CHECK(out.error == 0 && utf8_is_valid(buffer_slice(&out)));
	buffer_reset(&out);
	mail_html_text(text, &out);
	CHECK(out.error == 0);
	CHECK(mail_addresses(text, each_address, &bytes) == 0);
	CHECK(mail_date_parse(text, &seconds, &zone) == 0 || (seconds == 0 && zone == 0));
	check_fields(text);
	check_message(text);
	buffer_free(&out);
	return 0;
}
