// SPDX-License-Identifier: GPL-2.0-only
/* kfi_test: endings. */
#define pr_fmt(fmt)	KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/workqueue.h>
#include "kfi_test.h"

#define NR_RX	8

static int post_nop(struct kfi_side *side, struct kfi_wait *wait)
{
	struct kfi_op op;

	kfi_wait_init(wait);
	kfi_op_nop(&op, &wait->ctx, KFI_OP_SIGNALED);
	return kfi_ep_post(side->ep, &op, NULL);
}

static bool all_once(struct kfi_wait *wait, unsigned int nr, int status)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!kfi_expect(atomic_read(&wait[i].count), 1) || !kfi_expect(wait[i].comp.status, status))
			return false;
	return true;
}

static int post_receives(struct kfi_side *side, struct kfi_wait *wait, unsigned int nr)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < nr && !ret; i++)
		ret = kfi_side_recv(side, &wait[i], NULL, 0);
	return ret;
}

/* Before it is connected: no operation, but receives, which the close flushes. */
static int not_connected(void)
{
	struct kfi_pair *pair = kfi_pair_new();
	struct kfi_wait rx[NR_RX], tx;
	bool ok;
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_open(pair);
	if (ret)
		goto out;
	ok = kfi_expect(post_nop(&pair->a, &tx), -ENOTCONN);
	ok &= kfi_expect(kfi_ep_shutdown(pair->a.ep), -ENOTCONN);
	ret = post_receives(&pair->a, rx, NR_RX);
	kfi_side_close(&pair->a);
	if (!ret && (!ok || !all_once(rx, NR_RX, -ECANCELED)))
		ret = -EBADMSG;
out:
	kfi_pair_free(pair);
	return ret;
}

static int abort_in(struct kfi_pair *pair, struct kfi_wait *rx)
{
	struct kfi_wait tx;
	int ret;

	ret = post_receives(&pair->a, rx, NR_RX);
	ret = ret ?: kfi_ep_abort(pair->a.ep);
	if (ret)
		return ret;
	/* Accepted, and flushed. */
	ret = post_nop(&pair->a, &tx);
	ret = ret ?: kfi_wait_status(&pair->a, &tx, -ECANCELED);
	kfi_ep_drain(pair->a.ep, KFI_TX | KFI_RX);
	return ret ?: all_once(rx, NR_RX, -ECANCELED) ? 0 : -EBADMSG;
}

static int drain_in(struct kfi_pair *pair, struct kfi_wait *rx)
{
	struct kfi_wait tx;
	int ret = post_receives(&pair->p, rx, NR_RX);

	if (ret)
		return ret;
	kfi_ep_drain(pair->p.ep, KFI_RX);
	if (!all_once(rx, NR_RX, -ECANCELED))
		return -EBADMSG;
	ret = post_nop(&pair->p, &tx);
	return ret ?: kfi_wait_status(&pair->p, &tx, -ECANCELED);
}

static int shutdown_in(struct kfi_pair *pair, struct kfi_wait *rx)
{
	struct kfi_wait tx;
	int ret = post_receives(&pair->p, rx, NR_RX);

	ret = ret ?: kfi_ep_shutdown(pair->a.ep);
	ret = ret ?: kfi_test_wait(&pair->a.ended);
	ret = ret ?: kfi_test_wait(&pair->p.ended);
	if (ret)
		return ret;
	if (!kfi_expect(pair->a.end_type, KFI_EVENT_DISCONNECTED) || !kfi_expect(pair->a.end_status, 0) ||
	    !kfi_expect(pair->p.end_type, KFI_EVENT_DISCONNECTED) || !kfi_expect(pair->p.end_status, 0) ||
	    !kfi_expect(kfi_ep_shutdown(pair->a.ep), -ENOTCONN))
		return -EBADMSG;
	/* The peer's end is an erred one: posts are flushed. */
	ret = post_nop(&pair->p, &tx);
	ret = ret ?: kfi_wait_status(&pair->p, &tx, -ECANCELED);
	kfi_ep_drain(pair->p.ep, KFI_RX);
	if (!ret && !all_once(rx, NR_RX, -ECANCELED))
		ret = -EBADMSG;
	if (!ret && (!kfi_expect(atomic_read(&pair->a.nr_ended), 1) || !kfi_expect(atomic_read(&pair->p.nr_ended), 1)))
		ret = -EBADMSG;
	return ret;
}

/* Ends the connection in the callback of its first message. */
struct ender {
	struct kfi_ctx		ctx;
	struct completion	done;
	int			(*end)(struct kfi_ep *ep);
	int			status;
	int			ret;
};

static void end_received(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct ender *ender = container_of(ctx, struct ender, ctx);

	ender->status = comp->status;
	ender->ret = ender->end(comp->ep);
	complete(&ender->done);
}

