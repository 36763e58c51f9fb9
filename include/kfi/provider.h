/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kfi: the seam between kfi.ko and the providers.
 *
 * A provider carries endpoints over some kind of device. It fills in the tables below and registers itself and its
 * devices. It need not have queue pairs. Each table starts with its data path (struct kfi_*_data_ops of kfi.h), which
 * consumers call directly: those entries run in any context, neither allocate nor sleep, and never call back.
 *
 * Unless said otherwise every other callback runs in process context, may sleep, holds no lock of kfi, and is called
 * with arguments that kfi.ko has checked: known flags, private data within the device's limit, opcodes in range.
 *
 * kfi.ko keeps the provider's module loaded while a consumer holds an info, a domain, or anything opened on one. An
 * endpoint that was closed inside its own event callback, and ends later, is the provider's own business: module exit
 * waits for it.
 *
 * Memory: the provider allocates each object with the public structure at its head and frees it in the callback that
 * ends it. Until then the memory stays readable, even when the device has gone: calls on a dead object return -ENODEV.
 */
#ifndef _KFI_PROVIDER_H
#define _KFI_PROVIDER_H

#include <kfi/kfi.h>

/**
 * struct kfi_ep_ops - an endpoint
 * @data: post and receive
 * @close: disconnect, drain (every accepted operation completes before this returns), free. May be called from the
 *	endpoint's own event callback: then it returns at once and the rest happens after the callback
 * @connect: active side; the outcome arrives as an event
 * @accept: passive side; posts are legal from here on
 * @shutdown: orderly end; returns without waiting for the peer; -ENOTCONN when there is no connection
 * @abort: enter the error state without telling the peer; what is outstanding and all later posts are flushed
 * @drain: wait until everything posted in the directions of the mask has completed; enters the error state first
 * @addr: local or peer address
 * @rma_init: see kfi_rma_init(); sets op, nr_ops
 * @rma_fini: see kfi_rma_fini(); any context
 * @rma_op: see kfi_rma_op(); any context
 * @rma_init_pi: see kfi_rma_init_pi(); sets op, nr_ops; NULL without KFI_CAP_PI
 * @rma_fini_pi: see kfi_rma_fini_pi(); any context; NULL without KFI_CAP_PI
 * @rma_pi_status: see kfi_rma_pi_status(); any context; NULL without KFI_CAP_PI
 */
struct kfi_ep_ops {
	struct kfi_ep_data_ops data;
	void (*close)(struct kfi_ep *ep);
	int (*connect)(struct kfi_ep *ep, const struct kfi_conn_param *param);
	int (*accept)(struct kfi_ep *ep, const struct kfi_conn_param *param);
	int (*shutdown)(struct kfi_ep *ep);
	int (*abort)(struct kfi_ep *ep);
	void (*drain)(struct kfi_ep *ep, u32 which);
	int (*addr)(struct kfi_ep *ep, bool peer, struct sockaddr_storage *addr);
	int (*rma_init)(struct kfi_rma *rma, struct kfi_ep *ep, struct scatterlist *sg, u32 nents, u32 offset,
			u64 raddr, u32 rkey, enum dma_data_direction dir);
	void (*rma_fini)(struct kfi_rma *rma, struct scatterlist *sg, u32 nents, enum dma_data_direction dir);
	struct kfi_op *(*rma_op)(struct kfi_rma *rma, struct kfi_ctx *ctx, struct kfi_op *chain);
	int (*rma_init_pi)(struct kfi_rma *rma, struct kfi_ep *ep, struct scatterlist *data, u32 nr_data,
			   struct scatterlist *meta, u32 nr_meta, const struct kfi_pi_attr *attr, u64 raddr, u32 rkey,
			   enum dma_data_direction dir);
	void (*rma_fini_pi)(struct kfi_rma *rma, struct scatterlist *data, u32 nr_data, struct scatterlist *meta,
			    u32 nr_meta, enum dma_data_direction dir);
	int (*rma_pi_status)(struct kfi_rma *rma, struct kfi_pi_fault *fault);
};

/**
 * struct kfi_info_ops - a connection without endpoint
 * @ep_open: turn it into an endpoint; on success the info is consumed, on failure it stays the consumer's. Sets
 *	kfi_ep.domain and kfi_ep.priv before the first event
 * @reject: refuse a connect request and free it, whatever is returned. Never called on the resolving side
 * @put: drop it: refuse or cancel, and free. Legal inside the info's own callback
 */
