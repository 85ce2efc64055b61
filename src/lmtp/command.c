/* One command line, run. */
#include "lmtp/protocol.h"

static void run_lhlo(struct lmtp_protocol *p, const struct lmtp_command *command, struct buffer *out)
{
	/* It also resets, like EHLO (RFC 5321 §4.1.4). */
	lmtp_transaction_reset(p);
	buffer_reset(&p->client);
	buffer_put(&p->client, command->name);
	if (buffer_error(&p->client)) {
		/* To a name that is not kept MAIL would say 503, which returns mail to its senders. */
		lmtp_answer(out, lmtp_error_answer(-ENOMEM));
		return;
	}
	buffer_printf(out, "250-%.*s\r\n", SLICE_ARG(p->hostname));
	buffer_put_text(out, "250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n"
			     "250-ENHANCEDSTATUSCODES\r\n");
	buffer_printf(out, "250 SIZE %llu\r\n", (unsigned long long)p->limits->message_bytes_max);
}

static void run_helo(struct lmtp_protocol *p, const struct lmtp_command *command UNUSED, struct buffer *out)
{
	p->bad++;
	lmtp_answer(out, "500 5.5.1 This is LMTP: say LHLO");
}

/* Not counted as a mistake: a client that pipelines sends many commands behind one that was refused. */
static void out_of_order(const char *text, struct buffer *out)
{
	buffer_printf(out, "503 5.5.1 %s\r\n", text);
}

static void run_mail(struct lmtp_protocol *p, const struct lmtp_command *command, struct buffer *out)
{
	if (p->client.len == 0)
		out_of_order("Say LHLO first", out);
	else if (p->has_sender)
		out_of_order("A transaction is open already", out);
	else if (command->has_size && command->size > p->limits->message_bytes_max)
		lmtp_answer(out, lmtp_error_answer(-EMSGSIZE));
	else if (lmtp_envelope_sender(&p->envelope, command->path.text, command->smtputf8))
		lmtp_answer(out, lmtp_error_answer(-ENOMEM));
	else {
		p->has_sender = true;
		lmtp_answer(out, "250 2.1.0 Sender accepted");
	}
}

static int add_recipient(struct lmtp_protocol *p, const struct lmtp_path *path)
{
	struct buffer address = BUFFER_INIT(LMTP_PATH_MAX + LMTP_NAME_MAX);
	int error;

	lmtp_path_address(path, p->hostname, &address);
	error = buffer_error(&address);
	if (error)
		goto out;
	error = lmtp_envelope_recipient(&p->envelope, path->text);
	if (error)
		goto out;
	error = p->backend->resolve(p->backend->context, buffer_slice(&address), &p->envelope);
	if (error)
		lmtp_envelope_drop(&p->envelope);
out:
	buffer_free(&address);
	return error;
}

static void run_rcpt(struct lmtp_protocol *p, const struct lmtp_command *command, struct buffer *out)
{
	int error;

	if (!p->has_sender || p->chunking) {
		out_of_order(p->chunking ? "The message has begun" : "Say MAIL first", out);
		return;
	}
	if (!command->path.is_ascii && !p->envelope.smtputf8) {
		/* RFC 6531 §3.5 */
		lmtp_answer(out, "553 5.6.7 The transaction needs SMTPUTF8 for this address");
		return;
	}
	error = p->envelope.recipient_count < p->limits->recipients_max ? add_recipient(p, &command->path) : -ENOBUFS;
	if (error)
		p->backend->answered(p->backend->context, command->path.text, error);
	lmtp_answer(out, error ? lmtp_error_answer(error) : "250 2.1.5 Recipient accepted");
}

static void run_data(struct lmtp_protocol *p, const struct lmtp_command *command UNUSED, struct buffer *out)
{
	if (!p->has_sender || p->chunking) {
		out_of_order(p->chunking ? "DATA does not follow BDAT" : "Say MAIL first", out);
		return;
	}
	if (p->envelope.recipient_count == 0) {
		/* RFC 2033 §4.2 */
		lmtp_answer(out, "503 5.5.1 No recipient was accepted");
		return;
	}
	lmtp_message_begin(p);
	if (p->message_error) {
		lmtp_answer(out, lmtp_error_answer(p->message_error));
		lmtp_transaction_reset(p);
		return;
	}
	p->phase = LMTP_MESSAGE;
	lmtp_answer(out, "354 Start mail input; end with <CRLF>.<CRLF>");
}

