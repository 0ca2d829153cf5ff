/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "module-dir.h"

#include "dovecot-compat.h"
#include "queue-module.h"

const struct queue_engine_vfuncs *
queue_module_load(const char *name, const char **error_r)
{
	static struct module *modules;
	const struct module_dir_load_settings set = {
		.abi_version = DOVECOT_ABI_VERSION,
		.require_init_funcs = TRUE,
	};
	const char *const names[] = { name, NULL };
	const struct queue_engine_vfuncs *const *engine;
	struct module *module;

	if (module_dir_try_load_missing(&modules, HTTP_NOTIFY_MODULEDIR, names,
					&set, error_r) < 0)
		return NULL;
	module = module_dir_find(modules, name);
	i_assert(module != NULL);
	engine = module_get_symbol(module,
				   t_strconcat(name, "_engine", NULL));
	i_assert(engine != NULL);
	return *engine;
}
