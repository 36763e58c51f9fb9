// SPDX-License-Identifier: GPL-2.0-only
/* kfi_test: arguments that are refused, without a connection. */
#define pr_fmt(fmt)	KBUILD_MODNAME ": " fmt

#include <linux/in6.h>
#include <linux/inet.h>
#include <net/net_namespace.h>
#include <rdma/ib.h>
#include "kfi_test.h"

static void never_resolved(struct kfi_info *info, int status, void *priv)
{
	complete(priv);
}

static void no_pep_event(struct kfi_pep *pep, const struct kfi_event *event)
{
	if (event->type == KFI_EVENT_CONNREQ)
		kfi_info_put(event->info);
}

static int resolve_errno(const struct kfi_resolve_attr *attr)
{
	struct kfi_info *info = kfi_resolve(attr);

	if (IS_ERR(info))
		return PTR_ERR(info);
	kfi_info_put(info);
	return 0;
}

static struct kfi_resolve_attr resolve_attr(struct completion *done)
{
	init_completion(done);
	return (struct kfi_resolve_attr){
		.net = &init_net,
		.dst = (struct sockaddr *)&kfi_test_addr,
		.tos = -1,
		.provider = kfi_test_provider,
		.done = never_resolved,
		.priv = done,
	};
}

static int resolve_flags(void)
{
	struct completion done;
	struct kfi_resolve_attr attr = resolve_attr(&done);

	attr.flags = ~KFI_OWN_PORT;
	return kfi_expect(resolve_errno(&attr), -EOPNOTSUPP) ? 0 : -EBADMSG;
}

static int resolve_pointers(void)
{
	struct completion done;
	struct kfi_resolve_attr attr = resolve_attr(&done);
	bool ok;

	attr.dst = NULL;
	ok = kfi_expect(resolve_errno(&attr), -EINVAL);
	attr = resolve_attr(&done);
	attr.done = NULL;
	ok &= kfi_expect(resolve_errno(&attr), -EINVAL);
	attr = resolve_attr(&done);
	attr.net = NULL;
	ok &= kfi_expect(resolve_errno(&attr), -EINVAL);
	return ok ? 0 : -EBADMSG;
}

static int resolve_family(void)
{
	struct sockaddr_storage other = { .ss_family = AF_UNIX };
	struct completion done;
	struct kfi_resolve_attr attr = resolve_attr(&done);
	struct sockaddr_storage no_port = kfi_test_addr;
	bool ok;

	attr.dst = (struct sockaddr *)&other;
	ok = kfi_expect(resolve_errno(&attr), -EAFNOSUPPORT);
	/* The port is in the same place in both families of IP. */
	if (no_port.ss_family == AF_IB)
		((struct sockaddr_ib *)&no_port)->sib_sid = 0;
	else
		((struct sockaddr_in *)&no_port)->sin_port = 0;
	attr.dst = (struct sockaddr *)&no_port;
	ok &= kfi_expect(resolve_errno(&attr), -EINVAL);
	return ok ? 0 : -EBADMSG;
}

static int resolve_numbers(void)
{
	struct completion done;
	struct kfi_resolve_attr attr = resolve_attr(&done);
	bool ok;

	attr.tos = 256;
	ok = kfi_expect(resolve_errno(&attr), -EINVAL);
	attr.tos = -2;
	ok &= kfi_expect(resolve_errno(&attr), -EINVAL);
	attr = resolve_attr(&done);
	attr.timeout_ms = (u32)INT_MAX + 1;
	ok &= kfi_expect(resolve_errno(&attr), -EINVAL);
	return ok ? 0 : -EBADMSG;
}

static int resolve_provider(void)
{
	struct completion done;
	struct kfi_resolve_attr attr = resolve_attr(&done);

	attr.provider = "no such provider";
	return kfi_expect(resolve_errno(&attr), -ENODEV) ? 0 : -EBADMSG;
}

struct outcome {
	struct completion	done;
	int			status;
};

static void outcome_resolved(struct kfi_info *info, int status, void *priv)
{
	struct outcome *out = priv;

	out->status = status;
	complete(&out->done);
}

