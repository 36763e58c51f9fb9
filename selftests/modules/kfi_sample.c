// SPDX-License-Identifier: GPL-2.0-only
/*
 * A consumer of kfi in C, as small as it can be: it listens on an address, connects to itself, sends a question and
 * waits for the answer. Documentation/kfi/api.rst walks through it. Loading it fails when anything fails.
 *
 *	modprobe kfi_sample addr=10.0.0.1 port=7471
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <kfi/kfi.h>

static char *addr = "127.0.0.1";
module_param(addr, charp, 0444);
MODULE_PARM_DESC(addr, "address to listen on and to connect to");
static char *port = "7471";
module_param(port, charp, 0444);
MODULE_PARM_DESC(port, "port");
static char *provider;
module_param(provider, charp, 0444);
MODULE_PARM_DESC(provider, "name of the only provider to use");

#define MESSAGE_SIZE 64

/* One end of the connection. */
struct side {
	const char		*name;
	struct kfi_info		*info;
	struct kfi_domain	*domain;
	struct kfi_cq		*cq;
	struct kfi_ep		*ep;
	/* What is sent and, behind it, what is received; mapped for the device. */
	char			*buffer;
	u64			dma;
	struct kfi_ctx		send, receive;
	/* First error; 0 until there is one. */
	int			status;
	struct completion	resolved, connected, answered, ended;
};

/* Bit 0: a peer was accepted. */
static unsigned long served;
static struct side client = { .name = "client" }, server = { .name = "server" };

static void side_fail(struct side *side, const char *what, int status)
{
	if (!side->status) {
		pr_err("%s: %s: %s (%d)\n", side->name, what, kfi_strerror(status), status);
		side->status = status;
	}
	complete_all(&side->resolved);
	complete_all(&side->connected);
	complete_all(&side->answered);
}

/* Completions run in softirq: they may post, and must not sleep. */
static void send_done(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct side *side = container_of(ctx, struct side, send);

	/* Flushed: the connection ended first, and that was told already. */
	if (comp->status && comp->status != -ECANCELED)
		side_fail(side, "send", comp->status);
}

static void side_send(struct side *side, const char *text)
{
	struct kfi_sge sge = {
		.addr = side->dma, .length = MESSAGE_SIZE, .lkey = side->domain->local_dma_lkey,
	};
	struct kfi_op op;
	int ret;

	kfi_dma_sync_single_for_cpu(side->domain, side->dma, MESSAGE_SIZE, DMA_TO_DEVICE);
	strscpy_pad(side->buffer, text, MESSAGE_SIZE);
	kfi_dma_sync_single_for_device(side->domain, side->dma, MESSAGE_SIZE, DMA_TO_DEVICE);

	side->send.done = send_done;
	/* The operation and its list may live on the stack: the post has read them when it returns. */
	kfi_op_send(&op, &side->send, &sge, 1, KFI_OP_SIGNALED);
	ret = kfi_ep_post(side->ep, &op, NULL);
	if (ret)
		side_fail(side, "post", ret);
}

static void receive_done(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct side *side = container_of(ctx, struct side, receive);

	if (comp->status) {
		if (comp->status != -ECANCELED)
			side_fail(side, "receive", comp->status);
		return;
	}
	kfi_dma_sync_single_for_cpu(side->domain, side->dma + MESSAGE_SIZE, MESSAGE_SIZE, DMA_BIDIRECTIONAL);
	pr_info("%s got \"%.*s\"\n", side->name, (int)comp->len, side->buffer + MESSAGE_SIZE);
	if (side == &server)
		side_send(side, "answer");
	complete_all(&side->answered);
}

static int side_receive(struct side *side)
{
	struct kfi_sge sge = {
		.addr = side->dma + MESSAGE_SIZE, .length = MESSAGE_SIZE, .lkey = side->domain->local_dma_lkey,
	};
	struct kfi_rx rx = { .ctx = &side->receive, .sgl = &sge, .nsge = 1 };

	side->receive.done = receive_done;
	return kfi_ep_recv(side->ep, &rx, NULL);
}

/* Events run in process context, and may sleep. */
static void side_event(struct kfi_ep *ep, const struct kfi_event *event)
{
	struct side *side = ep->priv;

	switch (event->type) {
	case KFI_EVENT_ESTABLISHED:
		complete_all(&side->connected);
		break;
	case KFI_EVENT_REJECTED:
	case KFI_EVENT_ERROR:
		side_fail(side, "connect", event->status);
		complete_all(&side->ended);
		break;
	case KFI_EVENT_DISCONNECTED:
		if (event->status)
			side_fail(side, "connection", event->status);
		complete_all(&side->ended);
		break;
	default:
		break;
	}
}

