// SPDX-License-Identifier: GPL-2.0-only
/* kfi_test: what a peer refuses, and bulk transfers. */
#define pr_fmt(fmt)	KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include "kfi_test.h"

#define LEN	4096

/**
 * struct attempt - an access that the peer must refuse
 * @access: what the peer's region grants
 * @opcode: of the operation
 * @key: added to the key
 * @offset: from the begin of the region
 * @len: of the operation
 * @invalidate: end the key before
 * @other: use the key of another region, which has other memory
 */
struct attempt {
	u32	access;
	u8	opcode;
	u32	key;
	s32	offset;
	u32	len;
	bool	invalidate;
	bool	other;
};

static int invalidate(struct kfi_side *side, struct kfi_buf *buf)
{
	struct kfi_wait wait;
	struct kfi_op op;
	int ret;

	kfi_wait_init(&wait);
	kfi_op_mr_inv(&op, &wait.ctx, buf->mr, KFI_OP_SIGNALED);
	ret = kfi_ep_post(side->ep, &op, NULL);
	ret = ret ?: kfi_wait_status(side, &wait, 0);
	return ret ?: kfi_expect(wait.comp.opcode, KFI_OP_MR_INV) ? 0 : -EBADMSG;
}

/*
 * Over iWARP a write completes when it is sent, and the peer ends the connection. An operation may be cut off by that,
 * which siw calls an error of the queue pair, or be still in the queue.
 */
static bool outcome_ok(const struct attempt *at, int status)
{
	if (status == -EACCES)
		return true;
	if (kfi_test_iwarp() &&
	    (status == -ECANCELED || status == -EIO || (status == 0 && at->opcode == KFI_OP_WRITE)))
		return true;
	kfi_say("the status is %d, not %d", status, -EACCES);
	return false;
}

/* After a failure the endpoint is of no use any more. */
static int flushed(struct kfi_side *side)
{
	struct kfi_wait wait;
	struct kfi_op op;
	int ret, tries = 1000;

	kfi_wait_init(&wait);
	kfi_op_nop(&op, &wait.ctx, KFI_OP_SIGNALED);
	/* siw refuses for the moment in which the queue pair enters the error state. */
	do {
		ret = kfi_ep_post(side->ep, &op, NULL);
		if (ret != -ENOTCONN || !kfi_test_iwarp())
			break;
		usleep_range(10, 50);
	} while (tries--);
	return ret ?: kfi_wait_status(side, &wait, -ECANCELED);
}

/* The connection has ended, without a call of ours, for the reason that the operation has given. */
static int ended_by(struct kfi_side *side, int status)
{
	int ret = kfi_test_wait(&side->ended);

	if (ret) {
		kfi_say("the end is not reported");
		return ret;
	}
	/* Where the device ends the connection, the event may overtake the completion. */
	if (kfi_test_iwarp() || kfi_test_tcp())
		status = side->end_status;
	return kfi_expect(side->end_type, KFI_EVENT_DISCONNECTED) &&
	       kfi_expect(side->end_status, status) ? 0 : -EBADMSG;
}

static int attempt_on(struct kfi_pair *pair, const struct attempt *at, struct kfi_buf *local, struct kfi_buf *target,
		      struct kfi_buf *other)
{
	struct kfi_side *a = &pair->a, *p = &pair->p;
	struct kfi_wait wait;
	u32 key;
	int ret;

	ret = kfi_buf_expose(target, p, at->access);
	ret = ret ?: kfi_buf_expose(other, p, KFI_ACCESS_ALL);
	ret = ret ?: kfi_buf_expose(local, a, KFI_ACCESS_ALL);
	if (ret)
		return ret;
	key = at->other ? other->mr->rkey : target->mr->rkey;
	if (at->invalidate) {
		ret = invalidate(p, target);
		if (ret)
			return ret;
	}
	ret = kfi_side_rma(a, &wait, at->opcode, local, at->len, kfi_buf_addr(target) + at->offset, key + at->key);
	ret = ret ?: kfi_wait_for(a, &wait);
	if (ret)
		goto close;
	if (!outcome_ok(at, wait.comp.status))
		ret = -EBADMSG;
	/* Where the operation does not tell, the end of the connection does. */
	if (!ret && wait.comp.status == 0)
		ret = kfi_test_wait(&a->ended);
	ret = ret ?: flushed(a);
	ret = ret ?: ended_by(a, wait.comp.status);
	ret = ret ?: kfi_test_wait(&p->ended);
	if (!ret && !kfi_expect(p->end_type, KFI_EVENT_DISCONNECTED))
		ret = -EBADMSG;
	if (!ret && !kfi_expect(atomic_read(&wait.count), 1))
		ret = -EBADMSG;
close:
	kfi_side_close(a);
	kfi_side_close(p);
	if (!kfi_buf_is(target, 0, LEN, 0x11) || !kfi_buf_is(other, 0, LEN, 0x22) || !kfi_buf_is(local, 0, LEN, 0x33))
		ret = -EBADMSG;
	return ret;
}

