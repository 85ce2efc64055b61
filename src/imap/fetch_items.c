#include "imap/fetch_run.h"

bool fetch_find(struct fetch_run *run)
{
	enum email_extent extent = run->args->bodies ? EMAIL_WHOLE : EMAIL_FRONT;
	int rc;

	if (run->found)
		return true;
	rc = email_find(run->session->account, run->entry.email, extent, &run->room, &run->email);
	if (!rc)
		rc = extent == EMAIL_WHOLE ? mail_unpack_brief(run->email.packed, &run->brief)
					   : mail_unpack_front(run->email.packed, &run->brief);
	run->found = !rc;
	run->gone |= rc == -ENOENT;
	run->damaged |= rc && rc != -ENOENT;
	return run->found;
}

bool fetch_unpack(struct fetch_run *run)
{
	if (run->unpacked)
		return true;
	if (!fetch_find(run))
		return false;
	arena_reset(run->parts);
	run->unpacked = !mail_unpack(run->email.packed, run->parts, &run->message) && run->message.part_count;
	run->damaged |= !run->unpacked;
	return run->unpacked;
}

static void put_object(struct fetch_run *run, struct slice name, char kind, uint64_t id)
{
	struct buffer *out = session_out(run->session);

	fetch_put_name(run, name);
	buffer_put_byte(out, '(');
	object_id_put(out, kind, id);
	buffer_put_byte(out, ')');
}

/* Flags that this very FETCH changed are told, asked for or not, as unasked flags are (RFC 9051 §6.4.5). */
static unsigned items_of(const struct fetch_run *run)
{
	unsigned items = run->args->items;

	if (run->sets_seen && uid_set_has(uid_list_set(&run->made_seen), run->entry.uid)) {
		items |= FETCH_FLAGS;
		if (run->session->enabled & ENABLED_CONDSTORE)
			items |= FETCH_MODSEQ;
		if (sync_names_uid(run->session))
			items |= FETCH_UID;
	}
	return items;
}

static void put_number(struct fetch_run *run, struct slice name, uint64_t number)
{
	fetch_put_name(run, name);
	buffer_put_u64(session_out(run->session), number);
}

void fetch_put_items(struct fetch_run *run)
{
	struct buffer *out = session_out(run->session);
	const struct entry *entry = &run->entry;
	unsigned items = items_of(run);

	/* No printf here: this is written a million times for a large mailbox. */
	buffer_put(out, SLICE("* "));
	buffer_put_u64(out, run->seq);
	buffer_put(out, SLICE(" FETCH ("));
	run->first = true;
	if (items & FETCH_UID)
		put_number(run, SLICE("UID"), entry->uid);
	if (items & FETCH_FLAGS) {
		fetch_put_name(run, SLICE("FLAGS"));
		put_flags(out, view_mailbox(run->session->view), entry, true);
	}
	if (items & FETCH_MODSEQ) {
		fetch_put_name(run, SLICE("MODSEQ"));
		buffer_put_byte(out, '(');
		buffer_put_u64(out, entry->modseq);
		buffer_put_byte(out, ')');
	}
	if (items & FETCH_INTERNALDATE) {
		fetch_put_name(run, SLICE("INTERNALDATE"));
		put_date_time(out, entry->internaldate, entry->zone);
	}
	if (items & FETCH_SIZE)
		put_number(run, SLICE("RFC822.SIZE"), entry->bytes);
	if (items & FETCH_EMAILID)
		put_object(run, SLICE("EMAILID"), 'E', entry->email);
	if (items & FETCH_THREADID)
		put_object(run, SLICE("THREADID"), 'T', run->email.thread);
}

/* A stored text: copied at once when it is short, else through the scratch buffer, because what was found holds for this turn only. */
static void put_text(struct fetch_run *run, struct slice name, struct slice text)
{
	struct buffer *out = session_out(run->session);

	fetch_put_name(run, name);
	if (text.len <= run->piece_bytes) {
		buffer_put(out, text);
		return;
	}
	buffer_reset(&run->scratch);
	buffer_put(&run->scratch, text);
	run->at = 0;
	run->flow = FLOW_SCRATCH;
}

static void put_brief_structure(struct fetch_run *run)
{
	buffer_reset(&run->scratch);
	fetch_put_name(run, SLICE("BODY"));
	if (mail_structure_brief(run->brief.structure, &run->scratch) || buffer_error(&run->scratch)) {
		run->damaged = run->aborted = true;
		return;
	}
	run->at = 0;
	run->flow = FLOW_SCRATCH;
}

void fetch_put_stored(struct fetch_run *run)
{
	unsigned item = run->stored_left & -run->stored_left; /* the lowest bit */

	run->stored_left &= ~item;
	if (!fetch_find(run)) {
		/* It was there when the answer began: no value can be given any more that would be true. */
		run->aborted = true;
		return;
	}
	if (item == FETCH_ENVELOPE)
		put_text(run, SLICE("ENVELOPE"), run->brief.envelope);
	else if (item == FETCH_BODYSTRUCTURE)
		put_text(run, SLICE("BODYSTRUCTURE"), run->brief.structure);
	else
		put_brief_structure(run);
}
