/*
 * Transcripts: tests/imap/transcripts/NAME.txt, one behaviour each. Read by people first.
 *
 *   # why                            a comment
 *   limit line_bytes_max 100         struct imap_limits, before the first line that speaks
 *   quota 1000                       of the account, in bytes
 *   pipelined a1 NOOP\r\n            what the gate had read behind client 1's login
 *   deliver INBOX From: ...\n\nHi    a message arrives, as LMTP brings it
 *   shutdown                         the server begins to stop
 *   C: a1 SELECT INBOX               client 1 sends a line; C1: is the same, C2: is another device of the same account
 *   C| half a line\r\n               the same without a line end; \r \n \0 \\ stand for bytes
 *   C| x*1000                        (a last "*N" repeats the text N times)
 *   S: * 3 EXISTS                    the next line to client 1 must be this
 *   S? * 3 EXISTS                    one of the next lines must be this, in any order with other S? lines in a row
 *   S~ a1 OK <...>                   lines are passed over until this one comes
 *   S-                               nothing more comes to client 1 just now
 *   S.                               the connection is closed
 *
 * In S lines `<...>` stands for anything; `<name>` (lower case, digits, '-') for one word, the same wherever the name comes again, in C lines too.
 * The answer to the login is read and dropped. At the end of the text nothing may be left
 * unread or untold, and no command in flight.
 */
#ifndef PENFOLD_TESTS_IMAP_SCRIPT_H
#define PENFOLD_TESTS_IMAP_SCRIPT_H

#include "rig.h"

enum { SCRIPT_CLIENTS_MAX = 9 };
struct script_client {
	int fd; /* -1: not connected */
	struct buffer input;
	bool closed;
};

/*
 * Plays one transcript on a new account; a mismatch fails the running cmocka test and says which line. `clients` has room for
 * SCRIPT_CLIENTS_MAX + 1; script_end() closes them after success and failure alike, and waits until the sessions are gone.
 */
void script_play(struct rig *rig, struct slice text, struct script_client *clients);
void script_end(struct rig *rig, struct script_client *clients);

#endif
