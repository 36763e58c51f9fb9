// SPDX-License-Identifier: GPL-2.0-only
/*
 * A verbs ULP under way to kfi, as include/kfi/import.h has it: its own connection, queues and regions, viewed by kfi
 * as well, with raw work requests and kfi operations in turn on one queue pair. It speaks to itself, from src to addr.
 * Prints KTAP to the kernel's log; loading it fails when anything fails.
 *
 *	modprobe kfi_import_test addr=10.0.0.1 src=10.0.0.2
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <kfi/import.h>
#include "../../consumers/kfi_test/expect.h"

static char *addr;
module_param(addr, charp, 0444);
MODULE_PARM_DESC(addr, "address of a device of this host, to listen on");
static char *src;
module_param(src, charp, 0444);
MODULE_PARM_DESC(src, "address to connect from");
static char *port = "7472";
module_param(port, charp, 0444);
MODULE_PARM_DESC(port, "port to listen on");

#define TIMEOUT		(30 * HZ)
#define DEPTH		16
/* More than any device takes that was asked for DEPTH. */
#define NR_TOO_MANY	512
#define NR_CQE		1024
#define MAX_OPS		16
#define PART		256
/* The parts of a side's page; its region has the same of its own. */
#define AT(part)	((part) * PART)

static struct sockaddr_storage listen_addr, src_addr;

/* One work request or operation: who completes it, and what has come of it. */
struct entry {
	struct ib_cqe		cqe;
	struct kfi_ctx		ctx;
	struct completion	done;
	atomic_t		count;
	int			status;
	u32			order;
	struct kfi_comp		comp;
};

struct region {
	u8			*va;
	struct scatterlist	sg;
	struct ib_mr		*mr;
	struct kfi_mr		*view;
};

struct side {
	struct rdma_cm_id	*id;
	struct ib_pd		*pd;
	struct ib_cq		*cq;
	struct ib_srq		*srq;
	struct ib_qp		*qp;
	struct kfi_domain	*domain;
	struct kfi_cq		*cq_view;
	struct kfi_srx		*srx;
	struct kfi_ep		*ep;
	struct completion	event;
	enum rdma_cm_event_type	last;
	u8			*page;
	u64			dma;
	struct region		region;
	struct entry		tx[MAX_OPS];
	struct entry		rx[MAX_OPS];
};

struct pair {
	struct rdma_cm_id	*listener;
	struct side		a;
	struct side		p;
};

static atomic_t completions;

/* ---------------------------------------------------------------------------------------------- */
/* Completions                                                                                     */

static void completed(struct entry *entry, int status)
{
	entry->status = status;
	entry->order = atomic_inc_return(&completions);
	atomic_inc(&entry->count);
	complete(&entry->done);
}

static void raw_done(struct ib_cq *cq, struct ib_wc *wc)
{
	completed(container_of(wc->wr_cqe, struct entry, cqe), wc->status == IB_WC_SUCCESS ? 0 : -ECANCELED);
}

static void view_done(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct entry *entry = container_of(ctx, struct entry, ctx);

	entry->comp = *comp;
	completed(entry, comp->status);
}

static void entry_init(struct entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	init_completion(&entry->done);
	entry->cqe.done = raw_done;
	entry->ctx.done = view_done;
}

static int entry_wait(struct entry *entry, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!wait_for_completion_timeout(&entry[i].done, TIMEOUT)) {
			kfi_say("number %u does not complete", i);
			return -ETIME;
		}
	}
	return 0;
}

/* Each has completed once, well, and in the order of the posts; that at @late, unless it is -1, may come later. */
static bool in_order(struct entry *entry, int nr, int late)
{
	bool ok = true;
	u32 last = 0;
	int i;

	for (i = 0; i < nr; i++) {
		if (!kfi_expect(atomic_read(&entry[i].count), 1) || !kfi_expect(entry[i].status, 0) ||
		    !kfi_expect(last < entry[i].order, true)) {
			kfi_say("at number %d", i);
			ok = false;
		}
		if (i != late)
			last = entry[i].order;
	}
	return ok;
}

/* ---------------------------------------------------------------------------------------------- */
/* One side                                                                                        */