static int attempt(const struct attempt *at)
{
	struct kfi_buf local = { }, target = { }, other = { };
	struct kfi_pair *pair = kfi_pair_new();
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_up(pair);
	ret = ret ?: kfi_buf_init(&local, pair->a.domain, LEN, 0x33);
	ret = ret ?: kfi_buf_init(&target, pair->p.domain, LEN, 0x11);
	ret = ret ?: kfi_buf_init(&other, pair->p.domain, LEN, 0x22);
	ret = ret ?: attempt_on(pair, at, &local, &target, &other);
	kfi_side_close(&pair->a);
	kfi_side_close(&pair->p);
	kfi_buf_fini(&local);
	kfi_buf_fini(&target);
	kfi_buf_fini(&other);
	kfi_pair_free(pair);
	return ret;
}

static int wrong_key(void)
{
	int ret = attempt(&(struct attempt){ KFI_ACCESS_ALL, KFI_OP_WRITE, .key = 0x100000, .len = 64 });

	return ret ?: attempt(&(struct attempt){ KFI_ACCESS_ALL, KFI_OP_READ, .key = 0x100000, .len = 64 });
}

static int other_region(void)
{
	int ret = attempt(&(struct attempt){ KFI_ACCESS_ALL, KFI_OP_WRITE, .len = 64, .other = true });

	return ret ?: attempt(&(struct attempt){ KFI_ACCESS_ALL, KFI_OP_READ, .len = 64, .other = true });
}

static int beyond(void)
{
	int ret = attempt(&(struct attempt){ KFI_ACCESS_ALL, KFI_OP_WRITE, .offset = LEN - 32, .len = 64 });

	ret = ret ?: attempt(&(struct attempt){ KFI_ACCESS_ALL, KFI_OP_READ, .offset = LEN - 32, .len = 64 });
	return ret ?: attempt(&(struct attempt){ KFI_ACCESS_ALL, KFI_OP_READ, .offset = -32, .len = 64 });
}

static int not_granted(void)
{
	const u32 write_only = KFI_ACCESS_LOCAL_WRITE | KFI_ACCESS_REMOTE_WRITE;
	int ret = attempt(&(struct attempt){ KFI_ACCESS_REMOTE_READ, KFI_OP_WRITE, .len = 64 });

	return ret ?: attempt(&(struct attempt){ write_only, KFI_OP_READ, .len = 64 });
}

static int old_key(void)
{
	return attempt(&(struct attempt){ KFI_ACCESS_ALL, KFI_OP_WRITE, .len = 64, .invalidate = true });
}

/* ---------------------------------------------------------------------------------------------- */
/* Local memory that is none                                                                       */

static int spoil_ended(struct kfi_side *side, struct kfi_buf *buf)
{
	return kfi_buf_expose(buf, side, KFI_ACCESS_ALL) ?: invalidate(side, buf);
}

static int spoil_unregistered(struct kfi_side *side, struct kfi_buf *buf)
{
	int ret = kfi_buf_map(buf);

	/* If the key were that of mapped memory, this would be some. */
	if (!ret)
		buf->mr->iova = buf->dma;
	return ret;
}

static int spoil_constant(struct kfi_side *side, struct kfi_buf *buf)
{
	return kfi_buf_expose(buf, side, KFI_ACCESS_REMOTE_READ);
}

/*
 * A region that is no good for what one side posts: a message, a receive, or a read. The other side does nothing wrong.
 */
