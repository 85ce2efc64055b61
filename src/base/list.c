#include "base/list.h"

void list_add(struct list_node **head, struct list_node *node)
{
	node->next = *head;
	node->place = head;
	if (node->next)
		node->next->place = &node->next;
	*head = node;
}

void list_remove(struct list_node *node)
{
	if (!node->place)
		return;
	*node->place = node->next;
	if (node->next)
		node->next->place = node->place;
	node->next = NULL;
	node->place = NULL;
}
