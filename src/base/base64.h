/*
 * The inner loops of base64 (RFC 4648 §4): whole groups of three bytes or four digits, without padding and without line ends.
 * With vector instructions where the processor has them, which move four times the bytes of a table.
 */
#ifndef PENFOLD_BASE_BASE64_H
#define PENFOLD_BASE_BASE64_H

#include "base/slice.h"

enum { BASE64_SLACK = 16 };

/* Value of a digit, 0 to 63; 255: none. */
uint8_t base64_value(char digit);
/*
 * Decodes `digits`, a multiple of 4, to `to`, which has room for three quarters of that and BASE64_SLACK more, of which nothing is to be
 * kept. False: something else than a digit is among them.
 */
MUST_CHECK bool base64_decode(const char *text, size_t digits, char *to);
/* Encodes `bytes`, a multiple of 3, with BASE64_SLACK readable bytes behind them, to four thirds as many digits and BASE64_SLACK more. */
void base64_encode(const char *from, size_t bytes, char *to);
/* The last group, of one or two bytes, to four digits with their padding; no slack on either side. */
void base64_encode_last(const char *from, size_t bytes, char *to);

#endif
