// SPDX-License-Identifier: GPL-2.0-only
/* The symbols that kfi_verbs.ko exports: Rust defines them, C can name them. */
#include <linux/export.h>
#include <linux/module.h>
#include <kfi/import.h>

MODULE_IMPORT_NS("KFI");
