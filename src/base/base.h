/*
 * What every file of Penfold sees: attributes, checks that stay on in production, and the calls that do not compile.
 *
 * Errors: a function that can fail returns 0 or a negative errno value (-ENOENT, -ENOSPC, ...). The values that mean
 * something particular here:
 *   -EBADMSG    stored or received bytes are damaged or break their format
 *   -ENOBUFS    a bound (buffer, arena, queue, limit) is reached
 *   -EMSGSIZE   a message is larger than allowed
 *   -EDQUOT     the account is over its quota
 *   -ENOSPC     the disk is full: a temporary failure, nothing was changed
 *   -EACCES     wrong credentials or no right to do this
 *   -ESTALE     the thing was there and has been removed meanwhile
 */
#ifndef PENFOLD_BASE_BASE_H
#define PENFOLD_BASE_BASE_H

#include <errno.h>
#include <stddef.h>

#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, args) __attribute__((format(printf, text, args)))
#define UNUSED                  __attribute__((unused))
#define NORETURN                __attribute__((noreturn))

#define ARRAY_LEN(a)                        (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                           ((a) < (b) ? (a) : (b))
#define MAX(a, b)                           ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A programmer's error: prints where and aborts. Never for what comes from outside. */
NORETURN void check_failed(const char *what, const char *file, int line);
#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

#include "base/banned.h"

#endif
