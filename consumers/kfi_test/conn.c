// SPDX-License-Identifier: GPL-2.0-only
/* kfi_test: connections of this host with itself, and operations that can be waited for. */
#define pr_fmt(fmt)	KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <net/net_namespace.h>
#include "kfi_test.h"

#define TIMEOUT		(30 * HZ)

static atomic_t completions;

int kfi_test_wait(struct completion *done)
{
	return wait_for_completion_timeout(done, TIMEOUT) ? 0 : -ETIME;
}

/* ---------------------------------------------------------------------------------------------- */
/* Resolving and listening                                                                         */

struct resolution {
	struct completion	done;
	int			status;
};

static void resolved(struct kfi_info *info, int status, void *priv)
{
	struct resolution *res = priv;

	res->status = status;
	complete(&res->done);
}

/* To where the tests' listener is. */
struct kfi_info *kfi_test_resolve_start(kfi_resolve_fn done, void *priv)
{
	struct kfi_resolve_attr attr = {
		.net = &init_net,
		.src = kfi_test_src.ss_family ? (struct sockaddr *)&kfi_test_src : NULL,
		.dst = (struct sockaddr *)&kfi_test_addr,
		.tos = kfi_test_tos,
		.provider = kfi_test_provider,
		.done = done,
		.priv = priv,
	};

	return kfi_resolve(&attr);
}

struct kfi_info *kfi_test_resolve(int *status)
{
	struct resolution res = { };
	struct kfi_info *info;

	init_completion(&res.done);
	info = kfi_test_resolve_start(resolved, &res);
	if (IS_ERR(info))
		return info;
	/* Ends by the resolution's own time limits. */
	wait_for_completion(&res.done);
	*status = res.status;
	return info;
}

struct kfi_pep *kfi_test_listen(void (*event)(struct kfi_pep *pep, const struct kfi_event *event), void *priv)
{
	struct kfi_pep_attr attr = {
		.net = &init_net,
		.addr = (struct sockaddr *)&kfi_test_addr,
		.backlog = 64,
		.provider = kfi_test_provider,
		.event = event,
		.priv = priv,
	};

	return kfi_pep_open(&attr);
}

static void pep_event(struct kfi_pep *pep, const struct kfi_event *event)
{
	struct kfi_pair *pair = pep->priv;

	if (event->type != KFI_EVENT_CONNREQ)
		return;
	if (pair->request) {
		kfi_info_put(event->info);
		return;
	}
	pair->request = event->info;
	pair->asked_ird = event->info->ird;
	pair->asked_ord = event->info->ord;
	complete(&pair->requested);
}

/* ---------------------------------------------------------------------------------------------- */
/* One end                                                                                         */

static void copy_private_data(struct kfi_side *side, const struct kfi_event *event)
{
	side->pd_len = min_t(u32, event->private_data_len, sizeof(side->pd));
	if (event->private_data)
		memcpy(side->pd, event->private_data, side->pd_len);
}

static void ep_event(struct kfi_ep *ep, const struct kfi_event *event)
{
	struct kfi_side *side = ep->priv;

	switch (event->type) {
	case KFI_EVENT_ESTABLISHED:
		copy_private_data(side, event);
		side->ird = event->ird;
		side->ord = event->ord;
		complete_all(&side->established);
		return;
	case KFI_EVENT_REJECTED:
	case KFI_EVENT_ERROR:
	case KFI_EVENT_DISCONNECTED:
		if (event->type == KFI_EVENT_REJECTED)
			copy_private_data(side, event);
		side->end_type = event->type;
		side->end_status = event->status;
		atomic_inc(&side->nr_ended);
		if (side->in_event)
			side->in_event(side);
		if (side->close_in_event) {
			/* Last use of the endpoint: it goes some time after this returns. */
			side->ep = NULL;
			kfi_ep_close(ep);
			complete_all(&side->closed);
		}
		complete_all(&side->ended);
		return;
	default:
		return;
	}
}

static void side_init(struct kfi_side *side)
{
	init_completion(&side->established);
	init_completion(&side->ended);
	init_completion(&side->closed);
	side->want_ird = 4;
	side->want_ord = 4;
}