struct kfi_info_ops {
	struct kfi_ep *(*ep_open)(struct kfi_info *info, struct kfi_domain *domain, struct kfi_ep_attr *attr);
	int (*reject)(struct kfi_info *info, const void *private_data, u32 len);
	void (*put)(struct kfi_info *info);
};

/**
 * struct kfi_pep_ops - a passive endpoint
 * @close: stop listening; no callback after it returns. Infos already handed out live on. Must not be called from the
 *	passive endpoint's own callback
 */
struct kfi_pep_ops {
	void (*close)(struct kfi_pep *pep);
};

/**
 * struct kfi_cq_ops - a completion queue
 * @data: poll
 * @free: no endpoint uses it any more
 */
struct kfi_cq_ops {
	struct kfi_cq_data_ops data;
	void (*free)(struct kfi_cq *cq);
};

/**
 * struct kfi_mr_ops - a memory region
 * @data: map_sg; next_key changes rkey and lkey before a registration
 * @free: deregister; the consumer has fenced it
 * @map_sg_pi: any context, see kfi_mr_map_sg_pi(); NULL without KFI_CAP_PI
 * @pi_status: any context, see kfi_mr_pi_status(); NULL without KFI_CAP_PI
 */
struct kfi_mr_ops {
	struct kfi_mr_data_ops data;
	void (*free)(struct kfi_mr *mr);
	int (*map_sg_pi)(struct kfi_mr *mr, struct scatterlist *data, int nr_data, struct scatterlist *meta,
			 int nr_meta, u32 page_size, const struct kfi_pi_attr *attr);
	int (*pi_status)(struct kfi_mr *mr, struct kfi_pi_fault *fault);
};

/**
 * struct kfi_srx_ops - a shared receive context
 * @data: receive
 * @free: no endpoint uses it any more
 */
struct kfi_srx_ops {
	struct kfi_srx_data_ops data;
	void (*free)(struct kfi_srx *srx);
};

/**
 * struct kfi_domain_ops - a protection domain
 * @free: no reference is left
 * @cq_alloc: a queue of its own, or with @pool a share of a common one; kfi_cq.domain, priv, nr_cqe and poll are set by
 *	kfi.ko afterwards
 * @mr_alloc: a region for up to @max_sg pages; kfi_mr.domain is set by kfi.ko afterwards
 * @srx_alloc: a shared receive context, or NULL without KFI_CAP_SRX; kfi_srx.domain is set by kfi.ko afterwards
 * @dma_map_single: any context
 * @dma_unmap_single: any context
 * @dma_mapping_error: any context
 * @dma_map_sg: any context; returns the number of mapped elements or a negative errno
 * @dma_unmap_sg: any context
 * @dma_sync_single: any context; for the CPU or for the device
 */
struct kfi_domain_ops {
	void (*free)(struct kfi_domain *domain);
	struct kfi_cq *(*cq_alloc)(struct kfi_domain *domain, u32 nr_cqe, int vector, enum kfi_poll poll, bool pool,
				   const char *owner);
	struct kfi_mr *(*mr_alloc)(struct kfi_domain *domain, enum kfi_mr_type type, u32 max_sg);
	struct kfi_srx *(*srx_alloc)(struct kfi_domain *domain, u32 max_rx, u32 max_sge);
	u64 (*dma_map_single)(struct kfi_domain *domain, void *ptr, size_t size, enum dma_data_direction dir);
	void (*dma_unmap_single)(struct kfi_domain *domain, u64 addr, size_t size, enum dma_data_direction dir);
	int (*dma_mapping_error)(struct kfi_domain *domain, u64 addr);
	int (*dma_map_sg)(struct kfi_domain *domain, struct scatterlist *sg, int nents, enum dma_data_direction dir);
	void (*dma_unmap_sg)(struct kfi_domain *domain, struct scatterlist *sg, int nents,
			     enum dma_data_direction dir);
	void (*dma_sync_single)(struct kfi_domain *domain, u64 addr, size_t size, enum dma_data_direction dir,
				bool for_cpu);
};

/**
 * struct kfi_device_ops - a device
 * @domain_open: kfi_domain.device and kfi_domain.core are set by kfi.ko afterwards; @flags are those that the device's
 *	capabilities allow; @owner outlives the domain
 * @port_id: see kfi_device_port_id(); NULL: ports have no such thing
 */
struct kfi_device_ops {
	struct kfi_domain *(*domain_open)(struct kfi_device *device, u32 flags, const char *owner);
	int (*port_id)(struct kfi_device *device, u32 port, u8 *id);
};

