/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "module-dir.h"

#include "queue-module.h"

const struct queue_engine_vfuncs *
queue_module_load(const char *name, const char **error_r)
{
	static struct module *modules;
	const struct module_dir_load_settings set = {
		.abi_version = QUEUE_MODULE_VERSION,
		.require_init_funcs = TRUE,
	};
	const char *const names[] = { name, NULL };
	const struct queue_engine_vfuncs *const *engine;
	struct module *module;

	if (module_dir_try_load_missing(&modules, HTTP_NOTIFY_MODULEDIR, names,
					&set, error_r) < 0) {
		*error_r = t_strdup_printf("%s (install the package "
			"dovecot-http-notify-%s, in the same version)",
			*error_r, name);
		return NULL;
	}
	module = module_dir_find(modules, name);
	i_assert(module != NULL);
	engine = module_get_symbol(module,
				   t_strconcat(name, "_engine", NULL));
	i_assert(engine != NULL);
	return *engine;
}
