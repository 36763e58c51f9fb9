// SPDX-License-Identifier: GPL-2.0-only
/* The symbols that kfi.ko exports: Rust defines them, C can name them. */
#include <linux/export.h>
#include <kfi/kfi.h>
#include <kfi/provider.h>

EXPORT_SYMBOL_NS_GPL(__kfi_strerror, "KFI");
