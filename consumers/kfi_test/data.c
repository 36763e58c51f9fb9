// SPDX-License-Identifier: GPL-2.0-only
/* kfi_test: messages and operations that succeed, and those that a post refuses. */
#define pr_fmt(fmt)	KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/irqflags.h>
#include "kfi_test.h"

#define LEN	1500

/* A pair with one buffer on each side, for one test. */
struct fixture {
	struct kfi_pair	*pair;
	struct kfi_buf	abuf;
	struct kfi_buf	pbuf;
	struct kfi_wait	tx;
	struct kfi_wait	rx;
};

static int fixture_up(struct fixture *f, enum kfi_poll poll, void (*change)(struct kfi_pair *pair))
{
	int ret;

	memset(f, 0, sizeof(*f));
	f->pair = kfi_pair_new();
	if (!f->pair)
		return -ENOMEM;
	f->pair->poll = poll;
	if (change)
		change(f->pair);
	ret = kfi_pair_up(f->pair);
	ret = ret ?: kfi_buf_init(&f->abuf, f->pair->a.domain, LEN, 0x5a);
	return ret ?: kfi_buf_init(&f->pbuf, f->pair->p.domain, LEN, 0);
}

static void fixture_down(struct fixture *f)
{
	if (!f->pair)
		return;
	kfi_side_close(&f->pair->a);
	kfi_side_close(&f->pair->p);
	kfi_buf_fini(&f->abuf);
	kfi_buf_fini(&f->pbuf);
	kfi_pair_free(f->pair);
}

/* Runs @test on a fixture. */
static int with(enum kfi_poll poll, void (*change)(struct kfi_pair *pair), int (*test)(struct fixture *f))
{
	struct fixture f;
	int ret = fixture_up(&f, poll, change);

	ret = ret ?: test(&f);
	fixture_down(&f);
	return ret;
}

static int message(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	int ret;

	ret = kfi_side_recv(p, &f->rx, &f->pbuf, LEN);
	ret = ret ?: kfi_side_send(a, &f->tx, &f->abuf, 1000);
	ret = ret ?: kfi_wait_status(p, &f->rx, 0);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	if (ret)
		return ret;
	if (!kfi_expect(f->rx.comp.opcode, KFI_OP_RECV) || !kfi_expect(f->rx.comp.len, 1000) ||
	    !kfi_expect(f->rx.comp.flags, 0) || !kfi_expect(f->rx.comp.ep == p->ep, true) ||
	    !kfi_expect(f->tx.comp.ep == a->ep, true) ||
	    !kfi_buf_is(&f->pbuf, 0, 1000, 0x5a) || !kfi_buf_is(&f->pbuf, 1000, LEN, 0))
		return -EBADMSG;
	return 0;
}

static int message_softirq(void) { return with(KFI_POLL_SOFTIRQ, NULL, message); }
static int message_workqueue(void) { return with(KFI_POLL_WORKQUEUE, NULL, message); }
static int message_unbound(void) { return with(KFI_POLL_UNBOUND_WORKQUEUE, NULL, message); }
static int message_direct(void) { return with(KFI_POLL_DIRECT, NULL, message); }

static void use_pool(struct kfi_pair *pair) { pair->pool = true; }
static int message_pool(void) { return with(KFI_POLL_WORKQUEUE, use_pool, message); }

static void use_srx(struct kfi_pair *pair) { pair->use_srx = true; }
static int message_srx(void) { return with(KFI_POLL_SOFTIRQ, use_srx, message); }

static void first_vector(struct kfi_pair *pair)
{
	pair->vector = 0;
}

static void second_vector(struct kfi_pair *pair)
{
	pair->vector = 1;
}

static int on_its_cpu(struct fixture *f)
{
	int ret = message(f);

	return ret ?: kfi_expect(f->rx.cpu, f->pair->vector) && kfi_expect(f->tx.cpu, f->pair->vector) ? 0 : -EBADMSG;
}

/* Where a device's interrupts go is the device's. */
static int vectors(void)
{
	int ret;

	if (!kfi_test_tcp() || num_possible_cpus() < 2 || !cpu_online(0) || !cpu_online(1))
		return KFI_SKIP;
	if (!kfi_expect(kfi_test_device->attr.nr_vectors, num_possible_cpus()))
		return -EBADMSG;
	ret = with(KFI_POLL_SOFTIRQ, first_vector, on_its_cpu);
	ret = ret ?: with(KFI_POLL_SOFTIRQ, second_vector, on_its_cpu);
	ret = ret ?: with(KFI_POLL_WORKQUEUE, first_vector, on_its_cpu);
	return ret ?: with(KFI_POLL_WORKQUEUE, second_vector, on_its_cpu);
}

/* Post, receive and poll with interrupts off. */
static int irqs_off_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	unsigned long flags;
	int ret;

	local_irq_save(flags);
	ret = kfi_side_recv(p, &f->rx, &f->pbuf, LEN);
	ret = ret ?: kfi_side_send(a, &f->tx, &f->abuf, LEN);
	if (!ret && (kfi_cq_poll(a->cq, 4) < 0 || kfi_cq_poll(p->cq, 4) < 0))
		ret = -EIO;
	local_irq_restore(flags);
	ret = ret ?: kfi_wait_status(p, &f->rx, 0);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	return ret ?: kfi_buf_is(&f->pbuf, 0, LEN, 0x5a) ? 0 : -EBADMSG;
}