/* What comes of resolving with the provider under test alone, by the answer or the callback. */
static int outcome(const void *src, const void *dst)
{
	struct completion unused;
	struct kfi_resolve_attr attr = resolve_attr(&unused);
	struct outcome out = { };
	struct kfi_info *info;

	attr.dst = dst;
	attr.src = src;
	attr.provider = kfi_test_device->provider_name;
	attr.done = outcome_resolved;
	attr.priv = &out;
	init_completion(&out.done);
	info = kfi_resolve(&attr);
	if (IS_ERR(info))
		return PTR_ERR(info);
	wait_for_completion(&out.done);
	kfi_info_put(info);
	return out.status;
}

static int resolve_outcome(const char *to)
{
	struct sockaddr_storage dst = { };

	inet_pton_with_scope(&init_net, AF_INET, to, "7000", &dst);
	return outcome(NULL, &dst);
}

static int resolve_no_device(void)
{
	/* Addresses of this host, of network devices that no RDMA device belongs to. TCP takes them. */
	int wanted = kfi_test_tcp() ? 0 : -ENODEV;
	bool ok;

	ok = kfi_expect(resolve_outcome("10.0.9.1"), wanted);
	ok &= kfi_expect(resolve_outcome("127.0.0.1"), wanted);
	return ok ? 0 : -EBADMSG;
}

static int resolve_cancel(void)
{
	struct completion done;
	struct kfi_resolve_attr attr = resolve_attr(&done);
	struct kfi_info *info;
	bool came;

	if (kfi_test_addr.ss_family == AF_IB)
		attr.src = (struct sockaddr *)&kfi_test_src;
	info = kfi_resolve(&attr);
	if (IS_ERR(info))
		return PTR_ERR(info);
	kfi_info_put(info);
	/* Whatever was to come has come by now. */
	came = try_wait_for_completion(&done);
	if (!came && wait_for_completion_timeout(&done, HZ / 5)) {
		kfi_say("the callback came after kfi_info_put()");
		return -EBADMSG;
	}
	return 0;
}

static int listen_errno(struct kfi_pep_attr *attr)
{
	struct kfi_pep *pep = kfi_pep_open(attr);

	if (IS_ERR(pep))
		return PTR_ERR(pep);
	kfi_pep_close(pep);
	return 0;
}

static struct kfi_pep_attr pep_attr(void)
{
	return (struct kfi_pep_attr){
		.net = &init_net,
		.addr = (struct sockaddr *)&kfi_test_addr,
		.backlog = 8,
		.provider = kfi_test_provider,
		.event = no_pep_event,
	};
}

static int listen_arguments(void)
{
	struct sockaddr_storage other = { .ss_family = AF_UNIX };
	struct kfi_pep_attr attr = pep_attr();
	bool ok;

	attr.flags = ~KFI_OWN_PORT;
	ok = kfi_expect(listen_errno(&attr), -EOPNOTSUPP);
	attr = pep_attr();
	attr.addr = NULL;
	ok &= kfi_expect(listen_errno(&attr), -EINVAL);
	attr = pep_attr();
	attr.event = NULL;
	ok &= kfi_expect(listen_errno(&attr), -EINVAL);
	attr = pep_attr();
	attr.backlog = -1;
	ok &= kfi_expect(listen_errno(&attr), -EINVAL);
	attr = pep_attr();
	attr.addr = (struct sockaddr *)&other;
	ok &= kfi_expect(listen_errno(&attr), -EAFNOSUPPORT);
	attr = pep_attr();
	attr.provider = "no such provider";
	ok &= kfi_expect(listen_errno(&attr), -ENODEV);
	return ok ? 0 : -EBADMSG;
}

static int listen_in_use(void)
{
	struct kfi_pep_attr attr = pep_attr();
	struct kfi_pep *pep = kfi_pep_open(&attr);
	bool ok;

	if (IS_ERR(pep))
		return PTR_ERR(pep);
	ok = kfi_expect(listen_errno(&attr), -EADDRINUSE);
	kfi_pep_close(pep);
	/* And it is free again. */
	ok &= kfi_expect(listen_errno(&attr), 0);
	return ok ? 0 : -EBADMSG;
}

