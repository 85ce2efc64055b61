#include "imap/list.h"

enum { FIRST_ROOM = 64, MATCH_COST_MAX = 4 << 20 /* bytes compared in a turn, at the worst */ };

/* Hierarchical order: as bytes, but '/' before everything else, so that children follow their parent. */
static int name_compare(const void *left, const void *right)
{
	struct slice a = ((const struct list_name *)left)->name, b = ((const struct list_name *)right)->name;

	for (size_t i = 0; i < a.len && i < b.len; i++) {
		unsigned char x = (unsigned char)a.at[i], y = (unsigned char)b.at[i];

		if (x != y)
			return x == '/' ? -1 : y == '/' ? 1 : x < y ? -1 : 1;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

static bool is_below(struct slice name, struct slice parent)
{
	return name.len > parent.len && name.at[parent.len] == '/' && slice_starts(name, parent);
}

static int add(struct list_names *names, const struct list_name *name)
{
	if (names->count == names->room) {
		size_t room = names->room ? names->room * 2 : FIRST_ROOM;
		struct list_name *grown = reallocarray(names->names, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		names->names = grown;
		names->room = room;
	}
	names->names[names->count++] = *name;
	return 0;
}

static int add_copy(struct list_names *names, struct slice text, struct list_name name)
{
	int error = arena_copy(names->arena, text, &name.name);

	return error < 0 ? error : add(names, &name);
}

static int add_mailboxes(struct account *account, struct list_names *names)
{
	for (struct mailbox *m = mailbox_next(account, NULL); m; m = mailbox_next(account, m)) {
		int error = add_copy(names, m->name,
			(struct list_name){.mailbox = m->id, .special_use = m->special_use, .flags = NAME_EXISTS});

		if (error < 0)
			return error;
	}
	return 0;
}

static int add_subscriptions(struct account *account, struct list_names *names)
{
	size_t count;
	const struct slice *subscribed = account_subscriptions(account, &count);

	for (size_t i = 0; i < count; i++) {
		int error = add_copy(names, subscribed[i], (struct list_name){.flags = NAME_SUBSCRIBED});

		if (error < 0)
			return error;
	}
	return 0;
}

/* The parents of every name; most are there already and fall away in merge(). Their text is the beginning of the child's. */
static int add_parents(struct list_names *names)
{
	size_t count = names->count;

	for (size_t i = 0; i < count; i++) {
		struct slice name = names->names[i].name;

		for (size_t at = 1; at < name.len; at++) {
			struct list_name parent = {.name = slice_first(name, at)};

			/* The name before this one in order is the parent, a sibling or below one: its parents are in. */
			if (name.at[at] != '/' || (i && is_below(names->names[i - 1].name, parent.name)) ||
				(i && slice_equal(names->names[i - 1].name, parent.name)))
				continue;
			if (add(names, &parent) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static void sort(struct list_names *names)
{
	if (names->count)
		qsort(names->names, names->count, sizeof(*names->names), name_compare);
}

static void merge(struct list_names *names)
{
	size_t kept = 0;

	for (size_t i = 0; i < names->count; i++) {
		struct list_name *name = &names->names[i], *last = kept ? &names->names[kept - 1] : NULL;

		if (!last || !slice_equal(last->name, name->name)) {
			names->names[kept++] = *name;
			continue;
		}
		last->flags |= name->flags;
		last->mailbox |= name->mailbox;
		last->special_use |= name->special_use;
	}
	names->count = kept;
}

bool list_name_is_selected(const struct list_name *name, const struct imap_list *args)
{
	if (args->select_subscribed && !(name->flags & NAME_SUBSCRIBED))
		return false;
	if (args->select_special_use && !name->special_use)
		return false;
	/* Without SUBSCRIBED only mailboxes are selected, and the parents that show where they are. */
	return args->select_subscribed || name->flags & (NAME_EXISTS | NAME_HAS_CHILDREN);
}

static unsigned tells_always(const struct list_name *name, const struct imap_list *args)
{
	unsigned told = 0;

	if (name->flags & NAME_EXISTS)
		told |= NAME_HAS_CHILDREN;
	if (name->flags & NAME_SUBSCRIBED)
		told |= NAME_SUBSCRIBED_BELOW;
	if (name->flags & (NAME_EXISTS | NAME_SUBSCRIBED) && list_name_is_selected(name, args))
		told |= NAME_SELECTED_BELOW;
	return told;
}

static unsigned tells_matched(const struct list_name *name, const struct imap_list *args)
{
	return !(name->flags & NAME_MATCHED) && tells_always(name, args) & NAME_SELECTED_BELOW ? NAME_UNMATCHED_BELOW
											       : 0;
}

/* What names tell of themselves to all their ancestors, which are the last few on the way down. */
static void tell_ancestors(struct list_names *names, const struct imap_list *args,
	unsigned (*tells)(const struct list_name *name, const struct imap_list *args))
{
	size_t ancestors[STORE_MAILBOX_NAME_MAX / 2], depth = 0;

	for (size_t i = 0; i < names->count; i++) {
		struct list_name *name = &names->names[i];
		unsigned told = tells(name, args);

		while (depth && !is_below(name->name, names->names[ancestors[depth - 1]].name))
			depth--;
		for (size_t j = 0; j < depth; j++)
			names->names[ancestors[j]].flags |= told;
		if (depth < ARRAY_LEN(ancestors))
			ancestors[depth++] = i;
	}
}

bool list_names_match(struct list_names *names, const struct imap_list *args, size_t *at)
{
	uint64_t cost = 0;

	while (*at < names->count && cost < MATCH_COST_MAX) {
		struct list_name *name = &names->names[(*at)++];

		for (size_t i = 0; i < args->pattern_count && !(name->flags & NAME_MATCHED); i++) {
			cost += (args->patterns[i].len + 1) * (name->name.len + 1);
			if (list_match(args->patterns[i], name->name))
				name->flags |= NAME_MATCHED;
		}
	}
	if (*at < names->count)
		return false;
	tell_ancestors(names, args, tells_matched);
	return true;
}

int list_names_gather(struct account *account, const struct imap_list *args, struct list_names *names)
{
	int error = add_mailboxes(account, names);

	if (!error && (args->select_subscribed || args->return_subscribed))
		error = add_subscriptions(account, names);
	if (error < 0)
		return error;
	sort(names);
	merge(names);
	error = add_parents(names);
	if (error < 0)
		return error;
	sort(names);
	merge(names);
	tell_ancestors(names, args, tells_always);
	return 0;
}

void list_names_free(struct list_names *names)
{
	free(names->names);
	names->names = NULL;
	names->count = names->room = 0;
}