static int irqs_off(void) { return with(KFI_POLL_DIRECT, NULL, irqs_off_in); }

/* All of a message in hardirqs: each side's post, and the polls until both have completed. */
struct hardirq {
	struct hrtimer		timer;
	struct fixture		*f;
	struct completion	done;
	ktime_t			end;
	bool			posted;
	int			ret;
};

static enum hrtimer_restart in_hardirq_timer(struct hrtimer *timer)
{
	struct hardirq *irq = container_of(timer, struct hardirq, timer);
	struct kfi_side *a = &irq->f->pair->a, *p = &irq->f->pair->p;
	struct fixture *f = irq->f;

	if (!irq->posted) {
		irq->posted = true;
		irq->ret = kfi_side_recv(p, &f->rx, &f->pbuf, LEN);
		irq->ret = irq->ret ?: kfi_side_send(a, &f->tx, &f->abuf, LEN);
	}
	if (!irq->ret && (kfi_cq_poll(a->cq, 4) < 0 || kfi_cq_poll(p->cq, 4) < 0))
		irq->ret = -EIO;
	if (!irq->ret && !(atomic_read(&f->tx.count) && atomic_read(&f->rx.count))) {
		if (ktime_before(ktime_get(), irq->end)) {
			/* The device moves the message meanwhile. */
			hrtimer_forward_now(timer, ms_to_ktime(1));
			return HRTIMER_RESTART;
		}
		irq->ret = -ETIME;
	}
	complete(&irq->done);
	return HRTIMER_NORESTART;
}

static int hardirq_in(struct fixture *f)
{
	struct hardirq irq = { .f = f, .end = ktime_add_ms(ktime_get(), 30 * MSEC_PER_SEC) };

	init_completion(&irq.done);
	hrtimer_setup_on_stack(&irq.timer, in_hardirq_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	hrtimer_start(&irq.timer, ms_to_ktime(1), HRTIMER_MODE_REL_HARD);
	wait_for_completion(&irq.done);
	hrtimer_cancel(&irq.timer);
	destroy_hrtimer_on_stack(&irq.timer);
	if (irq.ret)
		return irq.ret;
	return kfi_expect(f->tx.hardirq, true) && kfi_expect(f->rx.hardirq, true) &&
	       kfi_expect(f->tx.comp.status, 0) && kfi_expect(f->rx.comp.status, 0) &&
	       kfi_expect(f->rx.comp.len, LEN) && kfi_buf_is(&f->pbuf, 0, LEN, 0x5a) ? 0 : -EBADMSG;
}

static int hardirq(void) { return with(KFI_POLL_DIRECT, NULL, hardirq_in); }

static int empty_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	int ret;

	ret = kfi_side_recv(p, &f->rx, NULL, 0);
	ret = ret ?: kfi_side_send(a, &f->tx, NULL, 0);
	ret = ret ?: kfi_wait_status(p, &f->rx, 0);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	return ret ?: kfi_expect(f->rx.comp.len, 0) ? 0 : -EBADMSG;
}

static int empty(void) { return with(KFI_POLL_SOFTIRQ, NULL, empty_in); }

/* A message that finds no receive holds up nothing that travels in its direction for the peer's sake. */
static int no_receive_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	struct kfi_wait read;
	int ret;

	/* iWARP ends the connection instead. */
	if (kfi_test_iwarp())
		return KFI_SKIP;
	ret = kfi_buf_expose(&f->abuf, a, KFI_ACCESS_REMOTE_READ);
	ret = ret ?: kfi_side_send(a, &f->tx, &f->abuf, LEN);
	ret = ret ?: kfi_side_rma(p, &read, KFI_OP_READ, &f->pbuf, LEN, kfi_buf_addr(&f->abuf), f->abuf.mr->rkey);
	ret = ret ?: kfi_wait_status(p, &read, 0);
	if (ret)
		return ret;
	if (!kfi_expect(atomic_read(&f->tx.count), 0) || !kfi_buf_is(&f->pbuf, 0, LEN, 0x5a))
		return -EBADMSG;
	memset(f->pbuf.va, 0, LEN);
	ret = kfi_side_recv(p, &f->rx, &f->pbuf, LEN);
	ret = ret ?: kfi_wait_status(p, &f->rx, 0);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	return ret ?: kfi_buf_is(&f->pbuf, 0, LEN, 0x5a) ? 0 : -EBADMSG;
}

static int no_receive(void) { return with(KFI_POLL_SOFTIRQ, NULL, no_receive_in); }

