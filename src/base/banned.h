/*
 * Calls that have no bound, keep hidden state or hide an error: they do not compile in Penfold.
 * Use slices and bounded buffers (slice.h, buffer.h) instead. A poisoned name may not be mentioned at all afterwards,
 * so the system headers that declare them are pulled in first. tools/tidy bans a few more by text.
 */
#ifndef PENFOLD_BASE_BANNED_H
#define PENFOLD_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __GNUC__
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok strtok_r
#pragma GCC poison atoi atol atoll asctime ctime gmtime localtime rand srand tmpnam mktemp setlocale
#endif

#endif
