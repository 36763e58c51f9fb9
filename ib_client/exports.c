// SPDX-License-Identifier: GPL-2.0-only
/* The symbols that kfi_verbs.ko exports: Rust defines them, C can name them. */
#include <linux/export.h>
#include <linux/module.h>
#include <kfi/import.h>

EXPORT_SYMBOL_NS_GPL(kfi_device_native, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_domain_import, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_import, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_unimport, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_cq_import, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_mr_import, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_srx_import, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ctx_cqe, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_domain_native, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_srx_native, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_cq_native, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_native, "KFI");

/* kfi.ko asks for a provider by this name when it has none. */
MODULE_ALIAS("kfi-provider-verbs");
MODULE_IMPORT_NS("KFI");
