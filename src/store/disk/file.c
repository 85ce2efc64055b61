#include "store/disk/file.h"

#include <stdlib.h>

int file_make_dir(const struct file_system *files, const char *path)
{
	struct slice parent = slice_of(path);
	size_t slash;
	char *name;
	int error = files->make_dir(files->context, path);

	if (error)
		return error;
	while (parent.len > 1 && parent.at[parent.len - 1] == '/')
		parent.len--;
	slash = slice_find_last_byte(parent, '/');
	parent = slash == SIZE_MAX ? SLICE(".") : slice_first(parent, MAX(slash, 1));
	name = strndup(parent.at, parent.len);
	if (!name)
		return -ENOMEM;
	error = files->sync_dir(files->context, name);
	free(name);
	return error;
}
