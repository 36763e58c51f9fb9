// SPDX-License-Identifier: GPL-2.0-only
#include "helpers.h"

u64 rust_helper_kfi_ib_dma_map_single(struct ib_device *dev, void *ptr, size_t size, enum dma_data_direction dir)
{
	return ib_dma_map_single(dev, ptr, size, dir);
}