static int side_alloc(struct side *side, bool pool, bool srq)
{
	struct ib_qp_init_attr attr = {
		.qp_type = IB_QPT_RC,
		.sq_sig_type = IB_SIGNAL_REQ_WR,
		.cap = { .max_send_wr = DEPTH, .max_recv_wr = DEPTH, .max_send_sge = 1, .max_recv_sge = 1 },
	};
	struct ib_device *device = side->id->device;
	struct ib_srq_init_attr srq_attr = { .attr = { .max_wr = DEPTH, .max_sge = 1 } };
	int ret;

	side->pd = ib_alloc_pd(device, 0);
	if (IS_ERR(side->pd))
		return PTR_ERR(side->pd);
	side->cq = pool ? ib_cq_pool_get(device, NR_CQE, -1, IB_POLL_WORKQUEUE) :
			  ib_alloc_cq(device, side, NR_CQE, 0, IB_POLL_SOFTIRQ);
	if (IS_ERR(side->cq))
		return PTR_ERR(side->cq);
	if (srq) {
		side->srq = ib_create_srq(side->pd, &srq_attr);
		if (IS_ERR(side->srq))
			return PTR_ERR(side->srq);
		attr.srq = side->srq;
		attr.cap.max_recv_wr = 0;
		attr.cap.max_recv_sge = 0;
	}
	attr.send_cq = side->cq;
	attr.recv_cq = side->cq;
	ret = rdma_create_qp(side->id, side->pd, &attr);
	if (ret)
		return ret;
	side->qp = side->id->qp;

	side->page = (u8 *)get_zeroed_page(GFP_KERNEL);
	side->region.va = (u8 *)get_zeroed_page(GFP_KERNEL);
	if (!side->page || !side->region.va)
		return -ENOMEM;
	side->dma = ib_dma_map_single(device, side->page, PAGE_SIZE, DMA_BIDIRECTIONAL);
	side->region.mr = ib_alloc_mr(side->pd, IB_MR_TYPE_MEM_REG, 2);
	if (IS_ERR(side->region.mr))
		return PTR_ERR(side->region.mr);
	sg_init_one(&side->region.sg, side->region.va, PAGE_SIZE);
	return ib_dma_map_sg(device, &side->region.sg, 1, DMA_BIDIRECTIONAL) == 1 ? 0 : -EIO;
}

static int side_import(struct side *side)
{
	side->domain = kfi_domain_import(side->pd);
	if (IS_ERR(side->domain))
		return PTR_ERR(side->domain);
	side->cq_view = kfi_cq_import(side->domain, side->cq);
	if (IS_ERR(side->cq_view))
		return PTR_ERR(side->cq_view);
	if (side->srq) {
		side->srx = kfi_srx_import(side->domain, side->srq);
		if (IS_ERR(side->srx))
			return PTR_ERR(side->srx);
	}
	side->ep = kfi_ep_import(side->domain, side->id, side->qp, side);
	return PTR_ERR_OR_ZERO(side->ep);
}

/* Whatever of it there is. */
static void side_free(struct side *side, bool pool)
{
	if (side->qp) {
		rdma_disconnect(side->id);
		if (side->srq)
			ib_drain_sq(side->qp);
		else
			ib_drain_qp(side->qp);
	}
	if (!IS_ERR_OR_NULL(side->ep))
		kfi_ep_unimport(side->ep);
	if (!IS_ERR_OR_NULL(side->region.view))
		kfi_mr_free(side->region.view);
	if (!IS_ERR_OR_NULL(side->srx))
		kfi_srx_free(side->srx);
	if (!IS_ERR_OR_NULL(side->cq_view))
		kfi_cq_free(side->cq_view);
	if (!IS_ERR_OR_NULL(side->domain))
		kfi_domain_put(side->domain);
	/* The views have left it all as it was: these would fail. */
	if (side->qp)
		rdma_destroy_qp(side->id);
	if (!IS_ERR_OR_NULL(side->region.mr)) {
		ib_dereg_mr(side->region.mr);
		ib_dma_unmap_sg(side->id->device, &side->region.sg, 1, DMA_BIDIRECTIONAL);
	}
	if (!IS_ERR_OR_NULL(side->srq))
		ib_destroy_srq(side->srq);
	if (!IS_ERR_OR_NULL(side->cq)) {
		if (pool)
			ib_cq_pool_put(side->cq, NR_CQE);
		else
			ib_free_cq(side->cq);
	}
	if (side->dma)
		ib_dma_unmap_single(side->id->device, side->dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (!IS_ERR_OR_NULL(side->pd))
		ib_dealloc_pd(side->pd);
	free_page((unsigned long)side->page);
	free_page((unsigned long)side->region.va);
	if (!IS_ERR_OR_NULL(side->id))
		rdma_destroy_id(side->id);
}

/* ---------------------------------------------------------------------------------------------- */
/* Both                                                                                            */

static int cm_event(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct pair *pair = id->context;
	struct side *side = id == pair->a.id ? &pair->a : &pair->p;

	if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST) {
		if (pair->p.id)
			return -EBUSY;
		pair->p.id = id;
	} else if (event->event == RDMA_CM_EVENT_DISCONNECTED || event->event == RDMA_CM_EVENT_TIMEWAIT_EXIT) {
		return 0;
	}
	side->last = event->event;
	complete(&side->event);
	return 0;
}