static int immediate_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	struct kfi_sge sge = kfi_buf_sge(&f->abuf, 100);
	struct kfi_op op;
	int ret;

	ret = kfi_side_recv(p, &f->rx, &f->pbuf, LEN);
	kfi_wait_init(&f->tx);
	kfi_op_send_imm(&op, &f->tx.ctx, &sge, 1, KFI_OP_SIGNALED, 0x12345678);
	ret = ret ?: kfi_ep_post(a->ep, &op, NULL);
	ret = ret ?: kfi_wait_status(p, &f->rx, 0);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	if (ret)
		return ret;
	return kfi_expect(f->rx.comp.flags, KFI_COMP_IMM) && kfi_expect(f->rx.comp.data, 0x12345678) &&
	       kfi_expect(f->rx.comp.len, 100) && kfi_expect(f->rx.comp.opcode, KFI_OP_RECV) ? 0 : -EBADMSG;
}

static int immediate(void) { return with(KFI_POLL_SOFTIRQ, NULL, immediate_in); }

static int write_read_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	int ret;

	ret = kfi_buf_expose(&f->pbuf, p, KFI_ACCESS_ALL);
	/* The sink of the read; over iWARP it needs a key. */
	ret = ret ?: kfi_buf_expose(&f->abuf, a, KFI_ACCESS_ALL);
	ret = ret ?: kfi_side_rma(a, &f->tx, KFI_OP_WRITE, &f->abuf, 1000, kfi_buf_addr(&f->pbuf) + 100,
				  f->pbuf.mr->rkey);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	if (ret)
		return ret;
	memset(f->abuf.va, 0, LEN);
	/* Behind the write, so it sees what that has written. */
	ret = kfi_side_rma(a, &f->rx, KFI_OP_READ, &f->abuf, 1200, kfi_buf_addr(&f->pbuf), f->pbuf.mr->rkey);
	ret = ret ?: kfi_wait_status(a, &f->rx, 0);
	if (ret)
		return ret;
	return kfi_buf_is(&f->abuf, 0, 100, 0) && kfi_buf_is(&f->abuf, 100, 1100, 0x5a) &&
	       kfi_buf_is(&f->abuf, 1100, LEN, 0) && kfi_buf_is(&f->pbuf, 100, 1100, 0x5a) ? 0 : -EBADMSG;
}

static int write_read(void) { return with(KFI_POLL_SOFTIRQ, NULL, write_read_in); }

#define LARGE		(256 * 1024)
#define NR_LARGE	8

static u8 pattern(u32 i)
{
	return i ^ i >> 8 ^ i >> 16;
}

/* Where the n-th part begins: not at the begin of a page. */
static u32 part(int n)
{
	return n == NR_LARGE ? LARGE : n * (LARGE / NR_LARGE + 13);
}

static int write_part(struct kfi_side *side, struct kfi_wait *wait, struct kfi_buf *source,
		      struct kfi_buf *target, int n)
{
	struct kfi_sge sge = kfi_buf_sge(source, part(n + 1) - part(n));
	struct kfi_op op;

	sge.addr += part(n);
	kfi_wait_init(wait);
	kfi_op_rma(&op, KFI_OP_WRITE, &wait->ctx, &sge, 1, KFI_OP_SIGNALED, kfi_buf_addr(target) + part(n),
		   target->mr->rkey);
	return kfi_ep_post(side->ep, &op, NULL);
}

/* Several writes of many pages: all of them arrive, or the endpoint is closed while they are under way. */
static int large_on(struct kfi_pair *pair, struct kfi_buf *source, struct kfi_buf *target, bool close)
{
	struct kfi_side *a = &pair->a;
	struct kfi_wait wait[NR_LARGE];
	int ret, i, nr = 0;

	for (i = 0; i < LARGE; i++)
		source->va[i] = pattern(i);
	ret = kfi_buf_expose(target, &pair->p, KFI_ACCESS_ALL);
	while (!ret && nr < NR_LARGE) {
		ret = write_part(a, &wait[nr], source, target, nr);
		nr += !ret;
	}
	if (close)
		kfi_side_close(a);
	for (i = 0; i < nr && !close; i++)
		ret = ret ?: kfi_wait_status(a, &wait[i], 0);
	/* In any case before they go. */
	kfi_side_close(a);
	for (i = 0; i < nr; i++) {
		if (!kfi_expect(atomic_read(&wait[i].count), 1))
			ret = -EBADMSG;
	}
	for (i = 0; i < LARGE && !close && !ret; i++) {
		if (!kfi_expect(target->va[i], pattern(i)))
			ret = -EBADMSG;
	}
	return ret;
}

static int large(bool close)
{
	struct kfi_buf source = { }, target = { };
	struct kfi_pair *pair = kfi_pair_new();
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_up(pair);
	ret = ret ?: kfi_buf_init(&source, pair->a.domain, LARGE, 0x5a);
	ret = ret ?: kfi_buf_init(&target, pair->p.domain, LARGE, 0);
	ret = ret ?: large_on(pair, &source, &target, close);
	kfi_side_close(&pair->a);
	/* Pages that a packet still refers to stay until that has gone. */
	kfi_buf_fini(&source);
	kfi_side_close(&pair->p);
	kfi_buf_fini(&target);
	kfi_pair_free(pair);
	return ret;
}

static int large_writes(void) { return large(false); }
static int large_closed(void) { return large(true); }