static int end_in_callback(struct kfi_pair *pair, struct kfi_wait *rx, int (*end)(struct kfi_ep *ep))
{
	struct ender ender = { .ctx.done = end_received, .end = end };
	struct kfi_rx first = { .ctx = &ender.ctx };
	struct kfi_wait tx;
	unsigned int i;
	int ret;

	init_completion(&ender.done);
	ret = kfi_ep_recv(pair->p.ep, &first, NULL);
	ret = ret ?: post_receives(&pair->p, rx, NR_RX);
	ret = ret ?: kfi_side_send(&pair->a, &tx, NULL, 0);
	/* What is on this stack is not in use when this returns: the close flushes it, if nothing else does. */
	if (ret || kfi_test_wait(&ender.done) || !kfi_expect(ender.status, 0) || !kfi_expect(ender.ret, 0))
		ret = ret ?: -EBADMSG;
	for (i = 0; i < NR_RX && !ret; i++)
		ret = kfi_wait_status(&pair->p, &rx[i], -ECANCELED);
	kfi_side_close(&pair->a);
	kfi_side_close(&pair->p);
	return ret ?: all_once(rx, NR_RX, -ECANCELED) ? 0 : -EBADMSG;
}

static int shutdown_in_callback(struct kfi_pair *pair, struct kfi_wait *rx)
{
	return end_in_callback(pair, rx, kfi_ep_shutdown);
}

static int abort_in_callback(struct kfi_pair *pair, struct kfi_wait *rx)
{
	return end_in_callback(pair, rx, kfi_ep_abort);
}

static int close_in(struct kfi_pair *pair, struct kfi_wait *rx)
{
	int ret = post_receives(&pair->p, rx, NR_RX);

	kfi_side_close(&pair->p);
	if (!ret && !all_once(rx, NR_RX, -ECANCELED))
		ret = -EBADMSG;
	/* The peer hears of it. */
	ret = ret ?: kfi_test_wait(&pair->a.ended);
	return ret ?: kfi_expect(pair->a.end_type, KFI_EVENT_DISCONNECTED) ? 0 : -EBADMSG;
}

/* A receive whose callback posts, while the close flushes it. */
struct late {
	struct kfi_ctx	ctx;
	unsigned int	count;
	int		status;
	int		post;
	int		recv;
};

static void late_done(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct late *late = container_of(ctx, struct late, ctx);
	struct kfi_rx rx = { .ctx = ctx };
	struct kfi_op op;

	late->status = comp->status;
	if (late->count++)
		return;
	kfi_op_nop(&op, NULL, 0);
	late->post = kfi_ep_post(comp->ep, &op, NULL);
	late->recv = kfi_ep_recv(comp->ep, &rx, NULL);
}

static int post_closed_in(struct kfi_pair *pair, struct kfi_wait *unused)
{
	struct late late = { .ctx.done = late_done };
	struct kfi_rx rx = { .ctx = &late.ctx };
	int ret = kfi_ep_recv(pair->a.ep, &rx, NULL);

	kfi_side_close(&pair->a);
	if (ret)
		return ret;
	return kfi_expect(late.count, 1) && kfi_expect(late.status, -ECANCELED) &&
	       kfi_expect(late.post, -ESHUTDOWN) && kfi_expect(late.recv, -ESHUTDOWN) ? 0 : -EBADMSG;
}

static int close_in_event_in(struct kfi_pair *pair, struct kfi_wait *rx)
{
	int ret = post_receives(&pair->p, rx, NR_RX);
	unsigned int i;

	pair->p.close_in_event = true;
	ret = ret ?: kfi_ep_shutdown(pair->a.ep);
	ret = ret ?: kfi_test_wait(&pair->p.closed);
	/* The rest of the close happens some time after the callback. */
	for (i = 0; i < NR_RX && !ret; i++)
		ret = kfi_test_wait(&rx[i].done);
	if (ret) {
		kfi_say("the close is not finished");
		return ret;
	}
	return all_once(rx, NR_RX, -ECANCELED) ? 0 : -EBADMSG;
}

/* The callback drains when somebody has begun to close: the close waits for the callback, not the callback for it. */
static struct kfi_wait *event_rx;
static bool event_drained;

static void drain_in_event(struct kfi_side *side)
{
	unsigned long end = jiffies + 10 * HZ;

	complete(&side->closed);
	while (kfi_ep_abort(side->ep) != -ESHUTDOWN && time_before(jiffies, end))
		usleep_range(50, 100);
	kfi_ep_drain(side->ep, KFI_TX | KFI_RX);
	event_drained = all_once(event_rx, NR_RX, -ECANCELED);
}

