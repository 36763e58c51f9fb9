// SPDX-License-Identifier: GPL-2.0-only
#include "helpers.h"

bool rust_helper_kfi_try_module_get(struct module *module)
{
	return try_module_get(module);
}
