/*
 * Inside store search: what the files of words said, message by message.
 */
#ifndef PENFOLD_STORE_SEARCH_ANSWERS_H
#define PENFOLD_STORE_SEARCH_ANSWERS_H

#include "store/search_internal.h"
#include "store/searcher.h"

enum { QUESTIONS_MAX = 32, NOWHERE = -1 };

struct answers { /* of a file */
	struct search_file file;
	uint32_t *numbers;
	/* A bit for each number: those that may have it, and those of them that have it. NULL: it does not know. `sure` lies behind `hits`. */
	uint64_t *hits[QUESTIONS_MAX], *sure[QUESTIONS_MAX];
};

struct search_index {
	struct words_question questions[QUESTIONS_MAX];
	size_t question_count;
	struct words_ask *ask;
	struct search_files files;
	struct answers *answers;
	size_t answered; /* files */
	size_t bytes;    /* of answers */
	struct words_segment *segment;
	unsigned tries;
	uint64_t elsewhere; /* messages in no file */
	/* The message that was last looked for: */
	uint32_t number;
	int at; /* its file, or NOWHERE */
	uint32_t ordinal;
	/* What all criteria together say of 64 ordinals of that file: the messages that may match, and those that do. */
	uint32_t word; /* which, counted from 1; 0: none */
	uint64_t may, must;
};

#endif