static int local_key(enum kfi_opcode opcode, int (*spoil)(struct kfi_side *side, struct kfi_buf *buf))
{
	bool receive = opcode == KFI_OP_RECV;
	struct kfi_pair *pair = kfi_pair_new();
	struct kfi_buf abuf = { }, pbuf = { };
	struct kfi_wait tx, rx;
	struct kfi_side *side;
	struct kfi_buf *buf;
	struct kfi_wait *wait;
	bool tcp = kfi_test_tcp();
	int ret;

	if (!pair)
		return -ENOMEM;
	side = receive ? &pair->p : &pair->a;
	buf = receive ? &pbuf : &abuf;
	wait = receive ? &rx : &tx;
	ret = kfi_pair_up(pair);
	ret = ret ?: kfi_buf_init(&abuf, pair->a.domain, LEN, 1);
	ret = ret ?: kfi_buf_init(&pbuf, pair->p.domain, LEN, 2);
	ret = ret ?: spoil(side, buf);
	if (opcode == KFI_OP_READ) {
		ret = ret ?: kfi_buf_expose(&pbuf, &pair->p, KFI_ACCESS_ALL);
		ret = ret ?: kfi_side_rma(&pair->a, &tx, KFI_OP_READ, &abuf, 100, kfi_buf_addr(&pbuf), pbuf.mr->rkey);
	} else {
		ret = ret ?: kfi_side_recv(&pair->p, &rx, &pbuf, 100);
		ret = ret ?: kfi_side_send(&pair->a, &tx, &abuf, 100);
	}
	if (!ret) {
		ret = kfi_wait_for(side, wait);
		/* siw_check_mem() and rxe's copy_data() fail, and the soft drivers have other names for that. */
		if (!ret && wait->comp.status != -EFAULT && (tcp || !wait->comp.status)) {
			kfi_say("the status is %d, not %d", wait->comp.status, -EFAULT);
			ret = -EBADMSG;
		}
		ret = ret ?: flushed(side);
		/* The other one hears of the end, and that it was no orderly one where the provider can tell. */
		ret = ret ?: kfi_test_wait(receive ? &pair->a.ended : &pair->p.ended);
		if (!ret && tcp)
			ret = kfi_expect((receive ? &pair->a : &pair->p)->end_status, -EREMOTEIO) ? 0 : -EBADMSG;
	}
	kfi_side_close(&pair->a);
	kfi_side_close(&pair->p);
	if (!ret && !(kfi_buf_is(&abuf, 0, LEN, 1) && kfi_buf_is(&pbuf, 0, LEN, 2)))
		ret = -EBADMSG;
	kfi_buf_fini(&abuf);
	kfi_buf_fini(&pbuf);
	kfi_pair_free(pair);
	return ret;
}

static int local_ended_send(void) { return local_key(KFI_OP_SEND, spoil_ended); }
static int local_ended_receive(void) { return local_key(KFI_OP_RECV, spoil_ended); }
static int local_unregistered(void) { return local_key(KFI_OP_SEND, spoil_unregistered); }
static int local_constant_receive(void) { return local_key(KFI_OP_RECV, spoil_constant); }

/* Over iWARP it is the region's right to be written by the peer that counts. */
static int local_constant_read(void)
{
	return kfi_test_iwarp() ? KFI_SKIP : local_key(KFI_OP_READ, spoil_constant);
}

