/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "imap-match.h"
#include "unichar.h"

#include "folders.h"

#define WILDCARDS "*%"

/* Returns the pattern of an item, without '!' and blanks. */
static const char *pattern_get(const char *item, bool *excludes_r)
{
	item = t_str_trim(item, " \t");
	*excludes_r = *item == '!';
	return *excludes_r ? item + 1 : item;
}

int http_notify_folders_check(const char *folders, const char **error_r)
{
	const char *const *items = t_strsplit(folders, ",");
	bool excludes, included = FALSE;

	if (!uni_utf8_str_is_valid(folders)) {
		*error_r = "is not valid UTF-8";
		return -1;
	}
	for (; *items != NULL; items++) {
		if (*pattern_get(*items, &excludes) == '\0') {
			*error_r = "has an empty pattern";
			return -1;
		}
		if (!excludes)
			included = TRUE;
	}
	if (!included) {
		*error_r = "includes no folder (for all but those, begin with "
			"*,)";
		return -1;
	}
	return 0;
}

static bool matches(const char *pattern, const char *name, char separator)
{
	struct imap_match_glob *glob =
		imap_match_init(pool_datastack_create(), pattern, TRUE,
				separator);

	return imap_match(glob, name) == IMAP_MATCH_YES;
}

static bool
pattern_matches(const char *pattern, const struct http_notify_folder *folder)
{
	if (*pattern == '\\') {
		return str_array_icase_find(
			t_strsplit_spaces(folder->special_uses, " "), pattern);
	}
	return matches(pattern, folder->name, folder->separator) ||
		(folder->inbox && matches(pattern, "INBOX", folder->separator));
}

/* Does a pattern that matches the folder name its namespace as well? */
static bool
pattern_names_namespace(const char *pattern,
			const struct http_notify_folder *folder)
{
	const char *prefix = folder->foreign_prefix;
	size_t literal = strcspn(pattern, WILDCARDS);
	const char separator[] = { folder->separator, '\0' };

	if (prefix == NULL)
		return TRUE;
	if (*pattern == '\\')
		return FALSE;
	if (pattern[literal] == '\0')
		return TRUE;
	return literal > 0 && literal >= strcspn(prefix, separator);
}

bool http_notify_folders_include(const char *folders,
				 const struct http_notify_folder *folder)
{
	const char *const *items = t_strsplit(folders, ",");
	const char *pattern;
	bool excludes, included = FALSE;

	for (; *items != NULL; items++) {
		pattern = pattern_get(*items, &excludes);
		if (!pattern_matches(pattern, folder))
			continue;
		if (excludes)
			return FALSE;
		if (pattern_names_namespace(pattern, folder))
			included = TRUE;
	}
	return included;
}