/**
 * struct kfi_provider - a way to carry endpoints
 * @name: "verbs"
 * @owner: THIS_MODULE; held while a consumer holds an info, a domain or a passive endpoint, and during both calls
 * @priority: providers are tried from high to low; 100 is an RDMA device, 50 is software over sockets
 * @resolve: start to find the path to @attr->dst and call @attr->done once. Returns the info at once; ERR_PTR(-ENODEV)
 *	or a callback with -ENODEV makes kfi try the next provider
 * @pep_open: listen; ERR_PTR(-ENODEV) makes kfi try the next provider
 */
struct kfi_provider {
	const char		*name;
	struct module		*owner;
	int			priority;
	struct kfi_info		*(*resolve)(const struct kfi_resolve_attr *attr, const char *owner);
	struct kfi_pep		*(*pep_open)(const struct kfi_pep_attr *attr, const char *owner);
};

/**
 * kfi_provider_add() - offer a provider to consumers
 * @provider: filled in; belongs to kfi until kfi_provider_del() returns
 *
 * Calls may come in before this returns.
 *
 * Context: Process.
 * Return: 0; -EINVAL a field is NULL; -EEXIST a provider of that name is there; -ENOMEM.
 */
int kfi_provider_add(struct kfi_provider *provider);

/**
 * kfi_provider_del() - take a provider back
 * @provider: added before
 *
 * Returns when no call of @provider->resolve or @provider->pep_open is running. Objects that those have made live on.
 *
 * Context: Process.
 */
void kfi_provider_del(struct kfi_provider *provider);

/**
 * kfi_device_add() - announce a device to the clients
 * @device: ops, attr, name and provider_name are set; the provider owns the memory
 * @owner: the provider's module
 *
 * Calls kfi_client.add of every client, first registered first, before it returns; if that would have to wait for
 * another notification, the calls follow that one.
 *
 * Context: Process.
 * Return: 0; -EINVAL a field is missing; -EEXIST added already; -ENOMEM.
 */
int kfi_device_add(struct kfi_device *device, struct module *owner);

/**
 * kfi_device_del() - take a device away from the clients
 * @device: added before
 *
 * Calls kfi_client.remove of every client that was told of the device, last registered first, and returns when they
 * have returned. What consumers have left open the provider ends itself afterwards, with -ENODEV. The memory of @device
 * stays readable until the last info and the last domain on it are freed.
 *
 * Context: Process; not inside a callback of a client.
 */
void kfi_device_del(struct kfi_device *device);

/**
 * kfi_info_adopt() - register a connect request, before it is handed to the consumer
 * @info: device and ops are set
 *
 * Takes the module reference that the consumer's kfi_info_put(), kfi_info_reject() or kfi_ep_open() drops.
 *
 * Context: Any.
 * Return: 0; -ENODEV the device is going away: refuse the request.
 */
int kfi_info_adopt(struct kfi_info *info);

/**
 * kfi_domain_adopt() - register a domain that the provider has made without kfi_device_ops.domain_open
 * @domain: ops are set; gets one reference, for kfi_domain_put()
 * @device: where
 * @consumer: name; outlives the domain
 *
 * Context: Process.
 * Return: 0; -ENODEV the device is going away.
 */
int kfi_domain_adopt(struct kfi_domain *domain, struct kfi_device *device, const char *consumer);

/**
 * kfi_cq_adopt() - register a completion queue that the provider has made without kfi_domain_ops.cq_alloc
 * @cq: ops, priv, nr_cqe and poll are set; for kfi_cq_free()
 * @domain: gets a reference and becomes @cq->domain
 *
 * Context: Any.
 */
void kfi_cq_adopt(struct kfi_cq *cq, struct kfi_domain *domain);

/**
 * kfi_mr_adopt() - register a region that the provider has made without kfi_domain_ops.mr_alloc
 * @mr: ops are set; for kfi_mr_free()
 * @domain: gets a reference and becomes @mr->domain
 *
 * Context: Any.
 */
void kfi_mr_adopt(struct kfi_mr *mr, struct kfi_domain *domain);

/**
 * kfi_srx_adopt() - register a shared receive context that the provider has made without kfi_domain_ops.srx_alloc
 * @srx: ops are set; for kfi_srx_free()
 * @domain: gets a reference and becomes @srx->domain
 *
 * Context: Any.
 */
void kfi_srx_adopt(struct kfi_srx *srx, struct kfi_domain *domain);

#endif /* _KFI_PROVIDER_H */
