/* SPDX-License-Identifier: GPL-2.0-only */
/* Out-of-line copies of static inlines of the RDMA headers, for Rust. */
#ifndef _RDMA_RUST_HELPERS_H
#define _RDMA_RUST_HELPERS_H

#include <rdma/ib_cache.h>
#include <rdma/ib_cm.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_cm.h>
#include <rdma/rw.h>

int rust_helper_rdma_dev_to_node(struct ib_device *dev);
bool rust_helper_rdma_protocol_iwarp(const struct ib_device *dev, u32 port);
bool rust_helper_rdma_protocol_roce(const struct ib_device *dev, u32 port);
bool rust_helper_rdma_uses_virt_dma(struct ib_device *dev);
bool rust_helper_rdma_dma_pci_p2p_supported(struct ib_device *dev);
bool rust_helper_rdma_port_has_af_ib(const struct ib_device *dev, u32 port);
bool rust_helper_rdma_gid_in_net(const struct ib_gid_attr *attr, const struct net *net);
void rust_helper_rdma_get_net(struct net *net);
void rust_helper_rdma_put_net(struct net *net);
int rust_helper_rdma_port_gids(const struct ib_device *dev, u32 port);
int rust_helper_rdma_resolve_gid(const struct ib_gid_attr *from, struct sa_path_rec *path, struct rdma_dev_addr *addr,
				 unsigned long timeout_ms,
				 void (*found)(int status, struct sockaddr *src, struct rdma_dev_addr *addr,
					       void *context),
				 void *context);
void rust_helper_rdma_path_to_neighbour(struct sa_path_rec *path, struct rdma_dev_addr *addr);
u32 rust_helper_rdma_random_psn(void);
ib_sa_comp_mask rust_helper_rdma_path_mask(void);
gfp_t rust_helper_rdma_gfp_kernel(void);
int rust_helper_rdma_port_gid(struct ib_device *dev, u32 port, u8 *gid);
void rust_helper_rdma_clients_lock(void);
void rust_helper_rdma_clients_unlock(void);

u64 rust_helper_rdma_dma_map_single(struct ib_device *dev, void *ptr, size_t size, enum dma_data_direction dir);
void rust_helper_rdma_dma_unmap_single(struct ib_device *dev, u64 addr, size_t size, enum dma_data_direction dir);
int rust_helper_rdma_dma_mapping_error(struct ib_device *dev, u64 addr);
int rust_helper_rdma_dma_map_sg(struct ib_device *dev, struct scatterlist *sg, int nents,
				enum dma_data_direction dir);
void rust_helper_rdma_dma_unmap_sg(struct ib_device *dev, struct scatterlist *sg, int nents,
				   enum dma_data_direction dir);
void rust_helper_rdma_dma_sync_single_for_cpu(struct ib_device *dev, u64 addr, size_t size,
					      enum dma_data_direction dir);
void rust_helper_rdma_dma_sync_single_for_device(struct ib_device *dev, u64 addr, size_t size,
						 enum dma_data_direction dir);

int rust_helper_rdma_map_mr_linear(struct ib_mr *mr, u64 addr, u32 length);
u32 rust_helper_rdma_inc_rkey(u32 rkey);
void rust_helper_rdma_update_fast_reg_key(struct ib_mr *mr, u8 key);

#endif