static void run_rset(struct lmtp_protocol *p, const struct lmtp_command *command UNUSED, struct buffer *out)
{
	lmtp_transaction_reset(p);
	lmtp_answer(out, "250 2.0.0 Reset");
}

static void run_noop(struct lmtp_protocol *p UNUSED, const struct lmtp_command *command UNUSED, struct buffer *out)
{
	lmtp_answer(out, "250 2.0.0 Here");
}

static void run_vrfy(struct lmtp_protocol *p UNUSED, const struct lmtp_command *command UNUSED, struct buffer *out)
{
	/* RFC 5321 §7.3 */
	lmtp_answer(out, "252 2.5.0 RCPT will tell");
}

static void run_expn(struct lmtp_protocol *p, const struct lmtp_command *command UNUSED, struct buffer *out)
{
	p->bad++;
	lmtp_answer(out, "502 5.5.1 Not implemented");
}

static void run_help(struct lmtp_protocol *p UNUSED, const struct lmtp_command *command UNUSED, struct buffer *out)
{
	lmtp_answer(out, "214 2.0.0 LHLO MAIL RCPT DATA BDAT RSET VRFY NOOP HELP QUIT");
}

static void run_quit(struct lmtp_protocol *p, const struct lmtp_command *command UNUSED, struct buffer *out)
{
	lmtp_transaction_reset(p);
	p->phase = LMTP_CLOSED;
	buffer_printf(out, "221 2.0.0 %.*s closes\r\n", SLICE_ARG(p->hostname));
}

static void (*const runs[])(struct lmtp_protocol *p, const struct lmtp_command *command, struct buffer *out) = {
	[LMTP_LHLO] = run_lhlo,
	[LMTP_HELO] = run_helo,
	[LMTP_MAIL] = run_mail,
	[LMTP_RCPT] = run_rcpt,
	[LMTP_DATA] = run_data,
	[LMTP_BDAT] = lmtp_chunk_begin,
	[LMTP_RSET] = run_rset,
	[LMTP_NOOP] = run_noop,
	[LMTP_VRFY] = run_vrfy,
	[LMTP_EXPN] = run_expn,
	[LMTP_HELP] = run_help,
	[LMTP_QUIT] = run_quit,
};

static const char *const syntax_answers[] = {
	[LMTP_SYNTAX_VERB] = "500 5.5.1 Command unknown",
	[LMTP_SYNTAX_ARGUMENT] = "501 5.5.4 Argument missing or wrong",
	[LMTP_SYNTAX_SENDER] = "501 5.1.7 Sender must be <address> or <>",
	[LMTP_SYNTAX_RECIPIENT] = "501 5.1.3 Recipient must be <address>",
	[LMTP_SYNTAX_PARAMETER] = "501 5.5.4 Parameter wrong",
	[LMTP_SYNTAX_UNKNOWN] = "555 5.5.4 Parameter unknown",
	[LMTP_SYNTAX_NEEDS_UTF8] = "553 5.6.7 The sender's address needs SMTPUTF8",
	[LMTP_SYNTAX_CHUNK] = "501 5.5.4 Chunk size wrong",
};

void lmtp_command_run(struct lmtp_protocol *p, struct slice line, struct buffer *out)
{
	struct lmtp_command command;
	enum lmtp_syntax syntax = lmtp_command_parse(line, &command);

	if (syntax == LMTP_SYNTAX_OK) {
		runs[command.verb](p, &command, out);
		return;
	}
	/* An odd address among many is no sign of a client that does not speak LMTP. */
	if (syntax == LMTP_SYNTAX_VERB || syntax == LMTP_SYNTAX_ARGUMENT)
		p->bad++;
	lmtp_answer(out, syntax_answers[syntax]);
	/* What follows is a message of unknown length: to take it for commands would be to obey whoever wrote the message. */
	if (syntax == LMTP_SYNTAX_CHUNK)
		p->phase = LMTP_CLOSED;
}