static void side_close(struct side *side)
{
	/* Every operation has completed when this returns; what they used may go. */
	kfi_ep_close(side->ep);
	/* Without an endpoint the info is still there. */
	kfi_info_put(side->info);
	kfi_cq_free(side->cq);
	if (side->dma)
		kfi_dma_unmap_single(side->domain, side->dma, 2 * MESSAGE_SIZE, DMA_BIDIRECTIONAL);
	kfi_domain_put(side->domain);
	kfree(side->buffer);
}

/* Makes an endpoint of what a resolution or a peer has brought. What is half done side_close() undoes. */
static int side_open(struct side *side)
{
	struct kfi_ep_attr attr = {
		.max_tx = 1, .max_rx = 1, .max_tx_sge = 1, .max_rx_sge = 1, .event = side_event, .priv = side,
	};
	u64 dma;

	side->buffer = kzalloc(2 * MESSAGE_SIZE, GFP_KERNEL);
	if (!side->buffer)
		return -ENOMEM;
	side->domain = kfi_domain_open(side->info->device, 0);
	if (IS_ERR(side->domain))
		return PTR_ERR(side->domain);
	dma = kfi_dma_map_single(side->domain, side->buffer, 2 * MESSAGE_SIZE, DMA_BIDIRECTIONAL);
	if (kfi_dma_mapping_error(side->domain, dma))
		return -ENOMEM;
	side->dma = dma;
	side->cq = kfi_cq_pool_get(side->domain, attr.max_tx + attr.max_rx, -1, KFI_POLL_SOFTIRQ);
	if (IS_ERR(side->cq))
		return PTR_ERR(side->cq);
	attr.tx_cq = side->cq;
	attr.rx_cq = side->cq;
	side->ep = kfi_ep_open(side->info, side->domain, &attr);
	if (IS_ERR(side->ep))
		return PTR_ERR(side->ep);
	/* The endpoint has consumed the info. */
	side->info = NULL;
	/* Before the peer can send anything. */
	return side_receive(side);
}

/* The passive side: a peer asks. */
static void listen_event(struct kfi_pep *pep, const struct kfi_event *event)
{
	struct kfi_conn_param param = { .rnr_retry_count = 7 };
	struct side *side = pep->priv;
	int ret;

	if (event->type != KFI_EVENT_CONNREQ)
		return;
	/* This sample serves one peer; events of a passive endpoint may run concurrently. */
	if (test_and_set_bit(0, &served)) {
		kfi_info_reject(event->info, NULL, 0);
		return;
	}
	side->info = event->info;
	ret = side_open(side);
	if (!ret)
		ret = kfi_ep_accept(side->ep, &param);
	if (ret)
		side_fail(side, "accept", ret);
}

/* The active side. */
static void resolve_done(struct kfi_info *info, int status, void *priv)
{
	struct side *side = priv;

	if (status)
		side_fail(side, "resolve", status);
	complete_all(&side->resolved);
}

static int client_run(struct side *side, const struct sockaddr *to)
{
	struct kfi_resolve_attr attr = {
		.net = &init_net, .dst = to, .tos = -1, .provider = provider, .done = resolve_done, .priv = side,
	};
	struct kfi_conn_param param = { .retry_count = 7, .rnr_retry_count = 7 };
	int ret;

	side->info = kfi_resolve(&attr);
	if (IS_ERR(side->info))
		return PTR_ERR(side->info);
	wait_for_completion(&side->resolved);
	if (side->status)
		return side->status;
	ret = side_open(side);
	if (ret)
		return ret;
	ret = kfi_ep_connect(side->ep, &param);
	if (ret)
		return ret;
	wait_for_completion(&side->connected);
	if (side->status)
		return side->status;
	side_send(side, "question");
	wait_for_completion(&side->answered);
	return side->status;
}

static void side_init(struct side *side)
{
	init_completion(&side->resolved);
	init_completion(&side->connected);
	init_completion(&side->answered);
	init_completion(&side->ended);
}

static int __init kfi_sample_init(void)
{
	struct sockaddr_storage where;
	struct kfi_pep_attr attr = {
		.net = &init_net, .addr = (struct sockaddr *)&where, .backlog = 1, .provider = provider,
		.event = listen_event, .priv = &server,
	};
	struct kfi_pep *pep;
	int ret;

	side_init(&client);
	side_init(&server);
	ret = inet_pton_with_scope(&init_net, AF_UNSPEC, addr, port, &where);
	if (ret)
		return ret;
	pep = kfi_pep_open(&attr);
	if (IS_ERR(pep))
		return PTR_ERR(pep);
	ret = client_run(&client, (struct sockaddr *)&where);
	side_close(&client);
	/* No request comes after this, so the server's side changes no more but by its own events. */
	kfi_pep_close(pep);
	if (!ret)
		wait_for_completion(&server.ended);
	side_close(&server);
	return ret;
}

static void __exit kfi_sample_exit(void)
{
}

module_init(kfi_sample_init);
module_exit(kfi_sample_exit);

MODULE_DESCRIPTION("Sample consumer of kfi");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("KFI");