static int event_wait(struct side *side, enum rdma_cm_event_type wanted)
{
	if (!wait_for_completion_timeout(&side->event, TIMEOUT))
		return -ETIME;
	return kfi_expect(side->last, wanted) ? 0 : -EPROTO;
}

static int pair_up(struct pair *pair, bool srq)
{
	struct rdma_conn_param param = {
		.responder_resources = 4,
		.initiator_depth = 4,
		.retry_count = 7,
		.rnr_retry_count = 7,
	};
	struct side *a = &pair->a, *p = &pair->p;
	int ret;

	init_completion(&a->event);
	init_completion(&p->event);
	pair->listener = rdma_create_id(&init_net, cm_event, pair, RDMA_PS_TCP, IB_QPT_RC);
	if (IS_ERR(pair->listener))
		return PTR_ERR(pair->listener);
	ret = rdma_bind_addr(pair->listener, (struct sockaddr *)&listen_addr);
	ret = ret ?: rdma_listen(pair->listener, 1);
	if (ret)
		return ret;
	a->id = rdma_create_id(&init_net, cm_event, pair, RDMA_PS_TCP, IB_QPT_RC);
	if (IS_ERR(a->id))
		return PTR_ERR(a->id);
	ret = rdma_resolve_addr(a->id, (struct sockaddr *)&src_addr, (struct sockaddr *)&listen_addr, 5000);
	ret = ret ?: event_wait(a, RDMA_CM_EVENT_ADDR_RESOLVED);
	ret = ret ?: rdma_resolve_route(a->id, 5000);
	ret = ret ?: event_wait(a, RDMA_CM_EVENT_ROUTE_RESOLVED);
	ret = ret ?: side_alloc(a, false, false);
	ret = ret ?: rdma_connect(a->id, &param);
	ret = ret ?: event_wait(p, RDMA_CM_EVENT_CONNECT_REQUEST);
	ret = ret ?: side_alloc(p, true, srq);
	if (!ret) {
		rdma_lock_handler(p->id);
		ret = rdma_accept(p->id, &param);
		rdma_unlock_handler(p->id);
	}
	ret = ret ?: event_wait(a, RDMA_CM_EVENT_ESTABLISHED);
	ret = ret ?: event_wait(p, RDMA_CM_EVENT_ESTABLISHED);
	ret = ret ?: side_import(a);
	ret = ret ?: side_import(p);
	if (ret)
		kfi_say("no connection, or no view of it: %d", ret);
	return ret;
}

static void pair_free(struct pair *pair)
{
	if (!IS_ERR_OR_NULL(pair->listener))
		rdma_destroy_id(pair->listener);
	side_free(&pair->a, false);
	side_free(&pair->p, true);
	kfree(pair);
}

static int with(bool srq, int (*test)(struct pair *pair))
{
	struct pair *pair = kzalloc(sizeof(*pair), GFP_KERNEL);
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = pair_up(pair, srq);
	ret = ret ?: test(pair);
	pair_free(pair);
	return ret;
}

/* ---------------------------------------------------------------------------------------------- */
/* Raw work requests                                                                               */

static struct ib_sge page_sge(struct side *side, unsigned int part)
{
	return (struct ib_sge){ .addr = side->dma + AT(part), .length = PART, .lkey = side->pd->local_dma_lkey };
}

