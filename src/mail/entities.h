#ifndef PENFOLD_MAIL_ENTITIES_H
#define PENFOLD_MAIL_ENTITIES_H

#include "base/slice.h"

struct entity {
	char name[12];
	uint32_t code_point;
};
uint32_t entity_code_point(struct slice name); /* without "&" and ";"; 0 when there is no such name */

#endif
