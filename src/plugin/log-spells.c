/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"

#include "log-spells.h"

#include <ctype.h>

/* More than that begin anew, the oldest first. */
#define SPELLS_MAX 100

struct log_spell {
	char *username, *what, *text;
};

static ARRAY(struct log_spell) spells;

static void log_spell_delete(unsigned int idx)
{
	struct log_spell *spell = array_idx_modifiable(&spells, idx);

	i_free(spell->username);
	i_free(spell->what);
	i_free(spell->text);
	array_delete(&spells, idx, 1);
}

static bool
log_spell_find(const char *username, const char *what, unsigned int *idx_r)
{
	const struct log_spell *spell;

	if (!array_is_created(&spells))
		return FALSE;
	array_foreach(&spells, spell) {
		if (strcmp(spell->username, username) == 0 &&
		    strcmp(spell->what, what) == 0) {
			*idx_r = array_foreach_idx(&spells, spell);
			return TRUE;
		}
	}
	return FALSE;
}

static bool is_same_but_for_numbers(const char *a, const char *b)
{
	for (;;) {
		while (i_isdigit(*a))
			a++;
		while (i_isdigit(*b))
			b++;
		if (*a != *b)
			return FALSE;
		if (*a == '\0')
			return TRUE;
		a++;
		b++;
	}
}

bool log_spell_begins(const char *username, const char *what, const char *text)
{
	struct log_spell *spell;
	unsigned int idx;

	if (!array_is_created(&spells))
		i_array_init(&spells, 4);
	if (log_spell_find(username, what, &idx)) {
		spell = array_idx_modifiable(&spells, idx);
		if (is_same_but_for_numbers(spell->text, text))
			return FALSE;
		log_spell_delete(idx);
	} else if (array_count(&spells) == SPELLS_MAX)
		log_spell_delete(0);
	spell = array_append_space(&spells);
	spell->username = i_strdup(username);
	spell->what = i_strdup(what);
	spell->text = i_strdup(text);
	return TRUE;
}

void log_spell_over(const char *username, const char *what)
{
	unsigned int idx;

	if (log_spell_find(username, what, &idx))
		log_spell_delete(idx);
}

void log_spells_deinit(void)
{
	if (!array_is_created(&spells))
		return;
	while (!array_is_empty(&spells))
		log_spell_delete(0);
	array_free(&spells);
}
