/* What fuzz_prelogin_imap and fuzz_prelogin_pop3 share: a client and a core that say what the fuzzer wants. */
#ifndef PENFOLD_TESTS_FUZZ_PRELOGIN_H
#define PENFOLD_TESTS_FUZZ_PRELOGIN_H

#include "gate/prelogin.h"

int fuzz_prelogin(enum gate_protocol protocol, const uint8_t *data, size_t size);

#endif
