/* What index_rows.c, index_emails.c and index_directory.c share. */
#ifndef PENFOLD_STORE_INDEX_ROWS_MORE_H
#define PENFOLD_STORE_INDEX_ROWS_MORE_H

#include "store/index_rows.h"

static inline struct index_rows *index_rows_of(struct rows *base)
{
	return CONTAINER_OF(base, struct index_rows, rows);
}

/* index_rows.c */
MUST_CHECK int index_mailbox_any(struct index_rows *rows, uint64_t id, struct mailbox_row **ret_row);
void index_account_forget(struct index_rows *rows); /* what is held of it, unwritten */

/* index_emails.c */
MUST_CHECK int index_email(struct rows *rows, const struct email_description *email, const struct folding *record);
MUST_CHECK int index_relocate(struct rows *rows, const struct email_description *email, const struct folding *record);
MUST_CHECK int index_purge(struct rows *rows, const struct op_purge *op);
MUST_CHECK int index_account_purge(struct rows *rows, uint64_t deleted_ms);
MUST_CHECK int index_mailbox_write(struct index_rows *rows, struct mailbox_row *row);

/* index_directory.c */
MUST_CHECK int index_identity(struct rows *rows, const struct op_account *identity);
MUST_CHECK int index_domain(struct rows *rows, struct slice domain, bool on);
MUST_CHECK int index_alias(struct rows *rows, const struct op_alias *op);
MUST_CHECK int index_next_account(struct rows *rows, uint64_t next);

#endif
