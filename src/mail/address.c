#include "mail/internal.h"

enum { SCRATCH_MAX = 1 << 20 };

struct reader_state {
	struct lexer lexer;
	struct address_scratch *scratch;
	void (*each)(void *context, const struct address *address);
	void *context;
	size_t count;
};

void address_scratch_init(struct address_scratch *scratch)
{
	scratch->name = BUFFER_INIT(SCRATCH_MAX);
	scratch->route = BUFFER_INIT(SCRATCH_MAX);
	scratch->local = BUFFER_INIT(SCRATCH_MAX);
	scratch->domain = BUFFER_INIT(SCRATCH_MAX);
	scratch->comment = BUFFER_INIT(SCRATCH_MAX);
}

void address_scratch_free(struct address_scratch *scratch)
{
	buffer_free(&scratch->name);
	buffer_free(&scratch->route);
	buffer_free(&scratch->local);
	buffer_free(&scratch->domain);
	buffer_free(&scratch->comment);
}

static struct slice present(const struct buffer *b)
{
	return slice_make(b->at ? b->at : "", b->len);
}

static void emit(struct reader_state *state, const struct address *address)
{
	state->count++;
	state->each(state->context, address);
}

static bool at_word(const struct lexer *lexer)
{
	return lexer->at < lexer->end && (byte_is_atext(*lexer->at) || *lexer->at == '"');
}

/*
 * phrase, with the dots of obs-phrase (RFC 5322 §4.1): words joined by one space. How many words is returned; false in
 * *ret_sound when a quoted string or comment has no end.
 */
static size_t phrase_read(struct lexer *lexer, struct buffer *out, bool *ret_sound)
{
	size_t words = 0;

	*ret_sound = true;
	while (*ret_sound && (at_word(lexer) || (words && lexer_is(lexer, '.')))) {
		if (words++)
			buffer_put_byte(out, ' ');
		if (lexer_is(lexer, '"'))
			*ret_sound = lexer_quoted(lexer, out);
		else
			buffer_put(out, lexer_atom_dots(lexer));
		*ret_sound = lexer_space(lexer) && *ret_sound;
	}
	return words;
}

/* Words and dots with white space allowed around the dots (RFC 5322 §4.4); quotes are taken off. */
static bool local_read(struct lexer *lexer, struct buffer *out)
{
	buffer_reset(out);
	for (;;) {
		if (lexer_is(lexer, '"')) {
			if (!lexer_quoted(lexer, out))
				return false;
		} else if (at_word(lexer)) {
			buffer_put(out, lexer_atom(lexer));
		} else if (!lexer_is(lexer, '.')) {
			return out->len > 0;
		}
		if (!lexer_space(lexer))
			return false;
		if (!lexer_is(lexer, '.'))
			return true;
		buffer_put_byte(out, '.');
		lexer->at++;
		if (!lexer_space(lexer))
			return false;
	}
}

static bool domain_literal_read(struct lexer *lexer, struct buffer *out)
{
	for (; lexer->at < lexer->end; lexer->at++) {
		char c = *lexer->at;

		if (c != '\r' && c != '\n')
			buffer_put_byte(out, c);
		if (c == ']') {
			lexer->at++;
			return lexer_space(lexer);
		}
		if (c == '\\' && lexer->end - lexer->at > 1)
			buffer_put_byte(out, *++lexer->at);
	}
	return false;
}

/* At '@'. */
static bool domain_read(struct lexer *lexer, struct buffer *out)
{
	buffer_reset(out);
	lexer->at++;
	if (!lexer_space(lexer))
		return false;
	if (lexer_is(lexer, '['))
		return domain_literal_read(lexer, out);
	for (;;) {
		struct slice atom = lexer_atom(lexer);

		buffer_put(out, atom);
		if (atom.len == 0 || !lexer_space(lexer))
			return false;
		if (!lexer_is(lexer, '.'))
			return true;
		buffer_put_byte(out, '.');
		lexer->at++;
		if (!lexer_space(lexer))
			return false;
	}
}

/* A source route: "@one,@two:" (RFC 5322 §4.4). False when there is no colon at its end. */
static bool route_read(struct lexer *lexer, struct buffer *route, struct buffer *domain)
{
	buffer_reset(route);
	while (lexer_is(lexer, '@')) {
		bool sound = domain_read(lexer, domain);

		if (route->len)
			buffer_put_byte(route, ',');
		buffer_put_byte(route, '@');
		buffer_put(route, buffer_slice(domain));
		if (!sound)
			break;
		while (lexer_is(lexer, ',')) {
			lexer->at++;
			(void)lexer_space(lexer);
		}
	}
	while (lexer->at < lexer->end && *lexer->at != ':' && *lexer->at != '>' && *lexer->at != ',')
		lexer->at++;
	if (!lexer_is(lexer, ':'))
		return false;
	lexer->at++;
	return lexer_space(lexer);
}