static struct kfi_cq *side_cq(struct kfi_side *side, struct kfi_pair *pair, u32 nr_cqe)
{
	if (pair->pool)
		return kfi_cq_pool_get(side->domain, nr_cqe, pair->vector, pair->poll);
	return kfi_cq_alloc(side->domain, side, nr_cqe, pair->vector, pair->poll);
}

int kfi_side_open(struct kfi_side *side, struct kfi_pair *pair, struct kfi_info *info, bool passive)
{
	struct kfi_ep_attr attr = {
		.max_tx = pair->max_tx,
		.max_rx = KFI_DEPTH,
		/* Transfers need fewer operations with more elements in each. */
		.max_tx_sge = pair->max_rma ? min(info->device->attr.max_tx_sge, 16) : !pair->no_sge,
		.max_rx_sge = 1,
		.max_rma = pair->max_rma,
		.event = ep_event,
		.priv = side,
	};
	struct kfi_ep *ep;

	if (!side->domain)
		side->domain = kfi_domain_open(info->device, 0);
	if (IS_ERR(side->domain))
		return PTR_ERR(side->domain);
	side->cq = side_cq(side, pair, pair->max_tx + KFI_DEPTH + 8);
	if (IS_ERR(side->cq))
		return PTR_ERR(side->cq);
	if (passive && pair->use_srx) {
		side->srx = kfi_srx_alloc(side->domain, KFI_DEPTH, 1);
		if (IS_ERR(side->srx))
			return PTR_ERR(side->srx);
	}
	attr.tx_cq = side->cq;
	attr.rx_cq = side->cq;
	attr.srx = side->srx;
	ep = kfi_ep_open(info, side->domain, &attr);
	if (IS_ERR(ep))
		return PTR_ERR(ep);
	side->ep = ep;
	/* Completion queues are made for what is asked for, so rounding up is not told. */
	if (attr.max_tx < pair->max_tx || attr.max_tx > pair->max_tx + 3 * pair->max_rma) {
		kfi_say("%u operations are granted", attr.max_tx);
		return -EBADMSG;
	}
	return 0;
}

void kfi_side_close(struct kfi_side *side)
{
	kfi_ep_close(side->ep);
	kfi_srx_free(side->srx);
	kfi_cq_free(side->cq);
	kfi_domain_put(side->domain);
	side->ep = NULL;
	side->srx = NULL;
	side->cq = NULL;
	side->domain = NULL;
}

/* ---------------------------------------------------------------------------------------------- */
/* Both ends                                                                                       */

void kfi_pair_init(struct kfi_pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	pair->poll = KFI_POLL_SOFTIRQ;
	pair->vector = -1;
	pair->max_tx = KFI_DEPTH;
	init_completion(&pair->requested);
	side_init(&pair->a);
	side_init(&pair->p);
}

struct kfi_pair *kfi_pair_new(void)
{
	struct kfi_pair *pair = kzalloc(sizeof(*pair), GFP_KERNEL);

	if (pair)
		kfi_pair_init(pair);
	return pair;
}

/* The active end, to where the tests' listener is, or would be. */
int kfi_pair_open(struct kfi_pair *pair)
{
	struct kfi_info *info;
	int status, ret;

	info = kfi_test_resolve(&status);
	if (IS_ERR(info))
		return PTR_ERR(info);
	ret = status ?: kfi_side_open(&pair->a, pair, info, false);
	/* An endpoint owns it. */
	if (!pair->a.ep)
		kfi_info_put(info);
	return ret;
}

/* Up to the request, which is left in pair->request. */
int kfi_pair_request(struct kfi_pair *pair, const void *private_data, u32 len)
{
	struct kfi_conn_param param = {
		.private_data = private_data,
		.private_data_len = len,
		.ird = pair->a.want_ird,
		.ord = pair->a.want_ord,
		.retry_count = 7,
		.rnr_retry_count = 7,
	};
	int ret;

	pair->pep = kfi_test_listen(pep_event, pair);
	if (IS_ERR(pair->pep))
		return PTR_ERR(pair->pep);
	ret = kfi_pair_open(pair);
	ret = ret ?: kfi_ep_connect(pair->a.ep, &param);
	return ret ?: kfi_test_wait(&pair->requested);
}