/* What is read is the memory as it was before the write. */
static int fenced_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	struct kfi_sge to, from = kfi_buf_sge(&f->abuf, LEN);
	struct kfi_buf sink, target = { };
	struct kfi_op op[2];
	int ret;

	ret = kfi_buf_init(&sink, a->domain, LARGE, 0);
	if (ret)
		return ret;
	ret = kfi_buf_init(&target, p->domain, LARGE, 0x11);
	ret = ret ?: kfi_buf_expose(&target, p, KFI_ACCESS_ALL);
	/* The sink of the read; over iWARP it needs a key. */
	ret = ret ?: kfi_buf_expose(&sink, a, KFI_ACCESS_ALL);
	if (ret)
		goto out;
	to = kfi_buf_sge(&sink, LARGE);
	kfi_wait_init(&f->rx);
	kfi_wait_init(&f->tx);
	kfi_op_rma(&op[0], KFI_OP_READ, &f->rx.ctx, &to, 1, KFI_OP_SIGNALED, kfi_buf_addr(&target),
		   target.mr->rkey);
	kfi_op_rma(&op[1], KFI_OP_WRITE, &f->tx.ctx, &from, 1, KFI_OP_SIGNALED | KFI_OP_FENCE,
		   kfi_buf_addr(&target) + LARGE - LEN, target.mr->rkey);
	op[0].next = &op[1];
	ret = kfi_ep_post(a->ep, op, NULL);
	ret = ret ?: kfi_wait_status(a, &f->rx, 0);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	if (!ret && (!kfi_buf_is(&sink, 0, LARGE, 0x11) || !kfi_buf_is(&target, LARGE - LEN, LARGE, 0x5a)))
		ret = -EBADMSG;
out:
	/* The regions are fenced when their endpoints are closed. */
	kfi_side_close(a);
	kfi_side_close(p);
	kfi_buf_fini(&sink);
	kfi_buf_fini(&target);
	return ret;
}

static int fenced(void) { return with(KFI_POLL_SOFTIRQ, NULL, fenced_in); }

#define NR_READS	12
#define PIECE		(LEN / NR_READS)

static int read_piece(struct kfi_side *side, struct kfi_wait *wait, struct kfi_buf *sink, struct kfi_buf *source, int n)
{
	struct kfi_sge sge = kfi_buf_sge(sink, PIECE);
	struct kfi_op op;

	sge.addr += n * PIECE;
	kfi_wait_init(wait);
	kfi_op_rma(&op, KFI_OP_READ, &wait->ctx, &sge, 1, KFI_OP_SIGNALED, kfi_buf_addr(source) + n * PIECE,
		   source->mr->rkey);
	return kfi_ep_post(side->ep, &op, NULL);
}

/* More reads at once than any of the limits, from both ends. */
static int reads_both_ways(struct fixture *f, struct kfi_buf *asink, struct kfi_buf *psink)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	struct kfi_wait *wait;
	int ret, i;

	wait = kcalloc(2 * NR_READS, sizeof(*wait), GFP_KERNEL);
	if (!wait)
		return -ENOMEM;
	memset(f->pbuf.va, 0x11, LEN);
	ret = kfi_buf_expose(&f->abuf, a, KFI_ACCESS_ALL) ?: kfi_buf_expose(asink, a, KFI_ACCESS_ALL);
	ret = ret ?: kfi_buf_expose(&f->pbuf, p, KFI_ACCESS_ALL) ?: kfi_buf_expose(psink, p, KFI_ACCESS_ALL);
	for (i = 0; i < NR_READS && !ret; i++) {
		ret = read_piece(a, &wait[2 * i], asink, &f->pbuf, i);
		ret = ret ?: read_piece(p, &wait[2 * i + 1], psink, &f->abuf, i);
	}
	for (i = 0; i < NR_READS && !ret; i++) {
		ret = kfi_wait_status(a, &wait[2 * i], 0);
		ret = ret ?: kfi_wait_status(p, &wait[2 * i + 1], 0);
	}
	if (!ret && (!kfi_buf_is(asink, 0, LEN, 0x11) || !kfi_buf_is(psink, 0, LEN, 0x5a)))
		ret = -EBADMSG;
	kfi_side_close(a);
	kfi_side_close(p);
	kfree(wait);
	return ret;
}

/* An end reads no more at once than it wants, and than the other end lets it. */
static int reads_agreed(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	struct kfi_buf asink = { }, psink = { };
	bool ok;
	int ret;

	/* Seen from here: what the one end wants, the other one lets it. */
	ok = kfi_expect(f->pair->asked_ird, a->want_ord);
	ok &= kfi_expect(f->pair->asked_ord, a->want_ird);
	ok &= kfi_expect(a->ird, min(a->want_ird, p->want_ord));
	ok &= kfi_expect(p->ord, a->ird);
	ok &= kfi_expect(p->ird, min(a->want_ord, p->want_ird));
	/* The passive device of iWARP may let it have more. */
	ok &= kfi_test_iwarp() ? kfi_expect(a->ord >= p->ird && a->ord <= a->want_ord, true) :
				 kfi_expect(a->ord, p->ird);
	ret = kfi_buf_init(&asink, a->domain, LEN, 0) ?: kfi_buf_init(&psink, p->domain, LEN, 0);
	ret = ret ?: reads_both_ways(f, &asink, &psink);
	kfi_buf_fini(&asink);
	kfi_buf_fini(&psink);
	return ret ?: ok ? 0 : -EBADMSG;
}

