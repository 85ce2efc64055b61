#include "imap/list.h"

/* Where a wildcard was met: the pattern behind it, and how much of the name it takes so far. */
struct retry {
	bool is_set;
	size_t pattern, name;
};

/*
 * Going back to the last wildcard only is enough: whatever an earlier one could take more, the later one can take as well, a "%" within its level
 * of hierarchy, and a "*" everywhere.
 */
static bool back(struct slice name, struct retry *star, struct retry *percent, size_t *p, size_t *n)
{
	if (percent->is_set && percent->name < name.len && name.at[percent->name] != '/') {
		*p = percent->pattern;
		*n = ++percent->name;
		return true;
	}
	percent->is_set = false;
	if (!star->is_set || star->name >= name.len)
		return false;
	*p = star->pattern;
	*n = ++star->name;
	return true;
}

bool list_match(struct slice pattern, struct slice name)
{
	struct retry star = {0}, percent = {0};
	size_t p = 0, n = 0;

	for (;;) {
		if (p < pattern.len && pattern.at[p] == '*') {
			star = (struct retry){true, ++p, n};
			percent.is_set = false;
		} else if (p < pattern.len && pattern.at[p] == '%') {
			percent = (struct retry){true, ++p, n};
		} else if (p < pattern.len && n < name.len && pattern.at[p] == name.at[n]) {
			p++;
			n++;
		} else if (p == pattern.len && n == name.len) {
			return true;
		} else if (!back(name, &star, &percent, &p, &n)) {
			return false;
		}
	}
}
