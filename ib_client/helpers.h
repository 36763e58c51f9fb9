/* SPDX-License-Identifier: GPL-2.0-only */
/* Out-of-line copies of static inlines and macros, for Rust. */
#ifndef _KFI_IB_CLIENT_HELPERS_H
#define _KFI_IB_CLIENT_HELPERS_H

#include <rdma/ib_verbs.h>

u64 rust_helper_kfi_ib_dma_map_single(struct ib_device *dev, void *ptr, size_t size, enum dma_data_direction dir);

#endif
