/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_OX_USER_H
#define LISTENER_OX_USER_H

#include <stdbool.h>
#include <stddef.h>

#include "registration.h"

/* Ids are positive 32-bit integers in OX. */
#define OX_ID_MAX 2147483647u

struct ox_user {
	unsigned int id, context;
};

/* Parse a decimal number from 1 to OX_ID_MAX as OX itself writes it. OX
   compares the whole value as text, so 03 is not 3. Returns 0, or -1 if it is
   anything else. */
int ox_id_parse(const char *str, unsigned int *id_r);

/* Parse USER@CONTEXT. Returns 0, or -1 and error_r, which says what is expected
   and is a constant. */
int ox_user_parse(const char *str, struct ox_user *user_r,
		  const char **error_r);

#define OX_VALUE_SIZE sizeof("user=2147483647@2147483647")

/* Write the value of the METADATA entry. It needs no escaping in IMAP. */
void ox_user_value(const struct ox_user *user, char value_r[OX_VALUE_SIZE]);

#endif