static struct kfi_sge page_kfi_sge(struct side *side, unsigned int part)
{
	return (struct kfi_sge){ .addr = side->dma + AT(part), .length = PART, .lkey = side->domain->local_dma_lkey };
}

static int raw_recv(struct side *side, struct entry *entry, unsigned int part)
{
	struct ib_sge sge = page_sge(side, part);
	struct ib_recv_wr wr = { .wr_cqe = &entry->cqe, .sg_list = &sge, .num_sge = 1 };

	entry_init(entry);
	return ib_post_recv(side->qp, &wr, NULL);
}

static int view_recv(struct side *side, struct entry *entry, unsigned int part)
{
	struct kfi_sge sge = page_kfi_sge(side, part);
	struct kfi_rx rx = { .ctx = &entry->ctx, .sgl = &sge, .nsge = 1 };

	entry_init(entry);
	return side->srx ? kfi_srx_recv(side->srx, &rx, NULL) : kfi_ep_recv(side->ep, &rx, NULL);
}

static int raw_send(struct side *side, struct entry *entry, unsigned int part)
{
	struct ib_sge sge = page_sge(side, part);
	struct ib_send_wr wr = {
		.wr_cqe = &entry->cqe,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IB_WR_SEND,
		.send_flags = IB_SEND_SIGNALED,
	};

	entry_init(entry);
	return ib_post_send(side->qp, &wr, NULL);
}

static int view_send(struct side *side, struct entry *entry, unsigned int part)
{
	struct kfi_sge sge = page_kfi_sge(side, part);
	struct kfi_op op;

	entry_init(entry);
	kfi_op_send(&op, &entry->ctx, &sge, 1, KFI_OP_SIGNALED);
	return kfi_ep_post(side->ep, &op, NULL);
}

static int raw_reg(struct side *side, struct entry *entry)
{
	struct ib_mr *mr = side->region.mr;
	struct ib_reg_wr wr = {
		.wr = { .wr_cqe = &entry->cqe, .opcode = IB_WR_REG_MR, .send_flags = IB_SEND_SIGNALED },
		.mr = mr,
		.access = IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_WRITE,
	};
	int ret = ib_map_mr_sg(mr, &side->region.sg, 1, NULL, PAGE_SIZE);

	if (ret != 1)
		return ret < 0 ? ret : -EIO;
	ib_update_fast_reg_key(mr, ib_inc_rkey(mr->rkey));
	wr.key = mr->rkey;
	entry_init(entry);
	return ib_post_send(side->qp, &wr.wr, NULL);
}

static int raw_inv(struct side *side, struct entry *entry, u32 key)
{
	struct ib_send_wr wr = {
		.wr_cqe = &entry->cqe,
		.opcode = IB_WR_LOCAL_INV,
		.send_flags = IB_SEND_SIGNALED | IB_SEND_FENCE,
		.ex.invalidate_rkey = key,
	};

	entry_init(entry);
	return ib_post_send(side->qp, &wr, NULL);
}

/* Raw, but a kfi context hears of it. Into the own region, from the peer's: both have the same parts. */
static int ctx_read(struct side *side, struct entry *entry, unsigned int part, u64 raddr, u32 rkey)
{
	struct ib_mr *mr = side->region.mr;
	struct ib_sge sge = { .addr = mr->iova + AT(part), .length = PART, .lkey = mr->lkey };
	struct ib_rdma_wr wr = {
		.wr = {
			.sg_list = &sge,
			.num_sge = 1,
			.opcode = IB_WR_RDMA_READ,
			.send_flags = IB_SEND_SIGNALED,
		},
		.remote_addr = raddr + AT(part),
		.rkey = rkey,
	};

	entry_init(entry);
	wr.wr.wr_cqe = kfi_ctx_cqe(&entry->ctx, side->ep);
	return ib_post_send(side->qp, &wr.wr, NULL);
}

static bool same(const u8 *got, const u8 *wanted)
{
	if (memcmp(got, wanted, PART)) {
		kfi_say("%#x and so on, not %#x", got[0], wanted[0]);
		return false;
	}
	return true;
}

static void fill(u8 *page, u8 salt)
{
	unsigned int i;

	for (i = 0; i < PAGE_SIZE; i++)
		page[i] = salt + i * 7 + i / PART;
}

/* ---------------------------------------------------------------------------------------------- */
/* Cases                                                                                           */