/* The wildcard of IPv6 beside that of IPv4: room for both, if the former takes no IPv4. */
static bool listen_both(u32 flags)
{
	/* The port is in the same place in both families. */
	__be16 port = ((struct sockaddr_in *)&kfi_test_addr)->sin_port;
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = port };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = port };
	/* The RDMA core's word for it. */
	int taken = kfi_test_tcp() ? -EADDRINUSE : -EADDRNOTAVAIL;
	struct kfi_pep_attr attr = pep_attr();
	struct kfi_pep *pep;
	bool ok = true;
	int i;

	attr.provider = kfi_test_device->provider_name;
	attr.flags = flags;
	for (i = 0; i < 2; i++) {
		attr.addr = (struct sockaddr *)&six;
		attr.afonly = i;
		pep = kfi_pep_open(&attr);
		ok &= kfi_expect(PTR_ERR_OR_ZERO(pep), 0);
		attr.addr = (struct sockaddr *)&four;
		ok &= kfi_expect(listen_errno(&attr), attr.afonly ? 0 : taken);
		kfi_pep_close(pep);
	}
	return ok;
}

static int listen_families(void)
{
	return listen_both(0) && listen_both(KFI_OWN_PORT) ? 0 : -EBADMSG;
}

static int listen_no_device(void)
{
	struct kfi_pep_attr attr = pep_attr();
	struct sockaddr_storage addr = { };

	inet_pton_with_scope(&init_net, AF_INET, "192.0.2.77", "7000", &addr);
	attr.addr = (struct sockaddr *)&addr;
	return kfi_expect(listen_errno(&attr), -EADDRNOTAVAIL) ? 0 : -EBADMSG;
}

static struct sockaddr_ib gid_addr(const char *gid)
{
	struct sockaddr_ib addr = {
		.sib_family = AF_IB,
		.sib_pkey = cpu_to_be16(0xffff),
		.sib_sid = cpu_to_be64(0x6b66692d74657374),
		.sib_sid_mask = cpu_to_be64(U64_MAX),
	};

	in6_pton(gid, -1, addr.sib_addr.sib_raw, -1, NULL);
	return addr;
}

/* Addresses of AF_IB: where they are taken, and where not. */
static int gids(void)
{
	struct sockaddr_ib own = gid_addr("::"), other = gid_addr("2001:db8::1"), part;
	int wanted = kfi_test_tcp() || kfi_test_iwarp() ? -ENODEV : 0;
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct kfi_pep_attr attr = pep_attr();
	bool ok;

	attr.provider = NULL;
	if (!kfi_expect(kfi_device_port_id(kfi_test_device, 1, own.sib_addr.sib_raw), 0))
		return -EBADMSG;
	/* The device's own, for connections within it. */
	attr.addr = (struct sockaddr *)&own;
	ok = kfi_expect(listen_errno(&attr), wanted);
	ok &= kfi_expect(outcome(&own, &own), wanted);
	/* A link is no subnet that would tell the port. */
	ok &= kfi_expect(outcome(NULL, &own), -ENODEV);
	/* In no subnet of ours; from nobody's; in nobody's partition. */
	ok &= kfi_expect(outcome(NULL, &other), -ENODEV);
	ok &= kfi_expect(outcome(&other, &own), -ENODEV);
	attr.addr = (struct sockaddr *)&other;
	ok &= kfi_expect(listen_errno(&attr), -ENODEV);
	part = own;
	part.sib_pkey = cpu_to_be16(0x1234);
	attr.addr = (struct sockaddr *)&part;
	ok &= kfi_expect(listen_errno(&attr), -ENODEV);
	ok &= kfi_expect(outcome(NULL, &part), -ENODEV);
	/* Several services; another family; no service. */
	part = own;
	part.sib_sid_mask = cpu_to_be64(0xff);
	ok &= kfi_expect(outcome(NULL, &part), -EINVAL);
	ok &= kfi_expect(outcome(&four, &own), -EINVAL);
	part = own;
	part.sib_sid = cpu_to_be64(0x0200000000000000);
	attr.addr = (struct sockaddr *)&part;
	ok &= kfi_expect(listen_errno(&attr), -EINVAL);
	part.sib_sid = 0;
	attr.addr = (struct sockaddr *)&part;
	ok &= kfi_expect(listen_errno(&attr), -EINVAL);
	return ok ? 0 : -EBADMSG;
}