static int drain_in_event_in(struct kfi_pair *pair, struct kfi_wait *rx)
{
	int ret = post_receives(&pair->p, rx, NR_RX);

	event_rx = rx;
	event_drained = false;
	pair->p.in_event = drain_in_event;
	ret = ret ?: kfi_ep_shutdown(pair->a.ep);
	ret = ret ?: kfi_test_wait(&pair->p.closed);
	kfi_side_close(&pair->p);
	return ret ?: kfi_expect(event_drained, true) ? 0 : -EBADMSG;
}

/* A consumer that polls while kfi drains, as it does when the device goes: one of them runs callbacks at a time. */
struct slow {
	struct kfi_ctx	ctx;
	unsigned int	count;
};

static atomic_t callbacks, overlaps;

static void slow_done(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct slow *slow = container_of(ctx, struct slow, ctx);

	if (atomic_inc_return(&callbacks) != 1)
		atomic_inc(&overlaps);
	usleep_range(500, 1000);
	atomic_dec(&callbacks);
	slow->count++;
}

static int poll_loop(void *cq)
{
	while (!kthread_should_stop()) {
		kfi_cq_poll(cq, 1);
		usleep_range(50, 100);
	}
	return 0;
}

static int poll_and_drain_in(struct kfi_pair *pair, struct kfi_wait *unused)
{
	struct slow slow[NR_RX] = { };
	struct task_struct *task;
	unsigned int i;
	int ret = 0;

	/* TCP leaves it to the consumer. */
	if (kfi_test_tcp())
		return KFI_SKIP;
	atomic_set(&callbacks, 0);
	atomic_set(&overlaps, 0);
	for (i = 0; i < NR_RX && !ret; i++) {
		struct kfi_rx rx = { .ctx = &slow[i].ctx };

		slow[i].ctx.done = slow_done;
		ret = kfi_ep_recv(pair->p.ep, &rx, NULL);
	}
	task = kthread_run(poll_loop, pair->p.cq, "kfi_test");
	if (IS_ERR(task))
		ret = PTR_ERR(task);
	kfi_ep_drain(pair->p.ep, KFI_TX | KFI_RX);
	if (!IS_ERR(task))
		kthread_stop(task);
	for (i = 0; i < NR_RX && !ret; i++)
		ret = kfi_expect(slow[i].count, 1) ? 0 : -EBADMSG;
	return ret ?: kfi_expect(atomic_read(&overlaps), 0) ? 0 : -EBADMSG;
}

static int with_pair(enum kfi_poll poll, int (*test)(struct kfi_pair *pair, struct kfi_wait *rx))
{
	struct kfi_wait *rx = kcalloc(NR_RX, sizeof(*rx), GFP_KERNEL);
	struct kfi_pair *pair = kfi_pair_new();
	int ret = -ENOMEM;

	if (rx && pair) {
		pair->poll = poll;
		ret = kfi_pair_up(pair);
		ret = ret ?: test(pair, rx);
	}
	if (pair)
		kfi_pair_free(pair);
	kfree(rx);
	return ret;
}

static int abort_endpoint(void) { return with_pair(KFI_POLL_SOFTIRQ, abort_in); }
static int drain(void) { return with_pair(KFI_POLL_SOFTIRQ, drain_in); }
static int drain_direct(void) { return with_pair(KFI_POLL_DIRECT, drain_in); }
static int shutdown(void) { return with_pair(KFI_POLL_SOFTIRQ, shutdown_in); }
static int close(void) { return with_pair(KFI_POLL_SOFTIRQ, close_in); }
static int post_closed(void) { return with_pair(KFI_POLL_SOFTIRQ, post_closed_in); }
static int close_direct(void) { return with_pair(KFI_POLL_DIRECT, close_in); }
static int callback_shutdown(void) { return with_pair(KFI_POLL_WORKQUEUE, shutdown_in_callback); }
static int callback_abort(void) { return with_pair(KFI_POLL_UNBOUND_WORKQUEUE, abort_in_callback); }
static int close_workqueue(void) { return with_pair(KFI_POLL_WORKQUEUE, close_in); }

/*
 * The queue may be freed only when the endpoint has gone, and nobody tells when that is: a consumer that closes in the
 * callback keeps its queue until the receives have come back, as here, or for longer.
 */
static int close_in_event(void) { return with_pair(KFI_POLL_SOFTIRQ, close_in_event_in); }

static int poll_and_drain(void) { return with_pair(KFI_POLL_DIRECT, poll_and_drain_in); }

/* Nobody polls, so the drain does. */
static int drain_late(void) { return with_pair(KFI_POLL_DIRECT, drain_in_event_in); }

static int close_both_in(struct kfi_pair *pair, struct kfi_wait *rx)
{
	/* kfi_pair_free() closes both ends, one behind the other. */
	return post_receives(&pair->p, rx, NR_RX);
}

