/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "settings-parser.h"

#include "foreign-settings.h"

#include <dlfcn.h>

/* The names of all our own settings begin with this. */
#define OWN_PREFIX "http_notify_"
/* No setting's value is larger than this, in bytes. */
#define VALUE_SIZE_MAX 64

/* Returns Dovecot's definitions, which are in the program that has loaded this
   module. NULL-terminated. */
static const struct setting_parser_info *const *dovecot_infos(void)
{
	static const struct setting_parser_info *const none[] = { NULL };
	const struct setting_parser_info *const *const *infos;

	infos = dlsym(RTLD_DEFAULT, "all_infos");
	return infos == NULL || *infos == NULL ? none : *infos;
}

/* Returns Dovecot's definition of a setting, NULL if there is none. Aliases do
   not count. */
static const struct setting_define *
dovecot_define_find(const char *key, const struct setting_parser_info **info_r)
{
	const struct setting_parser_info *const *infos;
	const struct setting_define *def;

	for (infos = dovecot_infos(); *infos != NULL; infos++) {
		for (def = (*infos)->defines; def->key != NULL; def++) {
			if (def->type != SET_ALIAS &&
			    strcmp(def->key, key) == 0) {
				*info_r = *infos;
				return def;
			}
		}
	}
	return NULL;
}

/* The size of a value, for the types that our definitions of Dovecot's settings
   have; 0 = the type has no default. */
static size_t value_size(enum setting_type type)
{
	switch (type) {
	case SET_BOOL:
		return sizeof(bool);
	case SET_TIME_MSECS:
		return sizeof(unsigned int);
	case SET_STR:
		return sizeof(const char *);
	case SET_FILTER_ARRAY:
		return 0;
	default:
		i_unreached();
	}
}

/* A value of another type than ours does not fit into our field. Append
   Dovecot's default behind all fields, where nobody reads it. Returns its
   offset. */
static size_t append_value(buffer_t *defaults,
			   const struct setting_parser_info *info,
			   const struct setting_define *def)
{
	size_t offset = defaults->used;
	size_t size = I_MIN(info->struct_size - def->offset, VALUE_SIZE_MAX);

	buffer_append(defaults, CONST_PTR_OFFSET(info->defaults, def->offset),
		      size);
	buffer_append_zero(defaults, VALUE_SIZE_MAX - size);
	return offset;
}

static void
adapt_define(struct setting_define *def, buffer_t *defaults)
{
	const struct setting_parser_info *dovecot_info;
	const struct setting_define *dovecot_def =
		dovecot_define_find(def->key, &dovecot_info);
	size_t offset = def->offset;

	if (dovecot_def == NULL)
		return;
	if (dovecot_def->type == def->type) {
		buffer_write(defaults, offset,
			     CONST_PTR_OFFSET(dovecot_info->defaults,
					      dovecot_def->offset),
			     value_size(def->type));
	} else {
		i_warning("http-notify: %s is of another type in this Dovecot "
			  "than in the one that dovecot-http-notify was built "
			  "for: install one that is built for this Dovecot",
			  def->key);
		offset = append_value(defaults, dovecot_info, dovecot_def);
	}
	*def = *dovecot_def;
	def->offset = offset;
}

static const struct setting_define *
adapt_defines(const struct setting_define *defines, buffer_t *defaults,
	      pool_t pool)
{
	struct setting_define *copy;
	unsigned int i, count;

	/* copy the end of the list, too */
	for (count = 0; defines[count].key != NULL; count++) ;
	copy = p_memdup(pool, defines, sizeof(*defines) * (count + 1));
	for (i = 0; i < count; i++) {
		if (strncmp(copy[i].key, OWN_PREFIX,
			    strlen(OWN_PREFIX)) != 0)
			adapt_define(&copy[i], defaults);
	}
	return copy;
}

/* Does our default fit this Dovecot? Not if Dovecot defines the setting, and
   our definitions have it with another type or not at all. key may be below a
   filter. */
static bool
keep_default(const char *key, const struct setting_parser_info *info)
{
	const struct setting_parser_info *dovecot_info;
	const struct setting_define *dovecot_def;
	const char *name = strrchr(key, SETTINGS_SEPARATOR);
	unsigned int i;

	name = name == NULL ? key : name + 1;
	dovecot_def = dovecot_define_find(name, &dovecot_info);
	if (dovecot_def == NULL)
		return TRUE;
	for (i = 0; info->defines[i].key != NULL; i++) {
		if (strcmp(info->defines[i].key, name) == 0)
			return info->defines[i].type == dovecot_def->type;
	}
	return FALSE;
}

static const struct setting_keyvalue *
adapt_default_settings(const struct setting_parser_info *info, pool_t pool)
{
	const struct setting_keyvalue *defaults = info->default_settings;
	ARRAY(struct setting_keyvalue) copy;

	if (defaults == NULL)
		return NULL;
	p_array_init(&copy, pool, 4);
	for (; defaults->key != NULL; defaults++) {
		if (keep_default(defaults->key, info))
			array_push_back(&copy, defaults);
	}
	array_append_zero(&copy);
	return array_front(&copy);
}

const struct setting_parser_info *
http_notify_foreign_settings_adapt(const struct setting_parser_info *info,
				   pool_t pool)
{
	struct setting_parser_info *copy = p_memdup(pool, info, sizeof(*info));
	buffer_t *defaults = buffer_create_dynamic(pool, info->struct_size);

	buffer_append(defaults, info->defaults, info->struct_size);
	copy->defines = adapt_defines(info->defines, defaults, pool);
	copy->defaults = defaults->data;
	copy->struct_size = defaults->used;
	copy->default_settings = adapt_default_settings(info, pool);
	return copy;
}
