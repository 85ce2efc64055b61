/*
 * Intrusive lists: the caller's struct holds the node (CONTAINER_OF() gives the struct back). A head is a pointer that starts as NULL.
 * Adding and removing never allocate and take constant time; a node is in one list at a time.
 */
#ifndef PENFOLD_BASE_LIST_H
#define PENFOLD_BASE_LIST_H

#include "base/base.h"

struct list_node {
	struct list_node *next;
	struct list_node **place; /* what points here: the head or the node before */
};

void list_add(struct list_node **head, struct list_node *node); /* in front */
void list_remove(struct list_node *node);                       /* NULL in both fields afterwards; harmless twice */

#endif
