/* What stands in for a server when the limits of machine and generator are measured. */
#ifndef PENFOLD_BENCH_CEILING_H
#define PENFOLD_BENCH_CEILING_H

#include "base/base.h"

/*
 * Listens on a free port of loopback, prints it as {"port":N}, and until the standard input ends: accepts, shakes hands where a
 * certificate is given, says "* OK", and sends back what comes. As many threads as processors.
 */
int ceiling_serve(const char *certificate, const char *key);

/* Prints {"memcpy":GB/s,"loopback":GB/s}: copying 23 KB pieces out of 256 MB, and the same through a connection. */
int ceiling_bytes(void);

#endif
