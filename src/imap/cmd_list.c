#include "imap/list.h"

struct listing {
	const struct imap_list *args;
	struct list_names names;
	size_t matched, written;
	bool all_matched;
};

static const struct {
	enum special_use use;
	const char *name;
} uses[] = {
	{SPECIAL_ALL, "\\All"},
	{SPECIAL_ARCHIVE, "\\Archive"},
	{SPECIAL_DRAFTS, "\\Drafts"},
	{SPECIAL_FLAGGED, "\\Flagged"},
	{SPECIAL_JUNK, "\\Junk"},
	{SPECIAL_SENT, "\\Sent"},
	{SPECIAL_TRASH, "\\Trash"},
	{SPECIAL_IMPORTANT, "\\Important"},
};

static void put_attribute(struct buffer *out, const char *name, const char **separator)
{
	buffer_printf(out, "%s%s", *separator, name);
	*separator = " ";
}

static void put_special_use(struct buffer *out, unsigned special_use, const char **separator)
{
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		if (special_use & uses[i].use)
			put_attribute(out, uses[i].name, separator);
	}
}

void put_list_mailbox(struct imap_session *s, const struct mailbox *mailbox, struct slice old_name)
{
	struct mailbox *here = mailbox_by_id(s->account, mailbox->id);
	struct mailbox *next = here ? mailbox_next(s->account, here) : NULL;
	bool has_child = next && slice_starts(next->name, mailbox->name) && next->name.len > mailbox->name.len &&
			 next->name.at[mailbox->name.len] == '/'; /* children follow in the order of names */
	struct buffer *out = session_out(s);
	const char *separator = "";

	buffer_put_text(out, "* LIST (");
	if (account_is_subscribed(s->account, mailbox->name))
		put_attribute(out, "\\Subscribed", &separator);
	put_attribute(out, has_child ? "\\HasChildren" : "\\HasNoChildren", &separator);
	put_special_use(out, mailbox->special_use, &separator);
	buffer_put_text(out, ") \"/\" ");
	put_mailbox(s, mailbox->name);
	if (old_name.len) {
		buffer_put_text(out, " (\"OLDNAME\" (");
		put_mailbox(s, old_name);
		buffer_put_text(out, "))");
	}
	buffer_put_text(out, "\r\n");
}

static void put_attributes(struct imap_session *s, const struct imap_list *args, const struct list_name *name)
{
	struct buffer *out = session_out(s);
	const char *separator = "";

	if (!(name->flags & NAME_EXISTS)) {
		/* \NonExistent says all (RFC 9051 §7.3.1), but clients of the basic syntax may only know \Noselect. */
		if (!args->extended && !(s->enabled & ENABLED_REV2))
			put_attribute(out, "\\Noselect", &separator);
		put_attribute(out, "\\NonExistent", &separator);
	}
	if (args->return_subscribed && name->flags & NAME_SUBSCRIBED)
		put_attribute(out, "\\Subscribed", &separator);
	put_attribute(out, name->flags & NAME_HAS_CHILDREN ? "\\HasChildren" : "\\HasNoChildren", &separator);
	put_special_use(out, name->special_use, &separator);
}

/* RFC 9051 §6.3.9.6 */
static void put_childinfo(struct buffer *out, const struct imap_list *args)
{
	const char *separator = "";

	buffer_put_text(out, " (\"CHILDINFO\" (");
	if (args->select_subscribed)
		put_attribute(out, "\"SUBSCRIBED\"", &separator);
	if (args->select_special_use)
		put_attribute(out, "\"SPECIAL-USE\"", &separator);
	buffer_put_text(out, "))");
}

static void list_one(struct imap_session *s, const struct imap_list *args, const struct list_name *name)
{
	struct buffer *out = session_out(s);
	struct mailbox *mailbox;

	if (!list_name_is_selected(name, args) && !(args->recursive_match && name->flags & NAME_UNMATCHED_BELOW))
		return;
	buffer_put_text(out, "* LIST (");
	put_attributes(s, args, name);
	buffer_put_text(out, ") \"/\" ");
	put_mailbox(s, name->name);
	if (args->recursive_match && name->flags & NAME_SELECTED_BELOW)
		put_childinfo(out, args);
	buffer_put_text(out, "\r\n");
	mailbox = args->status_items && name->mailbox ? mailbox_by_id(s->account, name->mailbox) : NULL;
	if (mailbox && !mailbox->deleted)
		put_status(s, mailbox, args->status_items);
}

/* RFC 3501 §6.3.9: a name with something subscribed below it stands for that, where "%" does not reach it. */
static void lsub_one(struct imap_session *s, const struct imap_list *args, const struct list_name *name)
{
	bool subscribed = name->flags & NAME_SUBSCRIBED;

	if (!subscribed &&
		!(name->flags & NAME_SUBSCRIBED_BELOW && slice_find_byte(args->patterns[0], '%') != SIZE_MAX))
		return;
	buffer_put_text(session_out(s), "* LSUB (");
	if (!subscribed || !(name->flags & NAME_EXISTS))
		buffer_put_text(session_out(s), "\\Noselect");
	buffer_put_text(session_out(s), ") \"/\" ");
	put_mailbox(s, name->name);
	buffer_put_text(session_out(s), "\r\n");
}

static enum imap_run step(struct imap_session *s, void *state)
{
	struct listing *l = state;

	if (!l->all_matched) {
		l->all_matched = list_names_match(&l->names, l->args, &l->matched);
		if (!l->all_matched)
			return RUN_MORE;
	}
	while (l->written < l->names.count && !session_is_full(s)) {
		const struct list_name *name = &l->names.names[l->written++];

		if (!(name->flags & NAME_MATCHED))
			continue;
		if (l->args->lsub)
			lsub_one(s, l->args, name);
		else
			list_one(s, l->args, name);
	}
	if (l->written < l->names.count)
		return RUN_MORE;
	session_ok(s, NULL, "List completed");
	return RUN_DONE;
}

static void release(void *state)
{
	struct listing *l = state;

	list_names_free(&l->names);
}

enum imap_run cmd_list(struct imap_session *s, const struct imap_command *command)
{
	const struct imap_list *args = command->list;
	struct listing *l = arena_zalloc(s->arena, 1, sizeof(*l));
	int error = l ? 0 : -ENOBUFS;

	if (args->root && !error) {
		buffer_printf(session_out(s), "* %s (\\Noselect) \"/\" \"\"\r\n", command->info->name);
		session_ok(s, NULL, "List completed");
		return RUN_DONE;
	}
	if (!error) {
		l->args = args;
		l->names.arena = s->arena;
		error = list_names_gather(s->account, args, &l->names);
	}
	if (error < 0) {
		if (l)
			release(l);
		session_error(s, error);
		return RUN_DONE;
	}
	if (args->status_items & STATUS_HIGHESTMODSEQ)
		session_enable_condstore(s);
	if (step(s, l) == RUN_MORE)
		return session_continue(s, step, release, l);
	release(l);
	return RUN_DONE;
}