/* The key of a region that another endpoint of the domain has registered: over RDMA it is good all the same. */
static int local_other(void)
{
	struct kfi_pair *first = kfi_pair_new(), *second = kfi_pair_new();
	struct kfi_buf abuf = { }, pbuf = { };
	struct kfi_wait tx, rx;
	int ret;

	if (!first || !second) {
		kfree(first);
		kfree(second);
		return -ENOMEM;
	}
	ret = kfi_pair_up(first);
	/* Both listen at the same address. */
	kfi_pep_close(first->pep);
	first->pep = NULL;
	if (!ret)
		second->a.domain = kfi_domain_get(first->a.domain);
	ret = ret ?: kfi_pair_up(second);
	ret = ret ?: kfi_buf_init(&abuf, first->a.domain, LEN, 1);
	ret = ret ?: kfi_buf_init(&pbuf, second->p.domain, LEN, 2);
	ret = ret ?: kfi_buf_expose(&abuf, &first->a, KFI_ACCESS_ALL);
	ret = ret ?: kfi_side_recv(&second->p, &rx, &pbuf, 100);
	ret = ret ?: kfi_side_send(&second->a, &tx, &abuf, 100);
	ret = ret ?: kfi_wait_status(&second->a, &tx, kfi_test_tcp() ? -EFAULT : 0);
	ret = ret ?: kfi_wait_status(&second->p, &rx, kfi_test_tcp() ? -ECANCELED : 0);
	/* The endpoint that has registered it does not notice. */
	ret = ret ?: kfi_side_recv(&first->p, &rx, NULL, 0);
	ret = ret ?: kfi_side_send(&first->a, &tx, NULL, 0);
	ret = ret ?: kfi_wait_status(&first->p, &rx, 0);
	kfi_side_close(&first->a);
	kfi_side_close(&first->p);
	kfi_side_close(&second->a);
	kfi_side_close(&second->p);
	kfi_buf_fini(&abuf);
	kfi_buf_fini(&pbuf);
	kfi_pair_free(first);
	kfi_pair_free(second);
	return ret;
}

/* ---------------------------------------------------------------------------------------------- */
/* Messages that do not fit                                                                        */

static int too_long(void)
{
	struct kfi_pair *pair = kfi_pair_new();
	struct kfi_buf abuf = { }, pbuf = { };
	struct kfi_wait tx, rx;
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_up(pair);
	ret = ret ?: kfi_buf_init(&abuf, pair->a.domain, LEN, 1);
	ret = ret ?: kfi_buf_init(&pbuf, pair->p.domain, LEN, 0);
	ret = ret ?: kfi_side_recv(&pair->p, &rx, &pbuf, 100);
	ret = ret ?: kfi_side_send(&pair->a, &tx, &abuf, 200);
	if (!ret) {
		ret = kfi_wait_for(&pair->p, &rx);
		if (!ret && rx.comp.status != -EMSGSIZE && !(kfi_test_iwarp() && rx.comp.status == -ECANCELED)) {
			kfi_say("the receive ends with %d", rx.comp.status);
			ret = -EBADMSG;
		}
		ret = ret ?: flushed(&pair->p);
		ret = ret ?: ended_by(&pair->p, rx.comp.status);
	}
	kfi_side_close(&pair->a);
	kfi_side_close(&pair->p);
	if (!ret && !kfi_buf_is(&pbuf, 100, LEN, 0))
		ret = -EBADMSG;
	kfi_buf_fini(&abuf);
	kfi_buf_fini(&pbuf);
	kfi_pair_free(pair);
	return ret;
}

/* ---------------------------------------------------------------------------------------------- */
/* Bulk transfers                                                                                  */

#define BULK_PAGES	200

struct bulk {
	struct page		*pages[BULK_PAGES];
	struct scatterlist	sg[BULK_PAGES];
};

/* Begins and ends in the middle of a page; no device takes it as one piece. */
static int bulk_init(struct bulk *bulk, u8 fill)
{
	unsigned int i;

	sg_init_table(bulk->sg, BULK_PAGES);
	for (i = 0; i < BULK_PAGES; i++) {
		unsigned int from = i ? 0 : PAGE_SIZE / 2, to = i == BULK_PAGES - 1 ? PAGE_SIZE / 2 : PAGE_SIZE;

		bulk->pages[i] = alloc_page(GFP_KERNEL);
		if (!bulk->pages[i])
			return -ENOMEM;
		memset(page_address(bulk->pages[i]), fill, PAGE_SIZE);
		sg_set_page(&bulk->sg[i], bulk->pages[i], to - from, from);
	}
	return 0;
}

/* The list has this value, and what is beside it in its pages that one. */
static bool bulk_is(struct bulk *bulk, u8 inside, u8 outside)
{
	u8 *first = page_address(bulk->pages[0]), *last = page_address(bulk->pages[BULK_PAGES - 1]);
	unsigned int i;

	for (i = 0; i < BULK_PAGES; i++) {
		if (memchr_inv(sg_virt(&bulk->sg[i]), inside, bulk->sg[i].length)) {
			kfi_say("element %u is wrong", i);
			return false;
		}
	}
	return !memchr_inv(first, outside, PAGE_SIZE / 2) && !memchr_inv(last + PAGE_SIZE / 2, outside, PAGE_SIZE / 2);
}