/* Nothing waits for anything between the posts of one side. */
static int mixed_in(struct pair *pair)
{
	struct side *a = &pair->a, *p = &pair->p;
	struct ib_mr *pmr = p->region.mr;
	struct entry *tx = a->tx;
	struct kfi_sge sge;
	int i, late, ret = 0;
	struct kfi_op op;
	bool ok;

	fill(a->page, 1);
	fill(p->region.va, 2);
	/* Every other receive is raw. */
	for (i = 0; i < 4 && !ret; i++)
		ret = i % 2 ? view_recv(p, &p->rx[i], i) : raw_recv(p, &p->rx[i], i);
	ret = ret ?: raw_reg(p, &p->tx[0]) ?: entry_wait(&p->tx[0], 1);
	if (ret)
		return ret;

	/* Registered raw, ended by kfi. */
	ret = raw_reg(a, &tx[0]);
	a->region.view = kfi_mr_import(a->domain, a->region.mr);
	if (IS_ERR(a->region.view))
		return PTR_ERR(a->region.view);
	ret = ret ?: view_send(a, &tx[1], 0);
	ret = ret ?: ctx_read(a, &tx[2], 4, pmr->iova, pmr->rkey);
	ret = ret ?: raw_send(a, &tx[3], 1);
	if (ret)
		return ret;
	sge = page_kfi_sge(a, 5);
	entry_init(&tx[4]);
	kfi_op_rma(&op, KFI_OP_WRITE, &tx[4].ctx, &sge, 1, KFI_OP_SIGNALED, pmr->iova + AT(5), pmr->rkey);
	ret = kfi_ep_post(a->ep, &op, NULL);
	entry_init(&tx[5]);
	kfi_op_mr_inv(&op, &tx[5].ctx, a->region.view, KFI_OP_SIGNALED | KFI_OP_FENCE);
	ret = ret ?: kfi_ep_post(a->ep, &op, NULL);
	if (ret)
		return ret;
	/* The other way round; the region may be mapped anew when it is free. */
	ret = entry_wait(tx, 6);
	if (ret)
		return ret;
	ok = same(a->region.va + AT(4), p->region.va + AT(4));
	ret = kfi_mr_map_sg(a->region.view, &a->region.sg, 1, NULL, PAGE_SIZE);
	if (ret != 1)
		return ret < 0 ? ret : -EIO;
	entry_init(&tx[6]);
	kfi_op_mr_reg(&op, &tx[6].ctx, a->region.view, KFI_ACCESS_LOCAL_WRITE | KFI_ACCESS_REMOTE_WRITE,
		      KFI_OP_SIGNALED);
	ret = kfi_ep_post(a->ep, &op, NULL);
	ret = ret ?: raw_send(a, &tx[7], 2);
	ret = ret ?: ctx_read(a, &tx[8], 6, pmr->iova, pmr->rkey);
	ret = ret ?: view_send(a, &tx[9], 3);
	ret = ret ?: raw_inv(a, &tx[10], a->region.view->rkey);
	ret = ret ?: entry_wait(&tx[6], 5);
	ret = ret ?: entry_wait(p->rx, 4);
	if (ret)
		return ret;

	/* siw completes a message that is behind a read before it; what is fenced waits. */
	late = rdma_protocol_iwarp(a->id->device, a->id->port_num) ? 2 : -1;
	ok &= in_order(tx, 6, late) && in_order(&tx[6], 5, late);
	ok &= kfi_expect(tx[2].order < tx[5].order && tx[8].order < tx[10].order, true);
	ok &= in_order(p->rx, 4, -1);
	for (i = 0; i < 4; i++)
		ok &= same(p->page + AT(i), a->page + AT(i));
	ok &= same(p->region.va + AT(5), a->page + AT(5));
	ok &= same(a->region.va + AT(6), p->region.va + AT(6));
	ok &= kfi_expect(tx[1].comp.ep == a->ep && tx[2].comp.ep == a->ep, true);
	ok &= kfi_expect(tx[2].comp.opcode, KFI_OP_READ);
	ok &= kfi_expect(p->rx[1].comp.opcode, KFI_OP_RECV) && kfi_expect(p->rx[1].comp.len, PART);
	ok &= kfi_expect(p->rx[1].comp.ep == p->ep && p->rx[1].comp.ep->priv == p, true);
	return ok ? 0 : -EBADMSG;
}

