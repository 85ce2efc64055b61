/* A certificate that nobody signed but itself, for the demo and for tests. */
#ifndef PENFOLD_GATE_SELFSIGN_H
#define PENFOLD_GATE_SELFSIGN_H

#include "base/buffer.h"

/* ECDSA P-256, for `hostname` ("*." may stand in front), localhost, 127.0.0.1 and ::1, valid for ten years. PEM. */
MUST_CHECK int gate_selfsign(struct slice hostname, struct buffer *chain, struct buffer *key);

#endif
