/*
 * Pre-login state machines as transcripts, one line each:
 *
 *   C: what the client sends (CRLF is added)      S: what the server answers
 *   < what core says: "ok", "ok FINAL", "challenge TEXT", "wrong", "unavailable", "forbidden", "throttled"
 *   > what is decided: "start MECHANISM [BYTES]", "start MECHANISM" (no initial response), "step [BYTES]", "cancel", "starttls",
 *     "handover TAG [PIPELINED]", "close"; a NUL byte is written as ^, CRLF as |
 *
 * Each transcript runs with the client's lines in one piece, and byte by byte.
 */
#ifndef PENFOLD_TESTS_GATE_TRANSCRIPT_H
#define PENFOLD_TESTS_GATE_TRANSCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gate/prelogin.h"

extern const struct prelogin_transport transport_open, transport_loopback, transport_tls;

void run_transcript(enum gate_protocol protocol, const struct prelogin_transport *transport, const char *const *lines,
	size_t count);
#define TRANSCRIPT(protocol, transport, ...)                                       \
	run_transcript(protocol, &(transport), (const char *const[]){__VA_ARGS__}, \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

#endif
