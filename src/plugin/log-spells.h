/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_LOG_SPELLS_H
#define HTTP_NOTIFY_LOG_SPELLS_H

/* What is wrong with a user's settings or registration is found out with each
   message, and logged once per spell: not again by this process before it was
   in order, or is wrong in another way. There is no memory but the process's,
   and that is limited. */

/* Something of the user's, called what, is wrong for the reason of text.
   Returns TRUE if that is new, and so to be logged. Numbers in the text don't
   make a difference: often they are times. */
bool log_spell_begins(const char *username, const char *what, const char *text);
/* It is in order. */
void log_spell_over(const char *username, const char *what);

void log_spells_deinit(void);

#endif