static void bulk_fini(struct bulk *bulk)
{
	unsigned int i;

	for (i = 0; i < BULK_PAGES; i++)
		if (bulk->pages[i])
			__free_page(bulk->pages[i]);
}

static int transfer(struct kfi_side *side, struct scatterlist *sg, u32 nents, struct kfi_rma *rma, u64 raddr,
		    u32 rkey, enum dma_data_direction dir)
{
	struct kfi_wait wait;
	int ret;

	memset(rma, 0, sizeof(*rma));
	ret = kfi_rma_init(rma, side->ep, sg, nents, 0, raddr, rkey, dir);
	if (ret) {
		kfi_say("init: %d", ret);
		return ret;
	}
	if (!kfi_expect(rma->ep == side->ep, true) || !kfi_expect(rma->nr_ops > 0, true))
		return -EBADMSG;
	kfi_wait_init(&wait);
	ret = kfi_ep_post(side->ep, kfi_rma_op(rma, &wait.ctx, NULL), NULL);
	if (ret)
		kfi_say("post of %u operations: %d", rma->nr_ops, ret);
	ret = ret ?: kfi_wait_status(side, &wait, 0);
	kfi_rma_fini(rma, sg, nents, dir);
	return ret;
}

static int rma_arguments(struct kfi_side *side, struct bulk *bulk, struct kfi_rma *rma)
{
	bool ok;

	memset(rma, 0, sizeof(*rma));
	ok = kfi_expect(kfi_rma_init(rma, side->ep, NULL, 1, 0, 0, 0, DMA_TO_DEVICE), -EINVAL);
	ok &= kfi_expect(kfi_rma_init(rma, side->ep, bulk->sg, 0, 0, 0, 0, DMA_TO_DEVICE), -EINVAL);
	ok &= kfi_expect(kfi_rma_init(rma, side->ep, bulk->sg, 1, PAGE_SIZE, 0, 0, DMA_TO_DEVICE), -EINVAL);
	ok &= kfi_expect(kfi_rma_init(rma, side->ep, bulk->sg, 1, 0, 0, 0, DMA_BIDIRECTIONAL), -EINVAL);
	return ok ? 0 : -EBADMSG;
}

typedef int (*target_fn)(struct kfi_side *side, struct kfi_rma *rma, struct kfi_buf *target, void *data);

/*
 * Runs @run on a pair of which the active end transfers, and the passive end has @len bytes for that, which the peer
 * may read and write.
 */
static int with_target(u32 max_rma, u32 max_tx, size_t len, target_fn run, void *data)
{
	struct kfi_rma *rma = kzalloc(sizeof(*rma), GFP_KERNEL);
	struct kfi_pair *pair = kfi_pair_new();
	struct kfi_buf target = { };
	int ret = -ENOMEM;

	if (!rma || !pair)
		goto out;
	pair->max_rma = max_rma;
	if (max_tx)
		pair->max_tx = max_tx;
	ret = kfi_pair_up(pair);
	ret = ret ?: kfi_buf_init(&target, pair->p.domain, len, 0);
	ret = ret ?: kfi_buf_expose(&target, &pair->p, KFI_ACCESS_ALL);
	ret = ret ?: run(&pair->a, rma, &target, data);
	kfi_side_close(&pair->a);
	kfi_side_close(&pair->p);
out:
	kfi_buf_fini(&target);
	if (pair)
		kfi_pair_free(pair);
	kfree(rma);
	return ret;
}

static int bulk_on(struct kfi_side *side, struct kfi_rma *rma, struct kfi_buf *target, void *data)
{
	u32 len = (BULK_PAGES - 1) * PAGE_SIZE;
	struct bulk *bulk = data;
	int ret;

	ret = rma_arguments(side, bulk, rma);
	ret = ret ?: transfer(side, bulk->sg, BULK_PAGES, rma, kfi_buf_addr(target), target->mr->rkey, DMA_TO_DEVICE);
	if (ret)
		return ret;
	if (!kfi_buf_is(target, 0, len, 0x77))
		return -EBADMSG;
	memset(target->va, 0x88, len);
	ret = transfer(side, bulk->sg, BULK_PAGES, rma, kfi_buf_addr(target), target->mr->rkey, DMA_FROM_DEVICE);
	return ret ?: bulk_is(bulk, 0x88, 0x77) ? 0 : -EBADMSG;
}