static void active_wants_more(struct kfi_pair *pair)
{
	pair->a.want_ird = 2;
	pair->a.want_ord = 7;
	pair->p.want_ird = 5;
	pair->p.want_ord = 9;
}

static void passive_lets_more(struct kfi_pair *pair)
{
	pair->a.want_ird = 6;
	pair->a.want_ord = 1;
	pair->p.want_ird = 8;
	pair->p.want_ord = 3;
}

static int reads_unequal(void)
{
	return with(KFI_POLL_SOFTIRQ, active_wants_more, reads_agreed) ?:
	       with(KFI_POLL_SOFTIRQ, passive_lets_more, reads_agreed);
}

static int write_immediate_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	struct kfi_sge sge = kfi_buf_sge(&f->abuf, 300);
	struct kfi_op op;
	int ret;

	ret = kfi_buf_expose(&f->pbuf, p, KFI_ACCESS_ALL);
	ret = ret ?: kfi_side_recv(p, &f->rx, NULL, 0);
	if (ret)
		return ret;
	kfi_wait_init(&f->tx);
	kfi_op_rma(&op, KFI_OP_WRITE_WITH_IMM, &f->tx.ctx, &sge, 1, KFI_OP_SIGNALED, kfi_buf_addr(&f->pbuf),
		   f->pbuf.mr->rkey);
	op.data = 77;
	ret = kfi_ep_post(a->ep, &op, NULL);
	ret = ret ?: kfi_wait_status(p, &f->rx, 0);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	if (ret)
		return ret;
	return kfi_expect(f->rx.comp.opcode, KFI_OP_RECV_WRITE_IMM) && kfi_expect(f->rx.comp.data, 77) &&
	       kfi_expect(f->rx.comp.flags, KFI_COMP_IMM) && kfi_buf_is(&f->pbuf, 0, 300, 0x5a) ? 0 : -EBADMSG;
}

static int write_immediate(void) { return with(KFI_POLL_SOFTIRQ, NULL, write_immediate_in); }

static int nop_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a;
	struct kfi_op op;
	int ret;

	kfi_wait_init(&f->tx);
	kfi_op_nop(&op, &f->tx.ctx, KFI_OP_SIGNALED | KFI_OP_FENCE);
	ret = kfi_ep_post(a->ep, &op, NULL);
	return ret ?: kfi_wait_status(a, &f->tx, 0);
}

static int marker(void) { return with(KFI_POLL_SOFTIRQ, NULL, nop_in); }

/* The peer's key ends by a message; the old key is then of no use, and the region can be used again. */
static int send_inv_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	struct kfi_sge sge = kfi_buf_sge(&f->abuf, 64);
	struct kfi_buf target;
	struct kfi_op op;
	u32 key;
	int ret;

	ret = kfi_buf_init(&target, p->domain, LEN, 0);
	if (ret)
		return ret;
	ret = kfi_buf_expose(&target, p, KFI_ACCESS_ALL);
	ret = ret ?: kfi_side_recv(p, &f->rx, &f->pbuf, LEN);
	if (ret)
		goto out;
	key = target.mr->rkey;
	kfi_wait_init(&f->tx);
	kfi_op_send_inv(&op, &f->tx.ctx, &sge, 1, KFI_OP_SIGNALED, key);
	ret = kfi_ep_post(a->ep, &op, NULL);
	ret = ret ?: kfi_wait_status(p, &f->rx, 0);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	if (ret)
		goto out;
	if (!kfi_expect(f->rx.comp.flags, KFI_COMP_INV) || !kfi_expect(f->rx.comp.data, key) ||
	    !kfi_expect(target.mr->need_inval, true) || !kfi_expect(kfi_mr_remote_inv(target.mr, key + 1), -EPROTO) ||
	    !kfi_expect(kfi_mr_remote_inv(target.mr, key), 0) || !kfi_expect(target.mr->need_inval, false)) {
		ret = -EBADMSG;
		goto out;
	}
	ret = kfi_buf_expose(&target, p, KFI_ACCESS_ALL);
	if (!ret && !kfi_expect(target.mr->rkey != key, true))
		ret = -EBADMSG;
	ret = ret ?: kfi_side_rma(a, &f->tx, KFI_OP_WRITE, &f->abuf, 64, kfi_buf_addr(&target), target.mr->rkey);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
out:
	/* The region is fenced when its endpoint is closed. */
	kfi_side_close(p);
	kfi_buf_fini(&target);
	return ret;
}

static int send_inv(void) { return with(KFI_POLL_SOFTIRQ, NULL, send_inv_in); }

