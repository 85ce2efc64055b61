#include "mail/internal.h"

struct span span_since(const struct buffer *text, size_t start)
{
	return (struct span){(uint32_t)start, (uint32_t)(text->len - start)};
}

struct span span_put(struct buffer *text, struct slice bytes)
{
	size_t start = text->len;

	buffer_put(text, bytes);
	return span_since(text, start);
}

struct slice span_slice(const struct buffer *text, struct span span)
{
	return span.len ? slice_make(text->at + span.at, span.len) : slice_make(NULL, 0);
}
