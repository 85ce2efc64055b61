#include "mail_test.h"

void parsed_open(struct parsed *parsed, struct slice text, const struct mail_limits *limits, size_t piece)
{
	struct mail_canon canon = {0};
	struct slice rest;

	*parsed = (struct parsed){.canonical = BUFFER_INIT(64 << 20)};
	mail_canon_feed(&canon, text, &parsed->canonical);
	assert_int_equal(buffer_error(&parsed->canonical), 0);
	assert_int_equal(mail_parser_new(limits, &parsed->parser), 0);
	for (rest = buffer_slice(&parsed->canonical); rest.len; rest = slice_from(rest, piece))
		assert_int_equal(mail_parser_feed(parsed->parser, slice_first(rest, piece)), 0);
	assert_int_equal(mail_parser_finish(parsed->parser, &parsed->message), 0);
}

void parsed_close(struct parsed *parsed)
{
	mail_parser_free(&parsed->parser);
	buffer_free(&parsed->canonical);
}

void parse(struct parsed *parsed, const char *text)
{
	parsed_open(parsed, slice_of(text), &mail_limits_default, SIZE_MAX);
}

struct slice part_body(const struct parsed *parsed, uint32_t index)
{
	const struct mail_part *part = &parsed->message->parts[index];

	assert_true(index < parsed->message->part_count);
	return slice_first(slice_from(buffer_slice(&parsed->canonical), part->body_at), part->body_bytes);
}

struct slice part_header(const struct parsed *parsed, uint32_t index)
{
	const struct mail_part *part = &parsed->message->parts[index];

	assert_true(index < parsed->message->part_count);
	return slice_first(slice_from(buffer_slice(&parsed->canonical), part->header_at), part->header_bytes);
}

void expect_slice(struct slice got, const char *wanted)
{
	if (!slice_equal(got, slice_of(wanted)))
		fail_msg("got\n%.*s\ninstead of\n%s", SLICE_ARG(got), wanted);
}