/* A chain of unsignaled operations and a signaled one at its end: one completion, everything done. */
static int chain_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	struct kfi_sge sge = kfi_buf_sge(&f->abuf, 100);
	struct kfi_wait silent, rx[3];
	struct kfi_op op[3];
	unsigned int i;
	int ret = 0;

	kfi_wait_init(&silent);
	kfi_wait_init(&f->tx);
	for (i = 0; i < 3 && !ret; i++)
		ret = kfi_side_recv(p, &rx[i], NULL, 0);
	if (ret)
		return ret;
	kfi_op_send(&op[0], &silent.ctx, &sge, 0, 0);
	kfi_op_send(&op[1], NULL, &sge, 0, 0);
	kfi_op_send(&op[2], &f->tx.ctx, &sge, 0, KFI_OP_SIGNALED);
	op[0].next = &op[1];
	op[1].next = &op[2];
	ret = kfi_ep_post(a->ep, &op[0], NULL);
	for (i = 0; i < 3 && !ret; i++)
		ret = kfi_wait_status(p, &rx[i], 0);
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	if (ret)
		goto out;
	if (!kfi_expect(atomic_read(&silent.count), 0) || !kfi_expect(rx[0].order < rx[1].order, true) ||
	    !kfi_expect(rx[1].order < rx[2].order, true))
		ret = -EBADMSG;
out:
	/* Nothing of this stack is in flight afterwards. */
	kfi_side_close(a);
	kfi_side_close(p);
	return ret;
}

static int chain(void) { return with(KFI_POLL_SOFTIRQ, NULL, chain_in); }

/* What a post refuses, and from where on. */
static int refused_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a;
	u32 max_sge = kfi_test_device->attr.max_tx_sge;
	struct kfi_sge *sgl = kcalloc(max_sge + 2, sizeof(*sgl), GFP_KERNEL);
	struct kfi_op op[2], *bad = NULL;
	bool ok;
	int ret;

	if (!sgl)
		return -ENOMEM;
	sgl[0] = kfi_buf_sge(&f->abuf, 8);
	kfi_wait_init(&f->tx);

	kfi_op_nop(&op[0], &f->tx.ctx, KFI_OP_SIGNALED);
	kfi_op_init(&op[1], 42, &f->tx.ctx, sgl, 1, KFI_OP_SIGNALED);
	op[0].next = &op[1];
	/* The first one is good: it is accepted and completes. */
	ok = kfi_expect(kfi_ep_post(a->ep, &op[0], &bad), -EINVAL);
	ok &= kfi_expect(bad == &op[1], true);
	ret = kfi_wait_status(a, &f->tx, 0);

	kfi_op_init(&op[0], KFI_OP_RECV, &f->tx.ctx, sgl, 1, KFI_OP_SIGNALED);
	ok &= kfi_expect(kfi_ep_post(a->ep, &op[0], &bad), -EINVAL);
	ok &= kfi_expect(bad == &op[0], true);
	kfi_op_send(&op[0], &f->tx.ctx, sgl, 1, KFI_OP_SIGNALED | 0x80);
	ok &= kfi_expect(kfi_ep_post(a->ep, &op[0], NULL), -EOPNOTSUPP);
	kfi_op_send(&op[0], &f->tx.ctx, sgl, max_sge + 1, KFI_OP_SIGNALED);
	ok &= kfi_expect(kfi_ep_post(a->ep, &op[0], NULL), -EINVAL);
	ok &= kfi_expect(atomic_read(&f->tx.count), 1);
	kfree(sgl);
	return ret ?: ok ? 0 : -EBADMSG;
}

static int refused(void) { return with(KFI_POLL_SOFTIRQ, NULL, refused_in); }

/* More operations than there is room for: -ENOMEM, and those that were accepted complete. */
static int full_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a;
	unsigned int nr = 0, max = 4096, i;
	struct kfi_wait *wait = kvcalloc(max, sizeof(*wait), GFP_KERNEL);
	struct kfi_op op;
	int ret = 0;

	if (!wait)
		return -ENOMEM;
	/* Nobody polls, so that none of them makes room. */
	while (nr < max) {
		kfi_wait_init(&wait[nr]);
		kfi_op_nop(&op, &wait[nr].ctx, KFI_OP_SIGNALED);
		ret = kfi_ep_post(a->ep, &op, NULL);
		if (ret)
			break;
		nr++;
	}
	if (nr == max)
		ret = 0;
	else
		ret = kfi_expect(ret, -ENOMEM) && kfi_expect(nr >= f->pair->max_tx, true) ? 0 : -EBADMSG;
	kfi_ep_drain(a->ep, KFI_TX);
	for (i = 0; i < nr; i++) {
		if (!kfi_expect(atomic_read(&wait[i].count), 1)) {
			ret = -EBADMSG;
			break;
		}
	}
	kfi_side_close(a);
	kvfree(wait);
	return ret;
}

static int full(void) { return with(KFI_POLL_DIRECT, NULL, full_in); }

static void no_sge(struct kfi_pair *pair) { pair->no_sge = true; }