static int cycles(void)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < 20 && !ret; i++)
		ret = with_pair(i & 1 ? KFI_POLL_SOFTIRQ : KFI_POLL_UNBOUND_WORKQUEUE, close_both_in);
	return ret;
}

/* ---------------------------------------------------------------------------------------------- */
/* Several at once                                                                                 */

#define NR_PAIRS	8

struct closer {
	struct work_struct	work;
	struct kfi_side		*side;
};

static void close_work(struct work_struct *work)
{
	struct closer *closer = container_of(work, struct closer, work);

	kfi_ep_close(closer->side->ep);
	closer->side->ep = NULL;
}

/* Both ends of several connections, all at the same time, with receives posted. */
static int concurrent_closes(void)
{
	struct workqueue_struct *wq = alloc_workqueue("kfi_test", WQ_UNBOUND, 0);
	struct kfi_pair *pair[NR_PAIRS] = { };
	struct closer *closer = kcalloc(2 * NR_PAIRS, sizeof(*closer), GFP_KERNEL);
	struct kfi_wait *rx = kcalloc(NR_PAIRS * 2 * NR_RX, sizeof(*rx), GFP_KERNEL);
	unsigned int i;
	int ret = wq && closer && rx ? 0 : -ENOMEM;

	for (i = 0; i < NR_PAIRS && !ret; i++) {
		pair[i] = kfi_pair_new();
		ret = pair[i] ? kfi_pair_up(pair[i]) : -ENOMEM;
		/* The next one listens on the same port. */
		if (!ret) {
			kfi_pep_close(pair[i]->pep);
			pair[i]->pep = NULL;
		}
		ret = ret ?: post_receives(&pair[i]->a, rx + 2 * i * NR_RX, NR_RX);
		ret = ret ?: post_receives(&pair[i]->p, rx + (2 * i + 1) * NR_RX, NR_RX);
	}
	for (i = 0; i < 2 * NR_PAIRS && !ret; i++) {
		INIT_WORK(&closer[i].work, close_work);
		closer[i].side = i & 1 ? &pair[i / 2]->p : &pair[i / 2]->a;
		queue_work(wq, &closer[i].work);
	}
	if (wq)
		destroy_workqueue(wq);
	if (!ret && !all_once(rx, NR_PAIRS * 2 * NR_RX, -ECANCELED))
		ret = -EBADMSG;
	for (i = 0; i < NR_PAIRS; i++)
		if (pair[i])
			kfi_pair_free(pair[i]);
	kfree(closer);
	kfree(rx);
	return ret;
}

/* Close while connecting: nothing hangs, nothing comes afterwards. */
static int close_connecting(void)
{
	struct kfi_pair *pair = kfi_pair_new();
	struct kfi_wait *rx = kcalloc(NR_RX, sizeof(*rx), GFP_KERNEL);
	int ret = -ENOMEM;

	if (pair && rx) {
		ret = kfi_pair_request(pair, NULL, 0);
		ret = ret ?: post_receives(&pair->a, rx, NR_RX);
		kfi_side_close(&pair->a);
		if (!ret && (!all_once(rx, NR_RX, -ECANCELED) || !kfi_expect(atomic_read(&pair->a.nr_ended), 0)))
			ret = -EBADMSG;
	}
	if (pair)
		kfi_pair_free(pair);
	kfree(rx);
	return ret;
}

/* The request outlives the passive endpoint that it came through. */
static int request_outlives_listener(void)
{
	struct kfi_pair *pair = kfi_pair_new();
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_request(pair, NULL, 0);
	kfi_pep_close(pair->pep);
	pair->pep = NULL;
	ret = ret ?: kfi_pair_accept(pair, NULL, 0);
	kfi_pair_free(pair);
	return ret;
}

const struct kfi_case kfi_life_cases[] = {
	{ "life: not connected yet", not_connected },
	{ "life: abort flushes, and later posts too", abort_endpoint },
	{ "life: drain", drain },
	{ "life: drain of a direct queue", drain_direct },
	{ "life: drain of a direct queue that somebody polls", poll_and_drain },
	{ "life: shutdown is orderly on both sides", shutdown },
	{ "life: shutdown in the callback of a completion", callback_shutdown },
	{ "life: abort in the callback of a completion", callback_abort },
	{ "life: close completes everything", close },
	{ "life: posts are refused once a close has begun", post_closed },
	{ "life: close with a direct queue", close_direct },
	{ "life: close with a workqueue", close_workqueue },
	{ "life: close while connecting", close_connecting },
	{ "life: a request outlives its listener", request_outlives_listener },
	{ "life: close in the event callback", close_in_event },
	{ "life: drain in the event callback, during a close", drain_late },
	{ "life: 16 closes at once", concurrent_closes },
	{ "life: connect and close, 20 times", cycles },
	KFI_CASES_END
};
