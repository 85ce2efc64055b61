/* What the tests of the mail module share: messages written with plain line feeds, and comparing slices. */
#ifndef PENFOLD_TESTS_MAIL_MAIL_TEST_H
#define PENFOLD_TESTS_MAIL_MAIL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mail/mail.h"

struct parsed {
	struct buffer canonical;
	struct mail_parser *parser;
	const struct mail_message *message;
};

/* Fed in pieces of `piece` bytes. */
void parsed_open(struct parsed *parsed, struct slice text, const struct mail_limits *limits, size_t piece);
void parsed_close(struct parsed *parsed);
void parse(struct parsed *parsed, const char *text);
struct slice part_body(const struct parsed *parsed, uint32_t index);
struct slice part_header(const struct parsed *parsed, uint32_t index);
void expect_slice(struct slice got, const char *wanted);

#endif