static int mixed(void) { return with(false, mixed_in); }

/* A raw chain among kfi operations, in one post. */
static int native_in(struct pair *pair)
{
	struct side *a = &pair->a, *p = &pair->p;
	struct ib_sge write_sge = page_sge(a, 4), send_sge = page_sge(a, 1);
	struct kfi_sge first_sge = page_kfi_sge(a, 0);
	struct ib_mr *pmr = p->region.mr;
	struct kfi_op first, native, last;
	struct entry *tx = a->tx;
	struct ib_rdma_wr write;
	struct ib_send_wr send;
	bool ok;
	int ret;

	fill(a->page, 3);
	ret = view_recv(p, &p->rx[0], 0) ?: raw_recv(p, &p->rx[1], 1);
	ret = ret ?: raw_reg(p, &p->tx[0]) ?: entry_wait(&p->tx[0], 1);
	if (ret)
		return ret;
	entry_init(&tx[0]);
	entry_init(&tx[1]);
	entry_init(&tx[2]);
	entry_init(&tx[3]);
	send = (struct ib_send_wr){
		.wr_cqe = kfi_ctx_cqe(&tx[2].ctx, a->ep),
		.sg_list = &send_sge,
		.num_sge = 1,
		.opcode = IB_WR_SEND,
		.send_flags = IB_SEND_SIGNALED,
	};
	write = (struct ib_rdma_wr){
		.wr = {
			.next = &send,
			.wr_cqe = &tx[1].cqe,
			.sg_list = &write_sge,
			.num_sge = 1,
			.opcode = IB_WR_RDMA_WRITE,
			.send_flags = IB_SEND_SIGNALED,
		},
		.remote_addr = pmr->iova + AT(4),
		.rkey = pmr->rkey,
	};
	kfi_op_send(&first, &tx[0].ctx, &first_sge, 1, KFI_OP_SIGNALED);
	kfi_op_native(&native, &write.wr);
	kfi_op_nop(&last, &tx[3].ctx, KFI_OP_SIGNALED);
	first.next = &native;
	native.next = &last;
	ret = kfi_ep_post(a->ep, &first, NULL);
	ret = ret ?: entry_wait(tx, 4) ?: entry_wait(p->rx, 2);
	if (ret)
		return ret;
	ok = in_order(tx, 4, -1) && in_order(p->rx, 2, -1);
	ok &= kfi_expect(tx[2].comp.opcode, KFI_OP_SEND) && kfi_expect(tx[2].comp.ep == a->ep, true);
	ok &= same(p->page + AT(0), a->page + AT(0)) && same(p->page + AT(1), a->page + AT(1));
	ok &= same(p->region.va + AT(4), a->page + AT(4));
	return ok ? 0 : -EBADMSG;
}

static int native(void) { return with(false, native_in); }