/* At '<'. Gives what there is; false when the syntax is broken. */
static bool angle_read(struct reader_state *state, struct address *address)
{
	struct address_scratch *scratch = state->scratch;
	struct lexer *lexer = &state->lexer;

	lexer->at++;
	if (!lexer_space(lexer))
		return false;
	if (lexer_is(lexer, '@')) {
		if (!route_read(lexer, &scratch->route, &scratch->domain))
			return false;
		address->route = present(&scratch->route);
	}
	if (!lexer_is(lexer, '>')) {
		bool sound = local_read(lexer, &scratch->local);

		address->local = present(&scratch->local);
		if (sound && lexer_is(lexer, '@')) {
			sound = domain_read(lexer, &scratch->domain);
			address->domain = present(&scratch->domain);
		}
		if (!sound)
			return false;
	}
	if (!lexer_is(lexer, '>'))
		return false;
	lexer->at++;
	return lexer_space(lexer);
}

/* An address without angle brackets, from where its first word begins; a comment after it is its name. */
static void plain_read(struct reader_state *state, size_t words, struct address *address)
{
	struct address_scratch *scratch = state->scratch;
	struct lexer *lexer = &state->lexer;
	struct lexer start = *lexer;
	bool sound;

	buffer_reset(&scratch->comment);
	sound = local_read(lexer, &scratch->local);
	if (sound && lexer_is(lexer, '@')) {
		address->local = present(&scratch->local);
		(void)domain_read(lexer, &scratch->domain);
		address->domain = present(&scratch->domain);
		if (scratch->comment.len)
			address->name = present(&scratch->comment);
		return;
	}
	/* No "@": one word is taken for a mailbox, more are a name. */
	if (words == 1 && sound && *start.at != '"') {
		address->local = present(&scratch->local);
		if (scratch->comment.len)
			address->name = present(&scratch->comment);
		return;
	}
	*lexer = start;
	buffer_reset(&scratch->name);
	(void)phrase_read(lexer, &scratch->name, &sound);
	address->name = present(&scratch->name);
}

static void mailbox_read(struct reader_state *state, bool in_group);

static void group_read(struct reader_state *state)
{
	struct lexer *lexer = &state->lexer;
	struct address start = {.kind = ADDRESS_GROUP_START, .local = present(&state->scratch->name)};
	struct address end = {.kind = ADDRESS_GROUP_END};

	emit(state, &start);
	lexer->at++;
	(void)lexer_space(lexer);
	while (lexer->at < lexer->end && *lexer->at != ';' && state->count < ADDRESSES_MAX) {
		if (*lexer->at == ',')
			lexer->at++;
		else
			mailbox_read(state, true);
		(void)lexer_space(lexer);
	}
	if (lexer_is(lexer, ';'))
		lexer->at++;
	emit(state, &end);
}

/* One mailbox, or outside a group a group; always moves on. */
static void mailbox_read(struct reader_state *state, bool in_group)
{
	struct address_scratch *scratch = state->scratch;
	struct lexer *lexer = &state->lexer;
	struct lexer start = *lexer;
	struct address address = {.kind = ADDRESS_MAILBOX};
	bool sound;
	size_t words;

	buffer_reset(&scratch->name);
	words = phrase_read(lexer, &scratch->name, &sound);
	if (sound && words && !in_group && lexer_is(lexer, ':')) {
		group_read(state);
		return;
	}
	if (sound && lexer_is(lexer, '<')) {
		if (words)
			address.name = present(&scratch->name);
		if (!angle_read(state, &address))
			address.domain = SLICE("SYNTAX_ERROR");
		emit(state, &address);
	} else {
		*lexer = start;
		plain_read(state, words, &address);
		if (address.name.len || address.local.len || address.domain.len)
			emit(state, &address);
	}
	/* What does not belong to an address is passed over, to the next separator. */
	while (lexer->at < lexer->end && *lexer->at != ',' && !(in_group && *lexer->at == ';'))
		lexer->at++;
}

void addresses_read(struct slice value, struct address_scratch *scratch,
	void (*each)(void *context, const struct address *address), void *context)
{
	struct reader_state state = {lexer_make(value), scratch, each, context, 0};
	struct lexer *lexer = &state.lexer;

	lexer->comment = &scratch->comment;
	while (lexer_space(lexer) && lexer->at < lexer->end && state.count < ADDRESSES_MAX) {
		if (*lexer->at == ',')
			lexer->at++;
		else
			mailbox_read(&state, false);
	}
}

struct text_state {
	void (*each)(void *context, const struct mail_address *address);
	void *context;
	struct buffer name;
	int error;
};

static void each_text(void *context, const struct address *address)
{
	struct text_state *state = context;
	struct mail_address out = {.local = address->local, .domain = address->domain};

	if (address->kind != ADDRESS_MAILBOX)
		return;
	buffer_reset(&state->name);
	mail_header_text(address->name, &state->name);
	if (state->name.error) {
		state->error = state->name.error;
		return;
	}
	out.name = buffer_slice(&state->name);
	state->each(state->context, &out);
}

int mail_addresses(struct slice value, void (*each)(void *context, const struct mail_address *address), void *context)
{
	struct text_state state = {each, context, BUFFER_INIT(SCRATCH_MAX), 0};
	struct address_scratch scratch;

	address_scratch_init(&scratch);
	addresses_read(value, &scratch, each_text, &state);
	address_scratch_free(&scratch);
	buffer_free(&state.name);
	return state.error == -ENOBUFS ? 0 : state.error;
}
