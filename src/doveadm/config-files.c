/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "istream.h"

#include "config-files.h"

#include <glob.h>
#include <sys/stat.h>

/* Deeper than anybody nests files. Two files may include each other. */
#define INCLUDES_MAX 16

static const char *
find_newer(const char *path, time_t than, unsigned int depth);

/* Returns what the line includes, NULL if it is not an include. */
static const char *line_get_pattern(const char *line)
{
	const char *const *words = t_strsplit_spaces(line, " \t");

	if (words[0] == NULL || words[1] == NULL ||
	    (strcmp(words[0], "!include") != 0 &&
	     strcmp(words[0], "!include_try") != 0))
		return NULL;
	return words[1];
}

static const char *
find_newer_included(const char *path, const char *pattern, time_t than,
		    unsigned int depth)
{
	const char *slash = strrchr(path, '/'), *found = NULL;
	glob_t files;
	size_t i;

	if (pattern[0] != '/' && slash != NULL) {
		pattern = t_strconcat(t_strdup_until(path, slash + 1), pattern,
				      NULL);
	}
	if (glob(pattern, GLOB_BRACE, NULL, &files) != 0)
		return NULL;
	for (i = 0; i < files.gl_pathc && found == NULL; i++)
		found = find_newer(files.gl_pathv[i], than, depth + 1);
	globfree(&files);
	return found;
}

static const char *
find_newer(const char *path, time_t than, unsigned int depth)
{
	const char *line, *pattern, *found = NULL;
	struct istream *input;
	struct stat st;

	if (depth > INCLUDES_MAX || stat(path, &st) < 0 ||
	    !S_ISREG(st.st_mode))
		return NULL;
	/* ctime, since a file with an older mtime may have been moved here */
	if (st.st_mtime > than || st.st_ctime > than)
		return t_strdup(path);

	input = i_stream_create_file(path, 64*1024);
	while (found == NULL &&
	       (line = i_stream_read_next_line(input)) != NULL) {
		pattern = line_get_pattern(line);
		if (pattern != NULL) {
			found = find_newer_included(path, pattern, than,
						    depth);
		}
	}
	i_stream_unref(&input);
	return found;
}

const char *config_files_find_newer(const char *path, time_t than)
{
	return find_newer(path, than, 0);
}

bool config_files_differ(const char *path1, const char *path2)
{
	struct istream *input1 = i_stream_create_file(path1, 64*1024);
	struct istream *input2 = i_stream_create_file(path2, 64*1024);
	const char *line1, *line2;
	bool differ;

	do {
		line1 = i_stream_read_next_line(input1);
		line2 = i_stream_read_next_line(input2);
	} while (line1 != NULL && null_strcmp(line1, line2) == 0);
	differ = null_strcmp(line1, line2) != 0 &&
		input1->stream_errno == 0 && input2->stream_errno == 0;
	i_stream_unref(&input1);
	i_stream_unref(&input2);
	return differ;
}