/* ---------------------------------------------------------------------------------------------- */
/* Objects of a domain                                                                             */

static int with_domain(int (*run)(struct kfi_domain *domain))
{
	struct kfi_domain *domain = kfi_domain_open(kfi_test_device, 0);
	int ret;

	if (IS_ERR(domain))
		return PTR_ERR(domain);
	ret = run(domain);
	kfi_domain_put(domain);
	return ret;
}

static int domain_arguments(void)
{
	bool ok = kfi_expect(PTR_ERR(kfi_domain_open(NULL, 0)), -EINVAL);
	struct kfi_domain *domain;

	ok &= kfi_expect(PTR_ERR(kfi_domain_open(kfi_test_device, 2)), -EOPNOTSUPP);
	domain = kfi_domain_open(kfi_test_device, KFI_DOMAIN_UNSAFE_GLOBAL_RKEY);
	if (kfi_test_device->attr.caps & KFI_CAP_UNSAFE_GLOBAL_RKEY)
		ok &= kfi_expect(!IS_ERR(domain) && domain->unsafe_global_rkey, true);
	else
		ok &= kfi_expect(PTR_ERR(domain), -EOPNOTSUPP);
	kfi_domain_put(domain);
	return ok ? 0 : -EBADMSG;
}

static int cq_errno(struct kfi_cq *cq)
{
	if (IS_ERR(cq))
		return PTR_ERR(cq);
	kfi_cq_free(cq);
	return 0;
}

static int cq_in(struct kfi_domain *domain)
{
	u32 max = kfi_test_device->attr.max_cqe;
	bool ok = kfi_expect(cq_errno(kfi_cq_alloc(domain, NULL, 0, -1, KFI_POLL_SOFTIRQ)), -EINVAL);

	ok &= kfi_expect(cq_errno(kfi_cq_alloc(domain, NULL, max + 1, -1, KFI_POLL_SOFTIRQ)), -EINVAL);
	ok &= kfi_expect(cq_errno(kfi_cq_alloc(domain, NULL, 8, -2, KFI_POLL_SOFTIRQ)), -EINVAL);
	ok &= kfi_expect(cq_errno(kfi_cq_alloc(domain, NULL, 8, -1, KFI_POLL_DIRECT + 1)), -EINVAL);
	ok &= kfi_expect(cq_errno(kfi_cq_alloc(domain, NULL, 8, 12345, KFI_POLL_SOFTIRQ)), 0);
	ok &= kfi_expect(cq_errno(kfi_cq_pool_get(domain, 8, -1, KFI_POLL_DIRECT)), -EINVAL);
	ok &= kfi_expect(cq_errno(kfi_cq_pool_get(domain, 0, -1, KFI_POLL_SOFTIRQ)), -EINVAL);
	ok &= kfi_expect(cq_errno(kfi_cq_pool_get(domain, 8, -1, KFI_POLL_SOFTIRQ)), 0);
	return ok ? 0 : -EBADMSG;
}

static int port_arguments(void)
{
	u8 id[KFI_PORT_ID_SIZE] = { };
	bool ok;

	ok = kfi_expect(kfi_device_port_id(kfi_test_device, 1, id), 0);
	ok &= kfi_expect(!memchr_inv(id, 0, sizeof(id)), false);
	memset(id, 0, sizeof(id));
	ok &= kfi_expect(kfi_device_port_id(kfi_test_device, 0, id), 0);
	ok &= kfi_expect(id[0] == 0xfe && id[1] == 0x80, true);
	ok &= kfi_expect(!memchr_inv(id + 8, 0, 8), false);
	ok &= kfi_expect(kfi_device_port_id(kfi_test_device, 1000, id), -EINVAL);
	ok &= kfi_expect(kfi_device_port_id(kfi_test_device, 1, NULL), -EINVAL);
	ok &= kfi_expect(kfi_device_port_id(NULL, 1, id), -EINVAL);
	return ok ? 0 : -EBADMSG;
}