int kfi_pair_accept(struct kfi_pair *pair, const void *private_data, u32 len)
{
	struct kfi_conn_param param = {
		.private_data = private_data,
		.private_data_len = len,
		.ird = pair->p.want_ird,
		.ord = pair->p.want_ord,
		.rnr_retry_count = 7,
	};
	struct kfi_info *info = pair->request;
	int ret;

	ret = kfi_side_open(&pair->p, pair, info, true);
	if (ret)
		return ret;
	/* Keeps further requests out: pep_event() looks at it. */
	pair->request = ERR_PTR(-EALREADY);
	ret = kfi_ep_accept(pair->p.ep, &param);
	ret = ret ?: kfi_test_wait(&pair->a.established);
	return ret ?: kfi_test_wait(&pair->p.established);
}

int kfi_pair_up(struct kfi_pair *pair)
{
	int ret = kfi_pair_request(pair, NULL, 0);

	ret = ret ?: kfi_pair_accept(pair, NULL, 0);
	if (ret)
		kfi_say("no connection: %d", ret);
	return ret;
}

void kfi_pair_down(struct kfi_pair *pair)
{
	kfi_side_close(&pair->a);
	kfi_side_close(&pair->p);
	kfi_pep_close(pair->pep);
	pair->pep = NULL;
	if (!IS_ERR_OR_NULL(pair->request))
		kfi_info_put(pair->request);
	pair->request = NULL;
}

void kfi_pair_free(struct kfi_pair *pair)
{
	kfi_pair_down(pair);
	kfree(pair);
}

/* ---------------------------------------------------------------------------------------------- */
/* Operations                                                                                      */

static void wait_done(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct kfi_wait *wait = container_of(ctx, struct kfi_wait, ctx);

	wait->comp = *comp;
	wait->order = atomic_inc_return(&completions);
	wait->cpu = raw_smp_processor_id();
	wait->hardirq = in_hardirq();
	wait->noio = !(current_gfp_context(GFP_KERNEL) & __GFP_IO);
	atomic_inc(&wait->count);
	complete(&wait->done);
}

void kfi_wait_init(struct kfi_wait *wait)
{
	memset(wait, 0, sizeof(*wait));
	init_completion(&wait->done);
	wait->ctx.done = wait_done;
}

int kfi_wait_for(struct kfi_side *side, struct kfi_wait *wait)
{
	unsigned long end = jiffies + TIMEOUT;

	if (side->cq->poll != KFI_POLL_DIRECT)
		return kfi_test_wait(&wait->done);
	while (!try_wait_for_completion(&wait->done)) {
		if (kfi_cq_poll(side->cq, -1) < 0 || time_after(jiffies, end))
			return -ETIME;
		usleep_range(10, 50);
	}
	return 0;
}

int kfi_wait_status(struct kfi_side *side, struct kfi_wait *wait, int status)
{
	int ret = kfi_wait_for(side, wait);

	if (ret) {
		kfi_say("no completion");
		return ret;
	}
	return kfi_expect(wait->comp.status, status) && kfi_expect(wait->comp.ctx == &wait->ctx, true) ? 0 : -EBADMSG;
}

/* From one page on it is pages, as what storage moves, not memory of kmalloc(). */
static void buf_free(struct kfi_buf *buf)
{
	if (buf->len < PAGE_SIZE)
		kfree(buf->va);
	else
		free_pages_exact(buf->va, buf->len);
	buf->va = NULL;
}

int kfi_buf_init(struct kfi_buf *buf, struct kfi_domain *domain, u32 len, u8 fill)
{
	memset(buf, 0, sizeof(*buf));
	buf->va = len < PAGE_SIZE ? kmalloc(len, GFP_KERNEL) : alloc_pages_exact(len, GFP_KERNEL);
	if (!buf->va)
		return -ENOMEM;
	memset(buf->va, fill, len);
	buf->len = len;
	buf->domain = kfi_domain_get(domain);
	buf->dma = kfi_dma_map_single(domain, buf->va, len, DMA_BIDIRECTIONAL);
	if (kfi_dma_mapping_error(domain, buf->dma)) {
		kfi_domain_put(domain);
		buf_free(buf);
		return -ENOMEM;
	}
	return 0;
}

/* The endpoint that used it is closed, or all its operations are over. */
void kfi_buf_fini(struct kfi_buf *buf)
{
	if (!buf->va)
		return;
	if (buf->mr) {
		kfi_mr_free(buf->mr);
		kfi_dma_unmap_sg(buf->domain, &buf->sg, 1, DMA_BIDIRECTIONAL);
	}
	kfi_dma_unmap_single(buf->domain, buf->dma, buf->len, DMA_BIDIRECTIONAL);
	kfi_domain_put(buf->domain);
	buf_free(buf);
}

