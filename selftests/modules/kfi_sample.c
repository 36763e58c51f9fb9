// SPDX-License-Identifier: GPL-2.0-only
/*
 * A consumer of kfi in C, as small as it can be: it listens on an address, connects to itself, and sends a question
 * with the key of a memory region. The other side writes the answer into the region and says so.
 * Documentation/kfi/api.rst walks through it. Loading it fails when anything fails.
 *
 *	modprobe kfi_sample addr=10.0.0.1 port=7471
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
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
#define REGION_SIZE 256

/* What is sent: a text and, with a question, where the answer is to be written. */
struct message {
	char	text[MESSAGE_SIZE - 16];
	__be64	addr;
	__be32	key;
	__be32	unused;
};

static_assert(sizeof(struct message) == MESSAGE_SIZE);

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
	struct kfi_ctx		send, receive, write, region_ctx, invalidate;
	/* Memory that the peer may write; the client's only. */
	char			*region;
	struct scatterlist	region_sg;
	struct kfi_mr		*mr;
	bool			mapped;
	/* First error; 0 until there is one. */
	int			status;
	struct completion	resolved, connected, answered, invalidated, ended;
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
	complete_all(&side->invalidated);
}

/* Completions run in softirq: they may post, and must not sleep. */
static void send_done(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct side *side = container_of(ctx, struct side, send);

	/* Flushed: the connection ended first, and that was told already. */
	if (comp->status && comp->status != -ECANCELED)
		side_fail(side, "send", comp->status);
}

/* Operations that are not signaled: only failures lead here. */
static void write_failed(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	if (comp->status != -ECANCELED)
		side_fail(container_of(ctx, struct side, write), "write", comp->status);
}

static void register_failed(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	if (comp->status != -ECANCELED)
		side_fail(container_of(ctx, struct side, region_ctx), "registration", comp->status);
}

static void invalidate_done(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct side *side = container_of(ctx, struct side, invalidate);

	if (comp->status)
		side_fail(side, "invalidation", comp->status);
	complete_all(&side->invalidated);
}

static struct kfi_sge side_say(struct side *side, const char *text, struct kfi_mr *mr)
{
	struct message *message = (struct message *)side->buffer;

	kfi_dma_sync_single_for_cpu(side->domain, side->dma, MESSAGE_SIZE, DMA_TO_DEVICE);
	strscpy_pad(message->text, text, sizeof(message->text));
	message->addr = cpu_to_be64(mr ? mr->iova : 0);
	message->key = cpu_to_be32(mr ? mr->rkey : 0);
	kfi_dma_sync_single_for_device(side->domain, side->dma, MESSAGE_SIZE, DMA_TO_DEVICE);
	return (struct kfi_sge){
		.addr = side->dma, .length = MESSAGE_SIZE, .lkey = side->domain->local_dma_lkey,
	};
}

/* The client: makes its region reachable, and tells the peer where it is. */
static int side_ask(struct side *side)
{
	struct kfi_op reg, send;
	struct kfi_sge sge;

	side->region_ctx.done = register_failed;
	/* Changes the key, so it goes before the message that names it. */
	kfi_op_mr_reg(&reg, &side->region_ctx, side->mr, KFI_ACCESS_LOCAL_WRITE | KFI_ACCESS_REMOTE_WRITE, 0);
	sge = side_say(side, "question", side->mr);
	side->send.done = send_done;
	/* The operations and their lists may live on the stack: the post has read them when it returns. */
	kfi_op_send(&send, &side->send, &sge, 1, KFI_OP_SIGNALED);
	reg.next = &send;
	return kfi_ep_post(side->ep, &reg, NULL);
}

/* The server: writes the answer into the client's region, and says so. */
static int side_answer(struct side *side, const struct message *question)
{
	struct kfi_sge sge = side_say(side, "answer", NULL);
	struct kfi_op write, send;

	side->write.done = write_failed;
	side->send.done = send_done;
	kfi_op_rma(&write, KFI_OP_WRITE, &side->write, &sge, 1, 0, be64_to_cpu(question->addr),
		   be32_to_cpu(question->key));
	kfi_op_send(&send, &side->send, &sge, 1, KFI_OP_SIGNALED);
	write.next = &send;
	return kfi_ep_post(side->ep, &write, NULL);
}

