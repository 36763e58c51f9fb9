// SPDX-License-Identifier: GPL-2.0-only
/* kfi_test: a message that comes before the event which says that the connection is there. */
#define pr_fmt(fmt)	KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <net/net_namespace.h>
#include "kfi_test.h"

/**
 * struct early - the test
 * @pair: both ends
 * @delay_ms: how long the passive end waits before it speaks
 * @rx: the active end's receive
 * @received: it has completed
 * @status: its status
 * @posted: what the post in its callback has returned
 * @answer: that post
 * @question: the passive end's first message
 * @answered: the passive end's receive
 * @resolved: the resolve callback has returned
 * @ret: what went wrong there
 * @pret: what went wrong on the passive side
 */
struct early {
	struct kfi_pair		*pair;
	unsigned int		delay_ms;
	struct kfi_ctx		rx;
	struct completion	received;
	int			status;
	int			posted;
	struct kfi_wait		answer;
	struct kfi_wait		question;
	struct kfi_wait		answered;
	struct completion	resolved;
	int			ret;
	int			pret;
};

static void received(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct early *early = container_of(ctx, struct early, rx);
	struct kfi_op op;

	early->status = comp->status;
	if (!comp->status) {
		kfi_op_send(&op, &early->answer.ctx, NULL, 0, KFI_OP_SIGNALED);
		early->posted = kfi_ep_post(comp->ep, &op, NULL);
	}
	complete(&early->received);
}

/* The passive side speaks without having heard anything. */
static void requested(struct kfi_pep *pep, const struct kfi_event *event)
{
	struct kfi_conn_param param = { .rnr_retry_count = 7 };
	struct early *early = pep->priv;
	struct kfi_side *p = &early->pair->p;
	int ret;

	if (event->type != KFI_EVENT_CONNREQ)
		return;
	ret = p->ep ? -EBUSY : kfi_side_open(p, early->pair, event->info, true);
	if (ret) {
		kfi_info_put(event->info);
		early->pret = ret;
		return;
	}
	ret = kfi_side_recv(p, &early->answered, NULL, 0);
	ret = ret ?: kfi_ep_accept(p->ep, &param);
	msleep(early->delay_ms);
	ret = ret ?: kfi_side_send(p, &early->question, NULL, 0);
	early->pret = ret;
}

/* Events of one connection do not overlap: as long as this runs, ESTABLISHED cannot come. */
static void resolve_done(struct kfi_info *info, int status, void *priv)
{
	struct kfi_conn_param param = { .retry_count = 7, .rnr_retry_count = 7 };
	struct early *early = priv;
	struct kfi_side *a = &early->pair->a;
	struct kfi_rx rx = { .ctx = &early->rx };
	int ret;

	ret = status ?: kfi_side_open(a, early->pair, info, false);
	if (ret)
		goto out;
	ret = kfi_ep_recv(a->ep, &rx, NULL);
	ret = ret ?: kfi_ep_connect(a->ep, &param);
	ret = ret ?: kfi_test_wait(&early->received);
	if (!ret && !kfi_expect(completion_done(&a->established), false))
		ret = -EBADMSG;
out:
	early->ret = ret;
	complete(&early->resolved);
}

static int early_run(struct early *early)
{
	struct kfi_pair *pair = early->pair;
	struct kfi_info *info;
	int ret;

	pair->pep = kfi_test_listen(requested, early);
	if (IS_ERR(pair->pep))
		return PTR_ERR(pair->pep);
	info = kfi_test_resolve_start(resolve_done, early);
	if (IS_ERR(info))
		return PTR_ERR(info);
	/* Ends by the resolution's and the test's own time limits. */
	wait_for_completion(&early->resolved);
	if (!pair->a.ep)
		kfi_info_put(info);
	ret = early->ret ?: early->pret;
	if (ret) {
		kfi_say("active side %d, passive side %d", early->ret, early->pret);
		return ret;
	}
	/* It came together with the answer to the request, which siw takes for an error of the peer. */
	if (early->status == -ECANCELED)
		return -EAGAIN;
	if (!kfi_expect(early->status, 0) || !kfi_expect(early->posted, 0))
		return -EBADMSG;
	ret = kfi_test_wait(&pair->a.established);
	ret = ret ?: kfi_wait_status(&pair->a, &early->answer, 0);
	return ret ?: kfi_wait_status(&pair->p, &early->answered, 0);
}

static int post_early_after(unsigned int delay_ms)
{
	struct early *early = kzalloc(sizeof(*early), GFP_KERNEL);
	int ret = -ENOMEM;

	if (!early)
		return -ENOMEM;
	early->delay_ms = delay_ms;
	init_completion(&early->received);
	init_completion(&early->resolved);
	kfi_wait_init(&early->answer);
	early->rx.done = received;
	early->pair = kfi_pair_new();
	if (early->pair) {
		ret = early_run(early);
		kfi_pair_free(early->pair);
	}
	kfree(early);
	return ret;
}

/* Nothing tells the passive end when the active one is ready: it tries, and waits longer when it was too early. */
static int post_early(void)
{
	unsigned int delay_ms;
	int ret = -EAGAIN;

	for (delay_ms = 1; delay_ms < 4000 && ret == -EAGAIN; delay_ms *= 4)
		ret = post_early_after(delay_ms);
	return ret;
}

const struct kfi_case kfi_early_cases[] = {
	/* InfiniBand and RoCE make the queue pair ready in the callback that is held up here. */
	{ "connect: a receive before ESTABLISHED may post", post_early, KFI_CAP_READ_NEEDS_RKEY },
	KFI_CASES_END
};