static int bulk_transfer(void)
{
	struct bulk *bulk = kvzalloc(sizeof(*bulk), GFP_KERNEL);
	int ret;

	if (!bulk)
		return -ENOMEM;
	ret = bulk_init(bulk, 0x77);
	/* A transfer takes kfi_rma.nr_ops of the queue. */
	ret = ret ?: with_target(4, 64, (BULK_PAGES - 1) * PAGE_SIZE, bulk_on, bulk);
	bulk_fini(bulk);
	kvfree(bulk);
	return ret;
}

/* Of kmalloc(): pages of its own, and of slabs. A provider that sends pages by reference must not take them for any. */
#define HEAP_LARGE	(64 * 1024)
#define HEAP_SMALL	8192
#define NR_HEAP		4

struct heap {
	u8	*large;
	u8	*small[NR_HEAP];
};

static int heap_on(struct kfi_side *side, struct kfi_rma *rma, struct kfi_buf *target, void *data)
{
	struct scatterlist sg[NR_HEAP];
	struct heap *heap = data;
	int ret, i;

	memset(heap->large, 0x77, HEAP_LARGE);
	sg_init_one(sg, heap->large, HEAP_LARGE);
	ret = transfer(side, sg, 1, rma, kfi_buf_addr(target), target->mr->rkey, DMA_TO_DEVICE);
	if (ret || !kfi_buf_is(target, 0, HEAP_LARGE, 0x77))
		return ret ?: -EBADMSG;
	sg_init_table(sg, NR_HEAP);
	for (i = 0; i < NR_HEAP; i++) {
		memset(heap->small[i], 0x88, HEAP_SMALL);
		sg_set_buf(&sg[i], heap->small[i], HEAP_SMALL);
	}
	ret = transfer(side, sg, NR_HEAP, rma, kfi_buf_addr(target), target->mr->rkey, DMA_TO_DEVICE);
	return ret ?: kfi_buf_is(target, 0, NR_HEAP * HEAP_SMALL, 0x88) ? 0 : -EBADMSG;
}

static int heap_writes(void)
{
	struct heap heap = { .large = kmalloc(HEAP_LARGE, GFP_KERNEL) };
	bool there = heap.large;
	int ret, i;

	for (i = 0; i < NR_HEAP; i++) {
		heap.small[i] = kmalloc(HEAP_SMALL, GFP_KERNEL);
		there &= !!heap.small[i];
	}
	ret = there ? with_target(1, 0, HEAP_LARGE, heap_on, &heap) : -ENOMEM;
	for (i = 0; i < NR_HEAP; i++)
		kfree(heap.small[i]);
	kfree(heap.large);
	return ret;
}

#define KFI_CAP_RMA	(KFI_CAP_RMA_READ | KFI_CAP_RMA_WRITE | KFI_CAP_MR)

const struct kfi_case kfi_remote_cases[] = {
	{ "remote: wrong key", wrong_key, KFI_CAP_RMA },
	{ "remote: key of another region", other_region, KFI_CAP_RMA },
	{ "remote: range beyond the region", beyond, KFI_CAP_RMA },
	{ "remote: access not granted", not_granted, KFI_CAP_RMA },
	{ "remote: key that has ended", old_key, KFI_CAP_RMA },
	{ "local: key of a message that has ended", local_ended_send, KFI_CAP_MR },
	{ "local: key of a receive that has ended", local_ended_receive, KFI_CAP_MR },
	{ "local: key of a region that was never registered", local_unregistered, KFI_CAP_MR },
	{ "local: key of another endpoint of the domain", local_other, KFI_CAP_MR },
	{ "local: a receive into memory that is not to be written", local_constant_receive, KFI_CAP_MR },
	{ "local: a read into memory that is not to be written", local_constant_read, KFI_CAP_MR | KFI_CAP_RMA_READ },
	{ "remote: message longer than the receive", too_long },
	{ "rma: scatter list of many pieces", bulk_transfer, KFI_CAP_RMA },
	{ "heap: writes of memory of kmalloc()", heap_writes, KFI_CAP_RMA },
	KFI_CASES_END
};
