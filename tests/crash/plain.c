#include "plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

struct plain_past {
	uint64_t seq;
	unsigned which;
	union {
		struct plain_account account;
		struct plain_directory directory;
	};
	struct plain_past *next;
};

struct plain *plain_new(void)
{
	struct plain *plain = calloc(1, sizeof(*plain));

	CHECK(plain);
	return plain;
}

static void give_back(struct plain *plain, struct plain_past *past)
{
	past->next = plain->pool;
	plain->pool = past;
}

static struct plain_past *take_first(struct plain *plain)
{
	struct plain_past *past = plain->first;

	plain->first = past->next;
	if (!plain->first)
		plain->last = NULL;
	return past;
}

void plain_reset(struct plain *plain)
{
	struct plain_past *pool;

	while (plain->first)
		give_back(plain, take_first(plain));
	pool = plain->pool;
	memset(plain, 0, sizeof(*plain));
	plain->pool = pool;
}

void plain_free(struct plain **plain)
{
	plain_reset(*plain);
	while ((*plain)->pool) {
		struct plain_past *past = (*plain)->pool;

		(*plain)->pool = past->next;
		free(past);
	}
	free(*plain);
	*plain = NULL;
}

void plain_changed(struct plain *plain, unsigned which, uint64_t seq)
{
	struct plain_past *past = plain->pool;

	if (past)
		plain->pool = past->next;
	else
		past = malloc(sizeof(*past));
	CHECK(past && (!plain->last || plain->last->seq < seq));
	past->seq = seq;
	past->which = which;
	past->next = NULL;
	if (which == PLAIN_DIRECTORY)
		past->directory = plain->directory_now;
	else
		past->account = plain->now[which];
	if (plain->last)
		plain->last->next = past;
	else
		plain->first = past;
	plain->last = past;
}

static void raise_floor(struct plain *plain, unsigned which)
{
	const struct plain_account *account = &plain->sure[which];

	for (unsigned i = 0; i < PLAIN_MAILBOXES; i++)
		if (account->mailboxes[i].used)
			plain->uidvalidity_floor[which] =
				MAX(plain->uidvalidity_floor[which], account->mailboxes[i].uidvalidity);
}

void plain_is_sure(struct plain *plain, uint64_t seq)
{
	while (plain->first && plain->first->seq <= seq) {
		struct plain_past *past = take_first(plain);

		if (past->which == PLAIN_DIRECTORY) {
			plain->directory_sure = past->directory;
		} else {
			plain->sure[past->which] = past->account;
			raise_floor(plain, past->which);
		}
		give_back(plain, past);
	}
}

void plain_cut(struct plain *plain, uint64_t seq)
{
	plain_is_sure(plain, seq);
	while (plain->first)
		give_back(plain, take_first(plain));
	memcpy(plain->now, plain->sure, sizeof(plain->now));
	plain->directory_now = plain->directory_sure;
}

struct plain_mailbox *plain_mailbox(struct plain_account *account, const char *name)
{
	for (unsigned i = 0; i < PLAIN_MAILBOXES; i++)
		if (account->mailboxes[i].used && strcmp(account->mailboxes[i].name, name) == 0)
			return &account->mailboxes[i];
	return NULL;
}

struct plain_mailbox *plain_mailbox_by_id(struct plain_account *account, uint64_t id)
{
	for (unsigned i = 0; i < PLAIN_MAILBOXES; i++)
		if (account->mailboxes[i].used && account->mailboxes[i].id == id)
			return &account->mailboxes[i];
	return NULL;
}

struct plain_mailbox *plain_mailbox_add(struct plain_account *account, const char *name)
{
	for (unsigned i = 0; i < PLAIN_MAILBOXES; i++) {
		struct plain_mailbox *mailbox = &account->mailboxes[i];

		if (mailbox->used)
			continue;
		memset(mailbox, 0, sizeof(*mailbox));
		mailbox->used = true;
		mailbox->uidnext = 1;
		mailbox->highestmodseq = account->modseq;
		(void)snprintf(mailbox->name, sizeof(mailbox->name), "%s", name);
		return mailbox;
	}
	return NULL;
}

struct plain_message *plain_deliver(struct plain_mailbox *mailbox, uint32_t number)
{
	struct plain_message *message;

	CHECK(mailbox->count < PLAIN_MESSAGES);
	message = &mailbox->messages[mailbox->count++];
	memset(message, 0, sizeof(*message));
	message->uid = mailbox->uidnext++;
	message->number = number;
	return message;
}

void plain_purge(struct plain_account *account, uint64_t id, uint64_t modseq)
{
	struct plain_mailbox *mailbox = plain_mailbox_by_id(account, id);
	unsigned left = 0;

	if (!mailbox)
		return;
	for (unsigned i = 0; i < mailbox->count; i++)
		if (!mailbox->messages[i].gone || mailbox->messages[i].modseq != modseq)
			mailbox->messages[left++] = mailbox->messages[i];
	mailbox->count = left;
	mailbox->history = MAX(mailbox->history, modseq);
}
