/*
 * The fold: what each operation of a change does to the rows. The same functions serve live changes, loading, the applier, recovery
 * and rebuilding, so that all of them agree. Pure but for what it does through `rows`.
 */
#ifndef PENFOLD_STORE_FOLD_H
#define PENFOLD_STORE_FOLD_H

#include "store/rows.h"

/*
 * Folds one record. Operations on things that are not there (their account was purged, say) do nothing. -EBADMSG: the record
 * is damaged; operations before the damage have been done.
 */
MUST_CHECK int fold_change(struct rows *rows, const struct folding *record);

#endif
