// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections of this host with itself that do nothing, over kfi or over sockets alone, for as long as it is loaded:
 * what one costs is the difference. Loading it fails when a connection does. How they have ended is in two parameters.
 *
 *	modprobe kfi_idle addr=10.0.0.1 conns=1000 [src=10.0.0.2] [depth=1] [reads=1] [raw=1]
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/inet.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/net.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <kfi/kfi.h>

static char *addr = "127.0.0.1";
module_param(addr, charp, 0444);
MODULE_PARM_DESC(addr, "address to listen on and to connect to");
static char *src;
module_param(src, charp, 0444);
MODULE_PARM_DESC(src, "address to connect from");
static char *port = "7472";
module_param(port, charp, 0444);
MODULE_PARM_DESC(port, "port");
static char *provider = "tcp";
module_param(provider, charp, 0444);
MODULE_PARM_DESC(provider, "name of the only provider to use");
static unsigned int conns = 1;
module_param(conns, uint, 0444);
MODULE_PARM_DESC(conns, "number of connections");
static unsigned int depth = 1;
module_param(depth, uint, 0444);
MODULE_PARM_DESC(depth, "operations and receives of each end");
static unsigned char reads = 1;
module_param(reads, byte, 0444);
MODULE_PARM_DESC(reads, "reads outstanding in each direction");
static bool raw;
module_param(raw, bool, 0444);
MODULE_PARM_DESC(raw, "sockets alone");

#define TIMEOUT (30 * HZ)

/* Of the active and the passive ends. */
static unsigned int ended[2], nodev[2];
module_param_array(ended, uint, NULL, 0444);
MODULE_PARM_DESC(ended, "how many have heard of their end, active,passive");
module_param_array(nodev, uint, NULL, 0444);
MODULE_PARM_DESC(nodev, "how many of them that the device is gone");

static struct sockaddr_storage where, from;
/* Both ends of each connection: endpoints, or sockets. */
static void **ends;
static unsigned int nr_ends;
/* As above: they may be on two devices. */
static struct kfi_domain *domain[2];
static struct kfi_cq *cq[2];
static struct kfi_pep *pep;
static struct socket *listener;
/* Of the connection that is being made. */
static struct kfi_ep *passive;
static int failed;
static DECLARE_COMPLETION(resolved);
static DECLARE_COMPLETION(established);

static void idle_event(struct kfi_ep *ep, const struct kfi_event *event)
{
	unsigned long end = (unsigned long)ep->priv;

	if (event->type == KFI_EVENT_REJECTED || event->type == KFI_EVENT_ERROR)
		failed = event->status;
	if (event->type != KFI_EVENT_DISCONNECTED) {
		complete(&established);
		return;
	}
	if (event->status == -ENODEV)
		nodev[end]++;
	ended[end]++;
}

static int idle_cq(struct kfi_device *device, unsigned long end)
{
	if (cq[end])
		return 0;
	domain[end] = kfi_domain_open(device, 0);
	if (IS_ERR(domain[end]))
		return PTR_ERR(domain[end]);
	cq[end] = kfi_cq_alloc(domain[end], NULL, 2 * depth, -1, KFI_POLL_SOFTIRQ);
	return PTR_ERR_OR_ZERO(cq[end]);
}

static struct kfi_ep *idle_open(struct kfi_info *info, unsigned long end)
{
	struct kfi_ep_attr attr = {
		.max_tx = depth, .max_rx = depth, .max_tx_sge = 1, .max_rx_sge = 1, .event = idle_event,
		.priv = (void *)end,
	};
	int ret = idle_cq(info->device, end);

	if (ret)
		return ERR_PTR(ret);
	attr.tx_cq = cq[end];
	attr.rx_cq = cq[end];
	return kfi_ep_open(info, domain[end], &attr);
}

static void idle_request(struct kfi_pep *at, const struct kfi_event *event)
{
	struct kfi_conn_param param = { .ird = reads, .ord = reads, .rnr_retry_count = 7 };
	struct kfi_ep *ep;
	int ret;

	if (event->type != KFI_EVENT_CONNREQ)
		return;
	ep = idle_open(event->info, 1);
	if (IS_ERR(ep)) {
		kfi_info_reject(event->info, NULL, 0);
		return;
	}
	passive = ep;
	ret = kfi_ep_accept(ep, &param);
	if (ret) {
		failed = ret;
		complete(&established);
	}
}