/* The client: ends the peer's access. Nobody touches the memory once this has completed. */
static int side_unexpose(struct side *side)
{
	struct kfi_op op;
	int ret;

	side->invalidate.done = invalidate_done;
	kfi_op_mr_inv(&op, &side->invalidate, side->mr, KFI_OP_SIGNALED);
	ret = kfi_ep_post(side->ep, &op, NULL);
	if (ret)
		return ret;
	wait_for_completion(&side->invalidated);
	return side->status;
}

static void receive_done(struct kfi_ctx *ctx, struct kfi_comp *comp)
{
	struct side *side = container_of(ctx, struct side, receive);
	struct message *message;
	int ret;

	if (comp->status) {
		if (comp->status != -ECANCELED)
			side_fail(side, "receive", comp->status);
		return;
	}
	kfi_dma_sync_single_for_cpu(side->domain, side->dma + MESSAGE_SIZE, MESSAGE_SIZE, DMA_BIDIRECTIONAL);
	message = (struct message *)(side->buffer + MESSAGE_SIZE);
	if (comp->len != MESSAGE_SIZE) {
		side_fail(side, "message", -EPROTO);
		return;
	}
	pr_info("%s got \"%.*s\"\n", side->name, (int)sizeof(message->text), message->text);
	if (side == &server) {
		ret = side_answer(side, message);
		if (ret)
			side_fail(side, "post", ret);
	}
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
	kfi_mr_free(side->mr);
	if (side->mapped)
		kfi_dma_unmap_sg(side->domain, &side->region_sg, 1, DMA_BIDIRECTIONAL);
	kfree(side->region);
	if (side->dma)
		kfi_dma_unmap_single(side->domain, side->dma, 2 * MESSAGE_SIZE, DMA_BIDIRECTIONAL);
	kfi_domain_put(side->domain);
	kfree(side->buffer);
}

/* Makes an endpoint of what a resolution or a peer has brought. What is half done side_close() undoes. */
static int side_open(struct side *side)
{
	struct kfi_ep_attr attr = {
		.max_tx = 3, .max_rx = 1, .max_tx_sge = 1, .max_rx_sge = 1, .event = side_event, .priv = side,
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

/* Memory for the answer. */
static int side_expose(struct side *side)
{
	int ret;

	side->region = kzalloc(REGION_SIZE, GFP_KERNEL);
	if (!side->region)
		return -ENOMEM;
	side->mr = kfi_mr_alloc(side->domain, KFI_MR_MEM_REG, 2);
	if (IS_ERR(side->mr))
		return PTR_ERR(side->mr);
	sg_init_one(&side->region_sg, side->region, REGION_SIZE);
	ret = kfi_dma_map_sg(side->domain, &side->region_sg, 1, DMA_BIDIRECTIONAL);
	if (ret < 0)
		return ret;
	side->mapped = true;
	ret = kfi_mr_map_sg(side->mr, &side->region_sg, ret, NULL, PAGE_SIZE);
	return ret < 0 ? ret : ret == 1 ? 0 : -EIO;
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
	ret = side_expose(side);
	if (!ret)
		ret = side_ask(side);
	if (ret)
		return ret;
	wait_for_completion(&side->answered);
	if (side->status)
		return side->status;
	ret = side_unexpose(side);
	if (ret)
		return ret;
	kfi_dma_unmap_sg(side->domain, &side->region_sg, 1, DMA_BIDIRECTIONAL);
	side->mapped = false;
	pr_info("%s's region has \"%.*s\"\n", side->name, REGION_SIZE, side->region);
	return 0;
}

static void side_init(struct side *side)
{
	init_completion(&side->resolved);
	init_completion(&side->connected);
	init_completion(&side->answered);
	init_completion(&side->invalidated);
	init_completion(&side->ended);
}

/* Held while anything is open. */
static DEFINE_MUTEX(run_mutex);
static unsigned int devices;

static int sample_add(struct kfi_client *client, struct kfi_device *device)
{
	devices++;
	return 0;
}

/* The device stays until this returns. What is open ends by itself and soon, so it is enough to wait for that. */
static void sample_remove(struct kfi_client *client, struct kfi_device *device)
{
	mutex_lock(&run_mutex);
	mutex_unlock(&run_mutex);
}

static struct kfi_client sample_client = {
	.name = KBUILD_MODNAME, .add = sample_add, .remove = sample_remove,
};

static int sample_run(void)
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

static int __init kfi_sample_init(void)
{
	int ret = kfi_client_register(&sample_client);

	if (ret)
		return ret;
	pr_info("%u devices\n", devices);
	mutex_lock(&run_mutex);
	ret = sample_run();
	mutex_unlock(&run_mutex);
	kfi_client_unregister(&sample_client);
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
