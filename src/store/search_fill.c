/* An email into the files of words: what its text has, read as a search would read it. */
#include "store/body.h"
#include "store/description.h"
#include "store/search_walk.h"
#include "store/searcher.h"

enum { TRIES = 4, PARTS_BYTES_MAX = 32 << 20 };

struct filling {
	struct words_builder *builder;
	struct arena *arena;
	struct email_room room;
	struct mail_message message;
	struct body_reader *reader;
	struct search_walk walk;
};

static const struct {
	const char *name;
	enum words_stream column;
} columns[] = {
	{"subject", WORDS_SUBJECT}, {"from", WORDS_FROM}, {"to", WORDS_TO}, {"cc", WORDS_CC}, {"bcc", WORDS_BCC}};

/* The description is unpacked and the segments are held, so that the transaction can end. */
static int row_take(struct store *store, const struct email_row *row, void *context)
{
	struct filling *f = context;
	struct slice packed;
	int error = description_read(store, row->described, EMAIL_WHOLE, &f->room, &packed);

	if (!error)
		error = mail_unpack(packed, f->arena, &f->message);
	if (!error)
		error = body_reader_for_row(store, row, &f->reader);
	return error;
}

static void on_field(void *context, bool in_body, struct slice folded)
{
	struct filling *f = context;

	(void)words_builder_text(f->builder, in_body ? WORDS_BODY : WORDS_HEAD, folded, true);
}

static void on_text(void *context, struct buffer *folded, bool last)
{
	struct filling *f = context;
	size_t left = words_builder_text(f->builder, WORDS_BODY, buffer_slice(folded), last);

	buffer_consume(folded, folded->len - left);
}

/* As search_leaf_header() finds them: in what is kept of the header, or in the header. */
static void values_fill(struct filling *f)
{
	struct search_walk *walk = &f->walk;
	struct slice header = f->message.common;
	struct mail_field field;

	if (!mail_common_is_complete(&f->message)) {
		header = search_header_read(f->reader, &f->message.parts[0], &walk->header);
		walk->incomplete |= f->message.parts[0].header_bytes && !header.len;
	}
	while (mail_field_next(&header, &field)) {
		for (size_t i = 0; i < ARRAY_LEN(columns); i++)
			if (slice_equal_nocase(field.name, slice_of(columns[i].name)))
				words_builder_value(f->builder, columns[i].column,
					search_value_fold(field.value, &walk->value, &walk->folded));
		walk->incomplete |= buffer_error(&walk->value) || buffer_error(&walk->folded);
	}
}

static int message_fill(struct filling *f)
{
	const struct search_listener listener = {on_field, on_text, f};
	bool done = false;
	int error = 0;

	search_walk_start(&f->walk, &listener, &f->message, f->reader);
	values_fill(f);
	while (!error && !done)
		error = search_walk_step(&f->walk, &done);
	search_walk_stop(&f->walk);
	return error;
}

int search_fill(struct store *store, struct words_builder *builder, uint64_t email)
{
	struct filling f = {.builder = builder, .room = EMAIL_ROOM_INIT};
	bool readable;
	int error = arena_new(PARTS_BYTES_MAX, &f.arena);

	if (error)
		return error;
	search_walk_init(&f.walk);
	error = -EAGAIN;
	for (int i = 0; i < TRIES && error == -EAGAIN; i++) {
		arena_reset(f.arena);
		error = email_row_use(store, email, row_take, &f);
	}
	readable = !error && f.message.part_count;
	/* What cannot be read, or described, now is looked at by each search. */
	if (error == -ENOENT || error == -EAGAIN || error == -EBADMSG || error == -ENOBUFS)
		error = 0;
	words_builder_begin(builder, (uint32_t)email);
	if (readable)
		error = message_fill(&f);
	if (!error)
		error = words_builder_end(builder, readable && !f.walk.incomplete);
	search_walk_free(&f.walk);
	body_reader_free(&f.reader);
	arena_free(&f.arena);
	email_room_free(&f.room);
	return error;
}