/* Where operations have no elements, and no transfers were asked for, one is refused, or works all the same. */
static int no_elements_in(struct fixture *f)
{
	static const enum dma_data_direction dirs[] = { DMA_TO_DEVICE, DMA_FROM_DEVICE };
	struct kfi_rma rma = { };
	struct scatterlist sg[2];
	unsigned int i;
	int ret;

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], f->abuf.va, 1);
	sg_set_buf(&sg[1], f->abuf.va + 2, 1);
	for (i = 0; i < 2; i++) {
		ret = kfi_rma_init(&rma, f->pair->a.ep, sg, 2, 0, 0, 0, dirs[i]);
		if (!ret)
			kfi_rma_fini(&rma, sg, 2, dirs[i]);
		else if (ret != -EAGAIN && !kfi_expect(ret, -EINVAL))
			return -EBADMSG;
	}
	return 0;
}

static int no_elements(void) { return with(KFI_POLL_SOFTIRQ, no_sge, no_elements_in); }

/* ---------------------------------------------------------------------------------------------- */
/* Transfers that find no room                                                                     */

static void one_rma(struct kfi_pair *pair) { pair->max_rma = 1; }

/* Fills the queue with operations that nobody hears of: -ENOMEM, or 0 when it has no end. */
static int fill(struct kfi_side *side)
{
	unsigned int nr;
	struct kfi_op op;
	int ret = 0;

	for (nr = 0; nr < 4096 && !ret; nr++) {
		kfi_op_nop(&op, NULL, 0);
		ret = kfi_ep_post(side->ep, &op, NULL);
	}
	return ret;
}

/* A chain that was refused is posted again as it is: each of its operations runs once. */
static int again_in(struct fixture *f)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	unsigned long end = jiffies + 10 * HZ;
	struct kfi_op send, *first, *bad;
	struct kfi_rma rma = { };
	struct scatterlist sg;
	struct kfi_wait more;
	int ret;

	sg_init_one(&sg, f->abuf.va, LEN);
	ret = kfi_buf_expose(&f->pbuf, p, KFI_ACCESS_ALL);
	ret = ret ?: kfi_side_recv(p, &f->rx, NULL, 0);
	ret = ret ?: kfi_side_recv(p, &more, NULL, 0);
	ret = ret ?: kfi_rma_init(&rma, a->ep, &sg, 1, 0, kfi_buf_addr(&f->pbuf), f->pbuf.mr->rkey, DMA_TO_DEVICE);
	if (ret)
		goto out;
	kfi_wait_init(&f->tx);
	kfi_op_send(&send, &f->tx.ctx, NULL, 0, KFI_OP_SIGNALED);
	first = kfi_rma_op(&rma, NULL, &send);
	if (fill(a) != -ENOMEM) {
		ret = KFI_SKIP;
		goto out;
	}
	do {
		bad = first;
		ret = kfi_ep_post(a->ep, bad, &bad);
		/* The transfer may have found the last place. */
		if (ret == -ENOMEM && bad == &send)
			first = bad;
		cond_resched();
	} while (ret == -ENOMEM && time_before(jiffies, end));
	ret = ret ?: kfi_wait_status(a, &f->tx, 0);
	ret = ret ?: kfi_wait_status(p, &f->rx, 0);
	kfi_side_close(p);
	if (!ret && (!kfi_expect(atomic_read(&f->tx.count), 1) || !kfi_expect(more.comp.status, -ECANCELED) ||
		     !kfi_buf_is(&f->pbuf, 0, LEN, 0x5a)))
		ret = -EBADMSG;
out:
	kfi_ep_drain(a->ep, KFI_TX);
	kfi_rma_fini(&rma, &sg, 1, DMA_TO_DEVICE);
	kfi_side_close(a);
	kfi_side_close(p);
	return ret;
}

static int again(void) { return with(KFI_POLL_SOFTIRQ, one_rma, again_in); }

/* A transfer of more operations than there is room for: it completes, and the connection ends. */
static int in_part_in(struct fixture *f, struct scatterlist *sgl, bool drain)
{
	struct kfi_side *a = &f->pair->a, *p = &f->pair->p;
	struct kfi_op send, *bad = NULL;
	struct kfi_rma rma = { };
	unsigned int i;
	int ret;

	sg_init_table(sgl, LEN);
	for (i = 0; i < LEN; i++)
		sg_set_buf(&sgl[i], f->abuf.va + i, 1);
	ret = kfi_buf_expose(&f->pbuf, p, KFI_ACCESS_ALL);
	ret = ret ?: kfi_side_recv(p, &f->rx, NULL, 0);
	ret = ret ?: kfi_rma_init(&rma, a->ep, sgl, LEN, 0, kfi_buf_addr(&f->pbuf), f->pbuf.mr->rkey, DMA_TO_DEVICE);
	if (ret)
		return ret;
	if (rma.nr_ops == 1) {
		ret = KFI_SKIP;
		goto out;
	}
	kfi_wait_init(&f->tx);
	kfi_op_send(&send, &f->tx.ctx, NULL, 0, KFI_OP_SIGNALED);
	ret = kfi_ep_post(a->ep, drain ? kfi_rma_op(&rma, NULL, &send) : kfi_rma_op(&rma, &f->tx.ctx, NULL), &bad);
	if (!kfi_expect(ret, 0) || !kfi_expect(!bad, true)) {
		ret = -EBADMSG;
		goto out;
	}
	if (drain)
		kfi_ep_drain(a->ep, KFI_TX);
	ret = kfi_wait_status(a, &f->tx, -ECANCELED);
	ret = ret ?: kfi_test_wait(&a->ended);
	ret = ret ?: kfi_test_wait(&p->ended);
	if (!ret && (!kfi_expect(a->end_type, KFI_EVENT_DISCONNECTED) ||
		     !kfi_expect(a->end_status, kfi_test_iwarp() ? a->end_status : -ENOMEM)))
		ret = -EBADMSG;
out:
	kfi_ep_drain(a->ep, KFI_TX);
	kfi_rma_fini(&rma, sgl, LEN, DMA_TO_DEVICE);
	kfi_side_close(a);
	if (!ret && (!kfi_expect(atomic_read(&f->tx.count), 1) || !kfi_expect(atomic_read(&a->nr_ended), 1)))
		ret = -EBADMSG;
	return ret;
}