/* What is before the chain is accepted; of the chain the device has taken a beginning, which a drain gives back. */
static int in_part_in(struct pair *pair)
{
	struct entry *entry = kvcalloc(NR_TOO_MANY, sizeof(*entry), GFP_KERNEL);
	struct ib_rdma_wr *wr = kvcalloc(NR_TOO_MANY, sizeof(*wr), GFP_KERNEL);
	struct kfi_op first, native, last, *bad = NULL;
	struct side *a = &pair->a, *p = &pair->p;
	unsigned int i, taken = 0;
	struct entry *tx = a->tx;
	int ret = -ENOMEM;
	bool ok;

	if (!entry || !wr)
		goto out;
	for (i = 0; i < NR_TOO_MANY; i++) {
		entry_init(&entry[i]);
		/* Moves nothing. */
		wr[i].wr.opcode = IB_WR_RDMA_WRITE;
		wr[i].wr.send_flags = IB_SEND_SIGNALED;
		wr[i].wr.wr_cqe = &entry[i].cqe;
		wr[i].wr.next = i + 1 < NR_TOO_MANY ? &wr[i + 1].wr : NULL;
	}
	ret = view_recv(a, &a->rx[0], 0);
	if (ret)
		goto out;
	entry_init(&tx[0]);
	entry_init(&tx[1]);
	kfi_op_nop(&first, &tx[0].ctx, KFI_OP_SIGNALED);
	kfi_op_native(&native, &wr[0].wr);
	kfi_op_nop(&last, &tx[1].ctx, KFI_OP_SIGNALED);
	first.next = &native;
	native.next = &last;
	ok = kfi_expect(kfi_ep_post(a->ep, &first, &bad), -ECONNABORTED);
	ok &= kfi_expect(bad == &native, true);
	/* The drain needs room: there is some when the beginning has completed. */
	ret = entry_wait(tx, 1) ?: entry_wait(entry, 1);
	if (ret)
		goto out;
	ok &= kfi_expect(kfi_ep_abort(a->ep), 0);
	kfi_ep_drain(a->ep, KFI_TX | KFI_RX);
	while (taken < NR_TOO_MANY && atomic_read(&entry[taken].count))
		taken++;
	ok &= kfi_expect(taken >= DEPTH - 1 && taken < NR_TOO_MANY, true);
	for (i = 0; i < NR_TOO_MANY; i++)
		ok &= atomic_read(&entry[i].count) == (i < taken);
	ok &= kfi_expect(atomic_read(&tx[0].count), 1) && kfi_expect(atomic_read(&tx[1].count), 0);
	ok &= kfi_expect(atomic_read(&a->rx[0].count), 1) && kfi_expect(a->rx[0].status, -ECANCELED);
	if (!ok)
		kfi_say("%u of the chain were taken", taken);
	ret = ok ? 0 : -EBADMSG;
out:
	if (ret) {
		/* Nothing may be under way when the memory goes. */
		ib_drain_qp(a->qp);
		ib_drain_qp(p->qp);
	}
	kvfree(entry);
	kvfree(wr);
	return ret;
}

static int in_part(void) { return with(false, in_part_in); }

/* The endpoint of a shared receive, raw or not, is found by its queue pair. */
static int shared_in(struct pair *pair)
{
	struct side *a = &pair->a, *p = &pair->p;
	struct ib_sge sge = page_sge(p, 1);
	struct ib_recv_wr wr = { .sg_list = &sge, .num_sge = 1 };
	bool ok = true;
	int i, ret;

	fill(a->page, 4);
	ret = view_recv(p, &p->rx[0], 0);
	entry_init(&p->rx[1]);
	wr.wr_cqe = kfi_ctx_cqe(&p->rx[1].ctx, NULL);
	ret = ret ?: ib_post_srq_recv(p->srq, &wr, NULL);
	ret = ret ?: raw_send(a, &a->tx[0], 0);
	ret = ret ?: view_send(a, &a->tx[1], 1);
	ret = ret ?: entry_wait(a->tx, 2) ?: entry_wait(p->rx, 2);
	if (ret)
		return ret;
	ok = in_order(a->tx, 2, -1) && in_order(p->rx, 2, -1);
	for (i = 0; i < 2; i++) {
		ok &= kfi_expect(p->rx[i].comp.ep == p->ep, true) && kfi_expect(p->rx[i].comp.len, PART);
		ok &= kfi_expect(p->rx[i].comp.opcode, KFI_OP_RECV);
		ok &= same(p->page + AT(i), a->page + AT(i));
	}
	return ok ? 0 : -EBADMSG;
}

static int shared(void) { return with(true, shared_in); }

static int refusals_in(struct pair *pair)
{
	struct side *a = &pair->a, *p = &pair->p;
	struct kfi_domain *own = kfi_domain_open(a->domain->device, 0);
	struct ib_pd *pd = ib_alloc_pd(a->id->device, 0);
	struct kfi_domain *other;
	bool ok = false;

	if (IS_ERR(own) || IS_ERR(pd))
		goto out;
	other = kfi_domain_import(pd);
	if (IS_ERR(other))
		goto out;
	/* Of another device, of another protection domain, and no imported domain at all. */
	ok = kfi_expect(PTR_ERR_OR_ZERO(kfi_ep_import(a->domain, p->id, p->qp, NULL)), -EINVAL);
	ok &= kfi_expect(PTR_ERR_OR_ZERO(kfi_ep_import(other, a->id, a->qp, NULL)), -EINVAL);
	ok &= kfi_expect(PTR_ERR_OR_ZERO(kfi_ep_import(own, a->id, a->qp, NULL)), -EINVAL);
	ok &= kfi_expect(PTR_ERR_OR_ZERO(kfi_srx_import(a->domain, p->srq)), -EINVAL);
	ok &= kfi_expect(PTR_ERR_OR_ZERO(kfi_srx_import(own, p->srq)), -EINVAL);
	kfi_domain_put(other);
out:
	if (!IS_ERR(pd))
		ib_dealloc_pd(pd);
	if (!IS_ERR(own))
		kfi_domain_put(own);
	return ok ? 0 : -EBADMSG;
}

