/* SPDX-License-Identifier: GPL-2.0-only */
/* Out-of-line copies of static inlines and macros, for Rust. */
#ifndef _KFI_SHIM_HELPERS_H
#define _KFI_SHIM_HELPERS_H

#include <linux/module.h>

bool rust_helper_kfi_try_module_get(struct module *module);

#endif