static int in_part_of(struct fixture *f, bool drain)
{
	struct scatterlist *sgl = kvcalloc(LEN, sizeof(*sgl), GFP_KERNEL);
	int ret = sgl ? in_part_in(f, sgl, drain) : -ENOMEM;

	kvfree(sgl);
	return ret;
}

static int in_part_alone(struct fixture *f) { return in_part_of(f, false); }
static int in_part_drained(struct fixture *f) { return in_part_of(f, true); }

static int in_part(void) { return with(KFI_POLL_SOFTIRQ, one_rma, in_part_alone); }

static int in_part_drain(void)
{
	return with(KFI_POLL_WORKQUEUE, one_rma, in_part_drained) ?: with(KFI_POLL_DIRECT, one_rma, in_part_drained);
}

static int starve(void)
{
	void *memory = NULL;

	kfi_test_starve(true);
	memory = kmalloc(64, GFP_KERNEL);
	kfi_test_starve(false);
	kfree(memory);
	return memory ? KFI_SKIP : 0;
}

/* Whoever moves the bytes is on the way to a disk, too, and so is whoever hears of it. */
static int noio_in(struct fixture *f)
{
	int ret = message(f);

	return ret ?: kfi_expect(f->tx.noio, true) && kfi_expect(f->rx.noio, true) ? 0 : -EBADMSG;
}

/* Over RDMA there is nobody: the device moves them. */
static int noio(void) { return kfi_test_tcp() ? with(KFI_POLL_SOFTIRQ, NULL, noio_in) : KFI_SKIP; }

const struct kfi_case kfi_data_cases[] = {
	{ "memory: posts and polls of these tests get none", starve },
	{ "memory: what moves bytes causes no I/O for it", noio },
	{ "message: softirq", message_softirq },
	{ "message: workqueue", message_workqueue },
	{ "message: unbound workqueue", message_unbound },
	{ "message: direct polling", message_direct },
	{ "message: queue from the pool", message_pool },
	{ "message: shared receive context", message_srx, KFI_CAP_SRX },
	{ "message: on the CPU of the completion vector", vectors },
	{ "message: posted and polled with interrupts off", irqs_off },
	{ "message: posted and polled in hardirqs", hardirq },
	{ "message: without payload", empty },
	{ "message: without a receive, the peer's read passes", no_receive, KFI_CAP_RMA_READ | KFI_CAP_MR },
	{ "message: immediate data", immediate, KFI_CAP_IMM },
	{ "message: invalidates a key", send_inv, KFI_CAP_SEND_INV | KFI_CAP_MR },
	{ "rma: write, then read", write_read, KFI_CAP_RMA_READ | KFI_CAP_RMA_WRITE | KFI_CAP_MR },
	{ "rma: large writes", large_writes, KFI_CAP_RMA_WRITE | KFI_CAP_MR },
	{ "rma: closed during large writes", large_closed, KFI_CAP_RMA_WRITE | KFI_CAP_MR },
	{ "rma: a fenced write behind a read", fenced, KFI_CAP_RMA_READ | KFI_CAP_RMA_WRITE | KFI_CAP_MR },
	{ "rma: unequal limits of reads, and more reads than that", reads_unequal, KFI_CAP_RMA_READ | KFI_CAP_MR },
	{ "rma: write with immediate data", write_immediate, KFI_CAP_WRITE_IMM | KFI_CAP_MR },
	{ "rma: without elements", no_elements, KFI_CAP_RMA_READ | KFI_CAP_RMA_WRITE },
	{ "nop: completes", marker },
	{ "post: chain with one completion", chain },
	{ "post: unknown opcode and flag, too many elements", refused },
	{ "post: no room", full },
	{ "post: a transfer that the device takes in part", in_part, KFI_CAP_RMA_WRITE | KFI_CAP_MR },
	{ "post: a transfer taken in part, then drained", in_part_drain, KFI_CAP_RMA_WRITE | KFI_CAP_MR },
	{ "post: a chain that was refused, once more", again, KFI_CAP_RMA_WRITE | KFI_CAP_MR },
	KFI_CASES_END
};