static int refusals(void) { return with(true, refusals_in); }

/* A device without a client's data is what kfi has not taken up, or no longer has. */
static int unknown_device(void)
{
	struct ib_device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	struct ib_pd pd = { .device = device };
	bool ok;

	if (!device)
		return -ENOMEM;
	xa_init_flags(&device->client_data, XA_FLAGS_ALLOC);
	ok = kfi_expect(PTR_ERR_OR_ZERO(kfi_domain_import(&pd)), -ENODEV);
	kfree(device);
	return ok ? 0 : -EBADMSG;
}

static int natives_in(struct pair *pair)
{
	struct sockaddr_storage peer;
	struct side *a = &pair->a;
	struct kfi_cq *direct;
	struct ib_cq *cq;
	bool ok;

	ok = kfi_expect(kfi_device_native(a->domain->device) == a->id->device, true);
	ok &= kfi_expect(kfi_domain_native(a->domain) == a->pd, true);
	ok &= kfi_expect(kfi_cq_native(a->cq_view) == a->cq, true);
	ok &= kfi_expect(kfi_ep_native(a->ep) == a->qp, true);
	ok &= kfi_expect(a->ep->priv == a, true);
	ok &= kfi_expect(kfi_ep_addr(a->ep, true, &peer), 0);
	ok &= kfi_expect(!memcmp(&peer, &listen_addr, 8), true);
	/* Who polls is the queue's business still. */
	ok &= kfi_expect(a->cq_view->poll, KFI_POLL_SOFTIRQ) && kfi_expect(pair->p.cq_view->poll, KFI_POLL_WORKQUEUE);
	ok &= kfi_expect(kfi_cq_poll(a->cq_view, -1), -EINVAL);
	cq = ib_alloc_cq(a->id->device, NULL, 4, 0, IB_POLL_DIRECT);
	if (IS_ERR(cq))
		return PTR_ERR(cq);
	direct = kfi_cq_import(a->domain, cq);
	ok &= kfi_expect(PTR_ERR_OR_ZERO(direct), 0);
	if (!IS_ERR(direct)) {
		ok &= kfi_expect(kfi_cq_poll(direct, -1), 0);
		kfi_cq_free(direct);
	}
	ib_free_cq(cq);
	return ok ? 0 : -EBADMSG;
}

static int natives(void) { return with(false, natives_in); }

/* ---------------------------------------------------------------------------------------------- */

static const struct {
	const char	*name;
	int		(*run)(void);
} cases[] = {
	{ "raw work requests and kfi operations in turn on one queue pair", mixed },
	{ "a raw chain among kfi operations", native },
	{ "a raw chain that the device takes in part", in_part },
	{ "shared receives, raw and of kfi", shared },
	{ "queue pairs and shared queues of another domain are refused", refusals },
	{ "a device that kfi does not know is refused", unknown_device },
	{ "what is behind the views", natives },
};

static int __init import_test_init(void)
{
	unsigned int i, nr_failed = 0;
	int ret;

	if (!addr || !src)
		return -EINVAL;
	ret = inet_pton_with_scope(&init_net, AF_UNSPEC, addr, port, &listen_addr);
	ret = ret ?: inet_pton_with_scope(&init_net, AF_UNSPEC, src, "0", &src_addr);
	if (ret)
		return ret;
	pr_info("KTAP version 1\n");
	pr_info("1..%zu\n", ARRAY_SIZE(cases));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ret = cases[i].run();
		if (ret) {
			nr_failed++;
			pr_info("not ok %u - %s # %d\n", i + 1, cases[i].name, ret);
		} else {
			pr_info("ok %u - %s\n", i + 1, cases[i].name);
		}
	}
	return nr_failed ? -EBADMSG : 0;
}
module_init(import_test_init);

static void __exit import_test_exit(void)
{
}
module_exit(import_test_exit);

MODULE_DESCRIPTION("Test of kfi's views of verbs objects");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("KFI");