static int cq_arguments(void)
{
	return with_domain(cq_in);
}

static int cq_poll_in(struct kfi_domain *domain)
{
	struct kfi_cq *cq = kfi_cq_alloc(domain, NULL, 8, -1, KFI_POLL_SOFTIRQ);
	bool ok;

	if (IS_ERR(cq))
		return PTR_ERR(cq);
	ok = kfi_expect(kfi_cq_poll(cq, 1), -EINVAL);
	kfi_cq_free(cq);
	cq = kfi_cq_alloc(domain, NULL, 8, -1, KFI_POLL_DIRECT);
	if (IS_ERR(cq))
		return PTR_ERR(cq);
	ok &= kfi_expect(kfi_cq_poll(cq, -1), 0);
	kfi_cq_free(cq);
	return ok ? 0 : -EBADMSG;
}

static int cq_poll(void)
{
	return with_domain(cq_poll_in);
}

static int mr_errno(struct kfi_mr *mr)
{
	if (IS_ERR(mr))
		return PTR_ERR(mr);
	kfi_mr_free(mr);
	return 0;
}

static int mr_in(struct kfi_domain *domain)
{
	u32 max = kfi_test_device->attr.max_mr_pages;
	int gaps = kfi_test_caps & KFI_CAP_SG_GAPS ? 0 : -EOPNOTSUPP;
	int pi = kfi_test_caps & KFI_CAP_PI ? 0 : -EOPNOTSUPP;
	bool ok = kfi_expect(mr_errno(kfi_mr_alloc(domain, KFI_MR_MEM_REG, 0)), -EINVAL);

	ok &= kfi_expect(mr_errno(kfi_mr_alloc(domain, KFI_MR_MEM_REG, max + 1)), -EINVAL);
	ok &= kfi_expect(mr_errno(kfi_mr_alloc(domain, KFI_MR_INTEGRITY + 1, 1)), -EINVAL);
	ok &= kfi_expect(mr_errno(kfi_mr_alloc(domain, KFI_MR_SG_GAPS, 1)), gaps);
	ok &= kfi_expect(mr_errno(kfi_mr_alloc(domain, KFI_MR_MEM_REG, max)), 0);
	ok &= kfi_expect(mr_errno(kfi_mr_alloc(domain, KFI_MR_INTEGRITY, 1)), pi);
	return ok ? 0 : -EBADMSG;
}

static int mr_arguments(void)
{
	return with_domain(mr_in);
}

static int page_size_in(struct kfi_domain *domain)
{
	struct kfi_mr *mr = kfi_mr_alloc(domain, KFI_MR_MEM_REG, 1);
	struct scatterlist sg;
	bool ok = false;
	u8 *va;

	if (IS_ERR(mr))
		return PTR_ERR(mr);
	va = (u8 *)__get_free_page(GFP_KERNEL);
	if (!va)
		goto out;
	sg_init_one(&sg, va, PAGE_SIZE);
	ok = kfi_expect(kfi_dma_map_sg(domain, &sg, 1, DMA_TO_DEVICE), 1);
	ok &= kfi_expect(kfi_mr_map_sg(mr, &sg, 1, NULL, 1000), -EINVAL);
	ok &= kfi_expect(kfi_mr_map_sg(mr, &sg, 1, NULL, 2 * PAGE_SIZE), -EINVAL);
	ok &= kfi_expect(kfi_mr_map_sg(mr, &sg, 1, NULL, PAGE_SIZE), 1);
	kfi_dma_unmap_sg(domain, &sg, 1, DMA_TO_DEVICE);
	free_page((unsigned long)va);
out:
	kfi_mr_free(mr);
	return ok ? 0 : -EBADMSG;
}

static int page_sizes(void)
{
	return with_domain(page_size_in);
}

