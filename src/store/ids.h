/*
 * Numbers of mailboxes, emails and threads: the account's number in the upper half, the account's counter in the lower. The
 * counter is part of the account's row and moves with every record, so a number is never given out twice.
 */
#ifndef PENFOLD_STORE_IDS_H
#define PENFOLD_STORE_IDS_H

#include "base/slice.h"

static inline uint64_t id_make(uint64_t account, uint64_t counter)
{
	return account << 32 | (counter & UINT32_MAX);
}
static inline uint64_t id_account(uint64_t id)
{
	return id >> 32;
}
static inline uint64_t id_counter(uint64_t id)
{
	return id & UINT32_MAX;
}

#endif