int kfi_buf_map(struct kfi_buf *buf)
{
	int nents, ret;

	if (!buf->mr) {
		struct kfi_mr *mr = kfi_mr_alloc(buf->domain, KFI_MR_MEM_REG, DIV_ROUND_UP(buf->len, PAGE_SIZE) + 1);

		if (IS_ERR(mr))
			return PTR_ERR(mr);
		sg_init_one(&buf->sg, buf->va, buf->len);
		nents = kfi_dma_map_sg(buf->domain, &buf->sg, 1, DMA_BIDIRECTIONAL);
		if (nents != 1) {
			kfi_mr_free(mr);
			return nents < 0 ? nents : -EIO;
		}
		buf->mr = mr;
	}
	ret = kfi_mr_map_sg(buf->mr, &buf->sg, 1, NULL, PAGE_SIZE);
	if (ret != 1)
		return ret < 0 ? ret : -EIO;
	return 0;
}

int kfi_buf_expose(struct kfi_buf *buf, struct kfi_side *side, u32 access)
{
	struct kfi_wait wait;
	struct kfi_op op;
	int ret;

	ret = kfi_buf_map(buf);
	if (ret)
		return ret;
	kfi_wait_init(&wait);
	kfi_op_mr_reg(&op, &wait.ctx, buf->mr, access, KFI_OP_SIGNALED);
	ret = kfi_ep_post(side->ep, &op, NULL);
	return ret ?: kfi_wait_status(side, &wait, 0);
}

struct kfi_sge kfi_buf_sge(struct kfi_buf *buf, u32 len)
{
	struct kfi_sge sge = { .addr = buf->dma, .length = len, .lkey = buf->domain->local_dma_lkey };

	if (buf->mr) {
		sge.addr = buf->mr->iova;
		sge.lkey = buf->mr->lkey;
	}
	return sge;
}

u64 kfi_buf_addr(struct kfi_buf *buf)
{
	return buf->mr->iova;
}

bool kfi_buf_is(struct kfi_buf *buf, u32 from, u32 to, u8 value)
{
	kfi_dma_sync_single_for_cpu(buf->domain, buf->dma, buf->len, DMA_BIDIRECTIONAL);
	for (; from < to; from++) {
		if (buf->va[from] != value) {
			kfi_say("byte %u is %#x, not %#x", from, buf->va[from], value);
			return false;
		}
	}
	kfi_dma_sync_single_for_device(buf->domain, buf->dma, buf->len, DMA_BIDIRECTIONAL);
	return true;
}

int kfi_side_recv(struct kfi_side *side, struct kfi_wait *wait, struct kfi_buf *buf, u32 len)
{
	struct kfi_sge sge = buf ? kfi_buf_sge(buf, len) : (struct kfi_sge){ };
	struct kfi_rx rx = { .ctx = &wait->ctx, .sgl = &sge, .nsge = buf ? 1 : 0 };

	kfi_wait_init(wait);
	return side->srx ? kfi_srx_recv(side->srx, &rx, NULL) : kfi_ep_recv(side->ep, &rx, NULL);
}

int kfi_side_send(struct kfi_side *side, struct kfi_wait *wait, struct kfi_buf *buf, u32 len)
{
	struct kfi_sge sge = buf ? kfi_buf_sge(buf, len) : (struct kfi_sge){ };
	struct kfi_op op;

	kfi_wait_init(wait);
	kfi_op_send(&op, &wait->ctx, &sge, buf ? 1 : 0, KFI_OP_SIGNALED);
	return kfi_ep_post(side->ep, &op, NULL);
}

int kfi_side_rma(struct kfi_side *side, struct kfi_wait *wait, u8 opcode, struct kfi_buf *local, u32 len, u64 raddr,
		 u32 rkey)
{
	struct kfi_sge sge = kfi_buf_sge(local, len);
	struct kfi_op op;

	kfi_wait_init(wait);
	kfi_op_rma(&op, opcode, &wait->ctx, &sge, 1, KFI_OP_SIGNALED, raddr, rkey);
	return kfi_ep_post(side->ep, &op, NULL);
}