static int pi_in(struct kfi_domain *domain)
{
	struct kfi_pi_attr attr = { .wire = { .type = KFI_PI_T10_DIF, .interval = 512 } };
	struct kfi_mr *mr = kfi_mr_alloc(domain, KFI_MR_MEM_REG, 1);
	struct kfi_pi_fault fault;
	struct scatterlist sg;
	bool ok;

	if (IS_ERR(mr))
		return PTR_ERR(mr);
	sg_init_table(&sg, 1);
	ok = kfi_expect(kfi_mr_map_sg_pi(NULL, &sg, 1, NULL, 0, SZ_4K, &attr), -EINVAL);
	ok &= kfi_expect(kfi_mr_map_sg_pi(mr, NULL, 1, NULL, 0, SZ_4K, &attr), -EINVAL);
	ok &= kfi_expect(kfi_mr_map_sg_pi(mr, &sg, 0, NULL, 0, SZ_4K, &attr), -EINVAL);
	ok &= kfi_expect(kfi_mr_map_sg_pi(mr, &sg, 1, NULL, 1, SZ_4K, &attr), -EINVAL);
	ok &= kfi_expect(kfi_mr_map_sg_pi(mr, &sg, 1, NULL, 0, 1000, &attr), -EINVAL);
	ok &= kfi_expect(kfi_mr_map_sg_pi(mr, &sg, 1, NULL, 0, SZ_4K, NULL), -EINVAL);
	/* A region of another type. */
	ok &= kfi_expect(kfi_mr_map_sg_pi(mr, &sg, 1, NULL, 0, SZ_4K, &attr) < 0, true);
	ok &= kfi_expect(kfi_mr_pi_status(mr, &fault) < 0, true);
	ok &= kfi_expect(kfi_mr_pi_status(NULL, &fault), -EINVAL);
	ok &= kfi_expect(kfi_mr_pi_status(mr, NULL), -EINVAL);
	kfi_mr_free(mr);
	return ok ? 0 : -EBADMSG;
}

static int pi_arguments(void)
{
	return with_domain(pi_in);
}

static int mr_pool_in(struct kfi_domain *domain)
{
	struct kfi_mr_pool pool;
	struct kfi_mr *mr[3];
	bool ok;
	int ret;

	ok = kfi_expect(kfi_mr_pool_init(&pool, domain, 0, KFI_MR_MEM_REG, 4), -EINVAL);
	ret = kfi_mr_pool_init(&pool, domain, 2, KFI_MR_MEM_REG, 4);
	if (ret)
		return ret;
	mr[0] = kfi_mr_pool_get(&pool);
	mr[1] = kfi_mr_pool_get(&pool);
	mr[2] = kfi_mr_pool_get(&pool);
	ok &= kfi_expect(mr[0] && mr[1] && mr[0] != mr[1], true);
	ok &= kfi_expect(!mr[2], true);
	if (mr[0])
		kfi_mr_pool_put(&pool, mr[0]);
	ok &= kfi_expect(kfi_mr_pool_get(&pool) == mr[0], true);
	/* All of them are out; they are freed nevertheless. */
	kfi_mr_pool_destroy(&pool);
	kfi_mr_pool_destroy(&pool);
	return ok ? 0 : -EBADMSG;
}

static int mr_pool(void)
{
	return with_domain(mr_pool_in);
}

static int srx_errno(struct kfi_srx *srx)
{
	if (IS_ERR(srx))
		return PTR_ERR(srx);
	kfi_srx_free(srx);
	return 0;
}

static int srx_in(struct kfi_domain *domain)
{
	const struct kfi_device_attr *attr = &kfi_test_device->attr;
	bool ok = kfi_expect(srx_errno(kfi_srx_alloc(domain, 0, 1)), -EINVAL);

	ok &= kfi_expect(srx_errno(kfi_srx_alloc(domain, attr->max_srx_wr + 1, 1)), -EINVAL);
	ok &= kfi_expect(srx_errno(kfi_srx_alloc(domain, 8, attr->max_rx_sge + 1)), -EINVAL);
	ok &= kfi_expect(srx_errno(kfi_srx_alloc(domain, 8, 1)), 0);
	return ok ? 0 : -EBADMSG;
}