static void idle_resolved(struct kfi_info *info, int status, void *priv)
{
	failed = status;
	complete(&resolved);
}

static int idle_kfi(void)
{
	struct kfi_resolve_attr attr = {
		.net = &init_net, .src = src ? (struct sockaddr *)&from : NULL, .dst = (struct sockaddr *)&where,
		.tos = -1, .provider = provider, .done = idle_resolved,
	};
	struct kfi_conn_param param = { .ird = reads, .ord = reads, .retry_count = 7, .rnr_retry_count = 7 };
	struct kfi_info *info = kfi_resolve(&attr);
	struct kfi_ep *ep;
	int ret, end;

	if (IS_ERR(info))
		return PTR_ERR(info);
	wait_for_completion(&resolved);
	ep = failed ? ERR_PTR(failed) : idle_open(info, 0);
	if (IS_ERR(ep)) {
		kfi_info_put(info);
		return PTR_ERR(ep);
	}
	ends[nr_ends++] = ep;
	ret = kfi_ep_connect(ep, &param);
	for (end = 0; end < 2 && !ret; end++)
		ret = wait_for_completion_timeout(&established, TIMEOUT) ? failed : -ETIMEDOUT;
	if (passive)
		ends[nr_ends++] = passive;
	passive = NULL;
	return ret;
}

static int idle_socket(struct socket **sock)
{
	return sock_create_kern(&init_net, where.ss_family, SOCK_STREAM, IPPROTO_TCP, sock);
}

static int idle_raw(void)
{
	struct socket *sock;
	int ret = idle_socket(&sock);

	if (ret)
		return ret;
	ends[nr_ends++] = sock;
	ret = kernel_connect(sock, (void *)&where, sizeof(where), 0);
	if (ret)
		return ret;
	ret = kernel_accept(listener, &sock, 0);
	if (!ret)
		ends[nr_ends++] = sock;
	return ret;
}

static int idle_listen(void)
{
	struct kfi_pep_attr attr = {
		.net = &init_net, .addr = (struct sockaddr *)&where, .backlog = 16, .provider = provider,
		.event = idle_request,
	};
	int ret;

	if (!raw) {
		pep = kfi_pep_open(&attr);
		return PTR_ERR_OR_ZERO(pep);
	}
	ret = idle_socket(&listener);
	if (ret)
		return ret;
	sock_set_reuseaddr(listener->sk);
	return kernel_bind(listener, (void *)&where, sizeof(where)) ?: kernel_listen(listener, 16);
}

static void idle_close(void)
{
	int end;

	while (nr_ends) {
		nr_ends--;
		if (raw)
			sock_release(ends[nr_ends]);
		else
			kfi_ep_close(ends[nr_ends]);
	}
	if (listener)
		sock_release(listener);
	if (!IS_ERR_OR_NULL(pep))
		kfi_pep_close(pep);
	for (end = 0; end < 2; end++) {
		kfi_cq_free(cq[end]);
		kfi_domain_put(domain[end]);
	}
	kvfree(ends);
}

static int __init kfi_idle_init(void)
{
	unsigned int n;
	int ret;

	ret = inet_pton_with_scope(&init_net, AF_UNSPEC, addr, port, &where);
	if (!ret && src)
		ret = inet_pton_with_scope(&init_net, AF_UNSPEC, src, "0", &from);
	if (ret)
		return ret;
	ends = kvcalloc(conns, 2 * sizeof(*ends), GFP_KERNEL);
	if (!ends)
		return -ENOMEM;
	ret = idle_listen();
	for (n = 0; n < conns && !ret; n++) {
		ret = raw ? idle_raw() : idle_kfi();
		if (ret)
			pr_err("connection %u: %d\n", n, ret);
		cond_resched();
	}
	if (ret)
		idle_close();
	return ret;
}

static void __exit kfi_idle_exit(void)
{
	idle_close();
}

module_init(kfi_idle_init);
module_exit(kfi_idle_exit);

MODULE_DESCRIPTION("Idle connections over kfi, to be measured");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("KFI");
