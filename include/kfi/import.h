/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kfi: adopt live verbs objects as kfi objects, for the time a verbs ULP is under way to kfi.
 *
 * Provided by kfi_verbs.ko. Every user must be gone when the port is complete.
 *
 * What is imported stays the ULP's: kfi takes no ownership, changes neither qp_context nor an event handler, and
 * destroys nothing. The ULP keeps the verbs object alive until it has un-imported it, and stops posting before that.
 * Raw verbs and kfi operations may be mixed on one queue pair and complete through one completion queue, since both
 * complete through an ib_cqe. Device removal is the ULP's own business: there is no -ENODEV on an imported endpoint.
 */
#ifndef _KFI_IMPORT_H
#define _KFI_IMPORT_H

#include <kfi/kfi.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_cm.h>

/**
 * kfi_domain_import() - view a protection domain as a kfi domain
 * @pd: the ULP's
 *
 * Context: Process.
 * Return: domain with one reference, for kfi_domain_put(); ERR_PTR(-ENODEV) when kfi does not know the device,
 * ERR_PTR(-ENOMEM).
 */
struct kfi_domain *kfi_domain_import(struct ib_pd *pd);

/**
 * kfi_device_native() - the verbs object behind a device
 * @device: one that the caller may use
 *
 * Context: Any.
 * Return: the device; NULL when it belongs to another provider.
 */
struct ib_device *kfi_device_native(struct kfi_device *device);

/**
 * kfi_ep_import() - view a queue pair as an endpoint
 * @domain: from kfi_domain_import() of the queue pair's protection domain
 * @id: its rdma_cm_id, or NULL; kept for kfi_ep_addr() only
 * @qp: created by the ULP
 * @priv: kept in kfi_ep.priv
 *
 * With a shared receive queue the endpoint of a completion is found by its queue pair.
 *
 * Context: Process.
 * Return: the endpoint, for kfi_ep_unimport(); ERR_PTR(-EINVAL) when @qp is not of @domain, ERR_PTR(-ENOMEM).
 */
struct kfi_ep *kfi_ep_import(struct kfi_domain *domain, struct rdma_cm_id *id, struct ib_qp *qp, void *priv);

/**
 * kfi_ep_unimport() - end the view
 * @ep: from kfi_ep_import()
 *
 * The queue pair is drained or destroyed: no completion is outstanding.
 *
 * Context: Process.
 */
void kfi_ep_unimport(struct kfi_ep *ep);

/**
 * kfi_cq_import() - view a completion queue as a kfi one
 * @domain: an imported domain
 * @cq: the ULP's
 *
 * Context: Process.
 * Return: the queue, for kfi_cq_free(), which leaves @cq alone; ERR_PTR(-ENOMEM).
 */
struct kfi_cq *kfi_cq_import(struct kfi_domain *domain, struct ib_cq *cq);

/**
 * kfi_mr_import() - view a memory region as a kfi one
 * @domain: an imported domain
 * @mr: the ULP's
 *
 * Context: Process.
 * Return: the region, for kfi_mr_free(), which leaves @mr alone; ERR_PTR(-ENOMEM).
 */
struct kfi_mr *kfi_mr_import(struct kfi_domain *domain, struct ib_mr *mr);

/**
 * kfi_srx_import() - view a shared receive queue as a shared receive context
 * @domain: an imported domain
 * @srq: the ULP's, of the domain's protection domain
 *
 * The endpoint of a completion is found by its queue pair, which has to be imported as well.
 *
 * Context: Process.
 * Return: the context, for kfi_srx_free(), which leaves @srq alone; ERR_PTR(-EINVAL) when @srq is not of @domain,
 * ERR_PTR(-ENOMEM).
 */
struct kfi_srx *kfi_srx_import(struct kfi_domain *domain, struct ib_srq *srq);

/**
 * kfi_ctx_cqe() - make a raw work request complete as a kfi operation
 * @ctx: context, done set
 * @ep: imported endpoint
 *
 * Context: Any.
 * Return: what to put in wr_cqe.
 */
struct ib_cqe *kfi_ctx_cqe(struct kfi_ctx *ctx, struct kfi_ep *ep);

/**
 * kfi_op_native() - put a chain of raw work requests into a chain of kfi operations
 * @op: filled in
 * @first: head of the chain; its last element's next is overwritten by the post
 *
 * A post that finds room for a part of the chain only returns -ECONNABORTED, with this operation as the first bad one:
 * that part is the device's until the ULP has put the queue pair into the error state and drained it. So it is with a
 * transfer of kfi_rma_op() on an imported endpoint.
 *
 * Context: Any.
 */
static inline void kfi_op_native(struct kfi_op *op, struct ib_send_wr *first)
{
	kfi_op_init(op, KFI_OP_NATIVE, NULL, NULL, 0, 0);
	op->priv[0] = (unsigned long)first;
	op->priv[1] = 0;
}

/**
 * kfi_domain_native() - the protection domain behind a domain
 * @domain: of the verbs provider
 *
 * kfi_domain_import() of it is the domain for queue pairs that the ULP goes on to make in it.
 *
 * Context: Process.
 * Return: the protection domain; NULL when it belongs to another provider or its device is gone.
 */
struct ib_pd *kfi_domain_native(struct kfi_domain *domain);

/**
 * kfi_srx_native() - the shared receive queue behind a shared receive context
 * @srx: of kfi_srx_alloc(), on a domain of the verbs provider that was not imported
 *
 * Receives of such a context find their endpoint by the context of the queue pair: a queue pair that the ULP makes with
 * the queue gets the result of kfi_ep_import() as its qp_context before it is connected.
 *
 * Context: Process.
 * Return: the queue; NULL when it belongs to another provider or its device is gone.
 */
struct ib_srq *kfi_srx_native(struct kfi_srx *srx);

/**
 * kfi_cq_native() - the verbs object behind a completion queue
 * @cq: of the verbs provider
 *
 * Context: Any.
 * Return: the queue; NULL when it belongs to another provider or its device is gone.
 */
struct ib_cq *kfi_cq_native(struct kfi_cq *cq);

/**
 * kfi_ep_native() - the queue pair behind an endpoint
 * @ep: of the verbs provider
 *
 * Context: Any.
 * Return: the queue pair; NULL when it belongs to another provider or its device is gone.
 */
struct ib_qp *kfi_ep_native(struct kfi_ep *ep);

#endif /* _KFI_IMPORT_H */