static int srx_arguments(void)
{
	return with_domain(srx_in);
}

static int dma_in(struct kfi_domain *domain)
{
	struct scatterlist sg;
	bool ok = kfi_expect(kfi_dma_map_sg(domain, NULL, 1, DMA_TO_DEVICE), -EINVAL);
	u8 *va = kmalloc(64, GFP_KERNEL);

	if (!va)
		return -ENOMEM;
	sg_init_one(&sg, va, 64);
	ok &= kfi_expect(kfi_dma_map_sg(domain, &sg, 0, DMA_TO_DEVICE), -EINVAL);
	ok &= kfi_expect(kfi_dma_map_sg(domain, &sg, 1, DMA_TO_DEVICE), 1);
	kfi_dma_unmap_sg(domain, &sg, 1, DMA_TO_DEVICE);
	kfree(va);
	return ok ? 0 : -EBADMSG;
}

static int dma_arguments(void)
{
	return with_domain(dma_in);
}

/* ---------------------------------------------------------------------------------------------- */
/* Clients                                                                                         */

static int client_seen, client_gone;

static int client_add(struct kfi_client *client, struct kfi_device *device)
{
	client_seen += device == kfi_test_device;
	return 0;
}

static void client_remove(struct kfi_client *client, struct kfi_device *device)
{
	client_gone += device == kfi_test_device;
}

static int clients(void)
{
	struct kfi_client client = { .name = "kfi_test", .add = client_add };
	bool ok = kfi_expect(kfi_client_register(&client), -EINVAL);
	int ret;

	client_seen = 0;
	client_gone = 0;
	client.remove = client_remove;
	ret = kfi_client_register(&client);
	if (ret)
		return ret;
	ok &= kfi_expect(client_seen, 1);
	ok &= kfi_expect(kfi_client_register(&client), -EEXIST);
	kfi_client_unregister(&client);
	ok &= kfi_expect(client_gone, 1);
	return ok ? 0 : -EBADMSG;
}

static int null_arguments(void)
{
	kfi_domain_put(NULL);
	kfi_cq_free(NULL);
	kfi_mr_free(ERR_PTR(-ENOMEM));
	kfi_srx_free(NULL);
	kfi_info_put(NULL);
	kfi_ep_close(ERR_PTR(-ENOMEM));
	kfi_pep_close(NULL);
	return kfi_expect(strlen(kfi_strerror(-ECANCELED)) > 0 && strlen(kfi_strerror(-12345)) > 0, true) ? 0 :
	       -EBADMSG;
}

const struct kfi_case kfi_args_cases[] = {
	{ "resolve: unknown flag", resolve_flags },
	{ "resolve: missing pointers", resolve_pointers },
	{ "resolve: address family and port", resolve_family },
	{ "resolve: numbers out of range", resolve_numbers },
	{ "resolve: unknown provider", resolve_provider },
	{ "resolve: address with no device", resolve_no_device },
	{ "resolve: no callback after the put", resolve_cancel },
	{ "listen: arguments", listen_arguments },
	{ "listen: port in use", listen_in_use },
	{ "listen: IPv6 with IPv4, and beside it", listen_families },
	{ "listen: address with no device", listen_no_device },
	{ "gid: where addresses of AF_IB are taken", gids },
	{ "domain: arguments", domain_arguments },
	{ "device: name of a port", port_arguments },
	{ "cq: arguments", cq_arguments },
	{ "cq: poll of a queue that is not direct", cq_poll },
	{ "mr: arguments", mr_arguments, KFI_CAP_MR },
	{ "mr: arguments of protection information", pi_arguments, KFI_CAP_MR },
	{ "mr: pool", mr_pool, KFI_CAP_MR },
	{ "mr: page size", page_sizes, KFI_CAP_MR },
	{ "srx: arguments", srx_arguments, KFI_CAP_SRX },
	{ "dma: arguments", dma_arguments },
	{ "client: hears of the device, and is registered once", clients },
	{ "ends: NULL and ERR_PTR are ignored", null_arguments },
	KFI_CASES_END
};
