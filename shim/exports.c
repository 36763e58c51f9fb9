// SPDX-License-Identifier: GPL-2.0-only
/* The symbols that kfi.ko exports: Rust defines them (shim/api), C can name them. */
#include <linux/export.h>
#include <kfi/kfi.h>
#include <kfi/provider.h>

EXPORT_SYMBOL_NS_GPL(__kfi_cq_alloc, "KFI");
EXPORT_SYMBOL_NS_GPL(__kfi_domain_open, "KFI");
EXPORT_SYMBOL_NS_GPL(__kfi_pep_open, "KFI");
EXPORT_SYMBOL_NS_GPL(__kfi_resolve, "KFI");
EXPORT_SYMBOL_NS_GPL(__kfi_strerror, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_client_register, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_client_unregister, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_cq_free, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_dma_map_sg, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_dma_map_single, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_dma_mapping_error, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_dma_sync_single_for_cpu, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_dma_sync_single_for_device, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_dma_unmap_sg, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_dma_unmap_single, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_domain_get, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_domain_put, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_abort, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_accept, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_addr, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_close, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_connect, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_drain, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_open, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_ep_shutdown, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_info_put, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_info_reject, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_mr_alloc, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_mr_free, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_mr_pool_destroy, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_mr_pool_get, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_mr_pool_init, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_mr_pool_put, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_mr_remote_inv, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_pep_close, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_rma_fini, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_rma_init, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_rma_op, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_srx_alloc, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_srx_free, "KFI");

/* For providers. */
EXPORT_SYMBOL_NS_GPL(kfi_cq_adopt, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_device_add, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_device_del, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_domain_adopt, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_info_adopt, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_mr_adopt, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_provider_add, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_provider_del, "KFI");
EXPORT_SYMBOL_NS_GPL(kfi_srx_adopt, "KFI");
