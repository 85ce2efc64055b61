/* Plays every transcript of a folder: test_transcripts FOLDER [NAME.txt ...] */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "script.h"

enum { TRANSCRIPTS_MAX = 500, TEXT_MAX = 1 << 20 };

struct transcript_file {
	struct rig *rig;
	struct script_client clients[SCRIPT_CLIENTS_MAX + 1];
	char path[512];
	char name[256];
};

static void play(void **state)
{
	struct transcript_file *file = *state;
	struct buffer text = BUFFER_INIT(TEXT_MAX);
	char piece[4096];
	size_t got;
	FILE *in = fopen(file->path, "rb");

	assert_non_null(in);
	while ((got = fread(piece, 1, sizeof(piece), in)) > 0)
		buffer_put(&text, (struct slice){piece, got});
	assert_int_equal(fclose(in), 0);
	assert_int_equal(buffer_error(&text), 0);
	script_play(file->rig, buffer_slice(&text), file->clients);
	buffer_free(&text);
}

static int end(void **state)
{
	struct transcript_file *file = *state;

	script_end(file->rig, file->clients);
	return 0;
}

static int is_transcript(const struct dirent *entry)
{
	return slice_ends(slice_of(entry->d_name), SLICE(".txt"));
}

static bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (slice_equal(slice_of(name), slice_of(argv[i])))
			return true;
	}
	return argc <= 2;
}

int main(int argc, char **argv)
{
	static struct transcript_file files[TRANSCRIPTS_MAX];
	static struct CMUnitTest tests[TRANSCRIPTS_MAX];
	struct dirent **entries = NULL;
	struct rig rig;
	size_t count = 0;
	int found = argc > 1 ? scandir(argv[1], &entries, is_transcript, alphasort) : 0, failures;

	for (int i = 0; i < found; i++) {
		if (count < TRANSCRIPTS_MAX && is_wanted(entries[i]->d_name, argc, argv)) {
			struct transcript_file *file = &files[count];

			file->rig = &rig;
			(void)snprintf(file->path, sizeof(file->path), "%s/%s", argv[1], entries[i]->d_name);
			(void)snprintf(file->name, sizeof(file->name), "%s", entries[i]->d_name);
			tests[count++] = (struct CMUnitTest){file->name, play, NULL, end, file};
		}
		free(entries[i]);
	}
	free(entries);
	if (!count || rig_start(&rig) < 0)
		return 1;
	failures = _cmocka_run_group_tests("imap transcripts", tests, count, NULL, NULL);
	rig_stop(&rig);
	return failures ? 1 : 0;
}
