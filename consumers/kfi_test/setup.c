// SPDX-License-Identifier: GPL-2.0-only
/* kfi_test: connections coming about, or not. */
#define pr_fmt(fmt)	KBUILD_MODNAME ": " fmt

#include <linux/in6.h>
#include <linux/inet.h>
#include <net/net_namespace.h>
#include <rdma/ib.h>
#include "kfi_test.h"

static const char hello[] = "private data of the request";
static const char welcome[] = "private data of the accept";
static const char sorry[] = "private data of the reject";

/* Providers may pad with zeros. */
static bool same(const void *got, u32 got_len, const void *sent, u32 len)
{
	if (!got || got_len < len || memcmp(got, sent, len)) {
		kfi_say("%u bytes of private data, %u were sent", got_len, len);
		return false;
	}
	return !memchr_inv(got + len, 0, got_len - len);
}

static int private_data(void)
{
	struct kfi_pair *pair = kfi_pair_new();
	bool ok = false;
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_request(pair, hello, sizeof(hello));
	if (ret)
		goto out;
	ok = same(pair->request->private_data, pair->request->private_data_len, hello, sizeof(hello));
	ok &= kfi_expect(pair->request->port, 1);
	ok &= kfi_expect(pair->request->device == kfi_test_device || !strcmp(pair->request->device->provider_name,
									 kfi_test_device->provider_name), true);
	ret = kfi_pair_accept(pair, welcome, sizeof(welcome));
	if (ret)
		goto out;
	ok &= same(pair->a.pd, pair->a.pd_len, welcome, sizeof(welcome));
	ok &= kfi_expect(pair->a.ird >= 1 && pair->a.ord >= 1, true);
out:
	kfi_pair_free(pair);
	return ret ?: ok ? 0 : -EBADMSG;
}

static int private_data_max(void)
{
	struct kfi_pair *pair = kfi_pair_new();
	static u8 data[KFI_PRIVATE_DATA_MIN];
	bool ok = false;
	int ret;

	if (!pair)
		return -ENOMEM;
	memset(data, 0xa5, sizeof(data));
	ok = kfi_expect(kfi_test_device->attr.max_private_data >= sizeof(data), true);
	ret = kfi_pair_request(pair, data, sizeof(data));
	if (!ret)
		ok &= same(pair->request->private_data, pair->request->private_data_len, data, sizeof(data));
	if (!ret)
		ret = kfi_pair_accept(pair, data, sizeof(data));
	if (!ret)
		ok &= same(pair->a.pd, pair->a.pd_len, data, sizeof(data));
	kfi_pair_free(pair);
	return ret ?: ok ? 0 : -EBADMSG;
}

/* Too long in each direction; what was refused can be tried again. */
static int private_data_too_long(void)
{
	u32 len = kfi_test_device->attr.max_private_data + 1;
	struct kfi_conn_param param = { .private_data_len = len, .retry_count = 7, .rnr_retry_count = 7 };
	struct kfi_pair *pair = kfi_pair_new();
	u8 *data = kzalloc(len, GFP_KERNEL);
	bool ok;
	int ret;

	if (!pair || !data) {
		kfree(pair);
		kfree(data);
		return -ENOMEM;
	}
	param.private_data = data;
	ret = kfi_pair_open(pair);
	if (ret)
		goto out;
	ok = kfi_expect(kfi_ep_connect(pair->a.ep, &param), -EMSGSIZE);
	kfi_side_close(&pair->a);

	kfi_pair_init(pair);
	ret = kfi_pair_request(pair, NULL, 0);
	if (ret)
		goto out;
	ok &= kfi_expect(kfi_info_reject(pair->request, data, len), -EMSGSIZE);
	ok &= kfi_expect(kfi_info_reject(pair->request, NULL, 1), -EINVAL);
	ret = kfi_side_open(&pair->p, pair, pair->request, true);
	if (ret)
		goto out;
	pair->request = ERR_PTR(-EALREADY);
	ok &= kfi_expect(kfi_ep_accept(pair->p.ep, &param), -EMSGSIZE);
	param.private_data_len = 0;
	ret = kfi_ep_accept(pair->p.ep, &param) ?: kfi_test_wait(&pair->a.established);
	ret = ret ?: ok ? 0 : -EBADMSG;
out:
	kfi_pair_free(pair);
	kfree(data);
	return ret;
}

static int ended_with(struct kfi_side *side, enum kfi_event_type type, int status)
{
	int ret = kfi_test_wait(&side->ended);

	if (ret) {
		kfi_say("the end is not reported");
		return ret;
	}
	return kfi_expect(side->end_type, type) && kfi_expect(side->end_status, status) &&
	       kfi_expect(atomic_read(&side->nr_ended), 1) ? 0 : -EBADMSG;
}

static int reject(void)
{
	struct kfi_pair *pair = kfi_pair_new();
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_request(pair, hello, sizeof(hello));
	if (!ret) {
		ret = kfi_info_reject(pair->request, sorry, sizeof(sorry));
		pair->request = ERR_PTR(-EALREADY);
	}
	ret = ret ?: ended_with(&pair->a, KFI_EVENT_REJECTED, -ECONNREFUSED);
	if (!ret && !same(pair->a.pd, pair->a.pd_len, sorry, sizeof(sorry)))
		ret = -EBADMSG;
	kfi_pair_free(pair);
	return ret;
}

static int drop_request(void)
{
	struct kfi_pair *pair = kfi_pair_new();
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_request(pair, NULL, 0);
	if (!ret) {
		kfi_info_put(pair->request);
		pair->request = ERR_PTR(-EALREADY);
	}
	ret = ret ?: ended_with(&pair->a, KFI_EVENT_REJECTED, -ECONNREFUSED);
	kfi_pair_free(pair);
	return ret;
}

#define BACKLOG		2
#define CROWD		(BACKLOG + 2)

struct crowd {
	struct kfi_pair		*pair[CROWD];
	struct kfi_info		*request[CROWD];
	atomic_t		nr;
	struct completion	requested;
};

static void crowd_event(struct kfi_pep *pep, const struct kfi_event *event)
{
	struct crowd *crowd = pep->priv;
	int n;

	if (event->type != KFI_EVENT_CONNREQ)
		return;
	n = atomic_fetch_inc(&crowd->nr);
	if (n >= CROWD) {
		kfi_info_put(event->info);
		return;
	}
	crowd->request[n] = event->info;
	complete(&crowd->requested);
}

static int crowd_connect(struct crowd *crowd, int n)
{
	struct kfi_conn_param param = { .retry_count = 7, .rnr_retry_count = 7 };

	crowd->pair[n] = kfi_pair_new();
	if (!crowd->pair[n])
		return -ENOMEM;
	return kfi_pair_open(crowd->pair[n]) ?: kfi_ep_connect(crowd->pair[n]->a.ep, &param);
}

static int crowd_in(struct crowd *crowd)
{
	int ret, i;

	for (i = 0; i < BACKLOG; i++) {
		ret = crowd_connect(crowd, i) ?: kfi_test_wait(&crowd->requested);
		if (ret)
			return ret;
	}
	ret = crowd_connect(crowd, BACKLOG) ?: ended_with(&crowd->pair[BACKLOG]->a, KFI_EVENT_REJECTED, -ECONNREFUSED);
	if (ret)
		return ret;
	if (!kfi_expect(atomic_read(&crowd->nr), BACKLOG))
		return -EBADMSG;
	/* A decision makes room for another one. */
	kfi_info_put(crowd->request[0]);
	crowd->request[0] = NULL;
	ret = ended_with(&crowd->pair[0]->a, KFI_EVENT_REJECTED, -ECONNREFUSED);
	return ret ?: crowd_connect(crowd, BACKLOG + 1) ?: kfi_test_wait(&crowd->requested);
}

static int crowd_up(void)
{
	struct crowd *crowd = kzalloc(sizeof(*crowd), GFP_KERNEL);
	struct kfi_pep_attr attr = {
		.net = &init_net,
		.addr = (struct sockaddr *)&kfi_test_addr,
		.backlog = BACKLOG,
		.provider = kfi_test_provider,
		.event = crowd_event,
	};
	struct kfi_pep *pep;
	int ret, i;

	if (!crowd)
		return -ENOMEM;
	init_completion(&crowd->requested);
	attr.priv = crowd;
	pep = kfi_pep_open(&attr);
	ret = IS_ERR(pep) ? PTR_ERR(pep) : crowd_in(crowd);
	kfi_pep_close(pep);
	for (i = 0; i < CROWD; i++) {
		if (crowd->request[i])
			kfi_info_put(crowd->request[i]);
		if (crowd->pair[i])
			kfi_pair_free(crowd->pair[i]);
	}
	kfree(crowd);
	return ret;
}

/* Requests that the consumer has not decided, up to the backlog and beyond it. The RDMA core's limit is another one. */
static int backlog(void)
{
	return kfi_test_tcp() ? crowd_up() : KFI_SKIP;
}

static int nobody_listens(void)
{
	struct kfi_conn_param param = { .retry_count = 7, .rnr_retry_count = 7 };
	struct kfi_pair *pair = kfi_pair_new();
	int ret;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_open(pair);
	if (ret)
		goto out;
	ret = kfi_ep_connect(pair->a.ep, &param);
	if (ret == -ECONNREFUSED) {
		/* The provider knew at once; then there is no event. */
		ret = kfi_expect(atomic_read(&pair->a.nr_ended), 0) ? 0 : -EBADMSG;
		goto out;
	}
	ret = ret ?: kfi_test_wait(&pair->a.ended);
	if (!ret) {
		bool ok = pair->a.end_type == KFI_EVENT_REJECTED || pair->a.end_type == KFI_EVENT_ERROR;

		ok &= pair->a.end_status == -ECONNREFUSED || pair->a.end_status == -ECONNRESET;
		if (!ok)
			kfi_say("event %d, status %d", pair->a.end_type, pair->a.end_status);
		ret = ok ? 0 : -EBADMSG;
	}
out:
	kfi_pair_free(pair);
	return ret;
}

/* Somebody listens at all addresses of IPv6, and at no others. */
static int other_family(void)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct kfi_pep_attr attr = {
		.net = &init_net,
		.addr = (struct sockaddr *)&six,
		.backlog = 8,
		.afonly = true,
		.provider = kfi_test_device->provider_name,
		.event = crowd_event,
	};
	struct crowd crowd = { };
	struct kfi_pep *pep;
	int ret;

	if (kfi_test_addr.ss_family != AF_INET)
		return KFI_SKIP;
	/* The port is in the same place in both families. */
	six.sin6_port = ((struct sockaddr_in *)&kfi_test_addr)->sin_port;
	atomic_set(&crowd.nr, CROWD);
	attr.priv = &crowd;
	pep = kfi_pep_open(&attr);
	if (IS_ERR(pep))
		return PTR_ERR(pep);
	ret = nobody_listens();
	kfi_pep_close(pep);
	return ret ?: kfi_expect(atomic_read(&crowd.nr), CROWD) ? 0 : -EBADMSG;
}

/* Over TCP it shows when connecting. */
static int no_route(void)
{
	struct kfi_conn_param param = { .retry_count = 7, .rnr_retry_count = 7 };
	struct sockaddr_storage here = kfi_test_addr, src = kfi_test_src;
	struct kfi_pair *pair = kfi_pair_new();
	int ret;

	if (!pair)
		return -ENOMEM;
	/* Of a network for documentation. From an address the RDMA core would take it for a neighbour's. */
	inet_pton_with_scope(&init_net, AF_INET, "192.0.2.77", "7000", &kfi_test_addr);
	kfi_test_src.ss_family = AF_UNSPEC;
	ret = kfi_pair_open(pair);
	kfi_test_addr = here;
	kfi_test_src = src;
	if (!ret && kfi_test_tcp())
		ret = kfi_ep_connect(pair->a.ep, &param);
	ret = kfi_expect(ret, -EHOSTUNREACH) ? 0 : -EBADMSG;
	kfi_pair_free(pair);
	return ret;
}

/* A neighbour that does not answer, at a GID. */
static int no_neighbour(void)
{
	struct sockaddr_storage here = kfi_test_addr;
	struct sockaddr_ib *there = (struct sockaddr_ib *)&kfi_test_addr;
	struct kfi_info *info;
	int status = 0;

	if (kfi_test_addr.ss_family != AF_IB)
		return KFI_SKIP;
	there->sib_addr.sib_raw[15] ^= 0x40;
	info = kfi_test_resolve(&status);
	kfi_test_addr = here;
	if (IS_ERR(info))
		return PTR_ERR(info);
	kfi_info_put(info);
	return status == -EHOSTUNREACH || kfi_expect(status, -ETIMEDOUT) ? 0 : -EBADMSG;
}

/* Both ends say who the other one is. */
static int addresses(void)
{
	const struct sockaddr_ib *from = (struct sockaddr_ib *)&kfi_test_src;
	const struct sockaddr_ib *to = (struct sockaddr_ib *)&kfi_test_addr;
	struct kfi_pair *pair = kfi_pair_new();
	struct sockaddr_storage got;
	struct sockaddr_ib *ib;
	bool ok = true;
	int ret, i;

	if (!pair)
		return -ENOMEM;
	if (to->sib_family != AF_IB || from->sib_family != AF_IB) {
		kfi_pair_free(pair);
		return KFI_SKIP;
	}
	ret = kfi_pair_request(pair, NULL, 0);
	if (ret)
		goto out;
	ib = (struct sockaddr_ib *)&pair->request->src;
	ok &= kfi_expect(!memcmp(ib, to, sizeof(*ib)), true);
	ib = (struct sockaddr_ib *)&pair->request->dst;
	ok &= kfi_expect(ib->sib_family, AF_IB) && kfi_expect(ib->sib_pkey == to->sib_pkey, true);
	ok &= kfi_expect(!memcmp(&ib->sib_addr, &from->sib_addr, 16), true);
	ret = kfi_pair_accept(pair, NULL, 0);
	if (ret)
		goto out;
	for (i = 0; i < 4; i++) {
		bool passive = i & 1, peer = i & 2;
		/* The listener's address is the active side's peer, and the passive side's own. */
		bool listener = passive != peer;

		ib = (struct sockaddr_ib *)&got;
		ok &= kfi_expect(kfi_ep_addr(passive ? pair->p.ep : pair->a.ep, peer, &got), 0);
		ok &= kfi_expect(ib->sib_family, AF_IB) && kfi_expect(ib->sib_pkey == to->sib_pkey, true);
		ok &= kfi_expect(!memcmp(&ib->sib_addr, listener ? &to->sib_addr : &from->sib_addr, 16), true);
		ok &= kfi_expect(ib->sib_sid == (listener ? to->sib_sid : 0), true);
	}
	ret = ok ? 0 : -EBADMSG;
out:
	kfi_pair_free(pair);
	return ret;
}

/* Calls that do not fit the side or the state. */
static int wrong_calls(void)
{
	struct kfi_conn_param param = { .retry_count = 7, .rnr_retry_count = 7 };
	struct kfi_pair *pair = kfi_pair_new();
	struct sockaddr_storage addr;
	int ret;
	bool ok;

	if (!pair)
		return -ENOMEM;
	ret = kfi_pair_request(pair, NULL, 0);
	if (ret)
		goto out;
	ok = kfi_expect(kfi_ep_connect(pair->a.ep, &param), -EINVAL);
	ok &= kfi_expect(kfi_ep_accept(pair->a.ep, &param), -EINVAL);
	ok &= kfi_expect(kfi_ep_shutdown(pair->a.ep), -ENOTCONN);
	ok &= kfi_expect(kfi_ep_addr(pair->a.ep, true, NULL), -EINVAL);
	ret = kfi_side_open(&pair->p, pair, pair->request, true);
	if (ret)
		goto out;
	pair->request = ERR_PTR(-EALREADY);
	ok &= kfi_expect(kfi_ep_connect(pair->p.ep, &param), -EINVAL);
	ok &= kfi_expect(kfi_ep_accept(pair->p.ep, NULL), -EINVAL);
	param.rnr_retry_count = 8;
	ok &= kfi_expect(kfi_ep_accept(pair->p.ep, &param), -EINVAL);
	param.rnr_retry_count = 7;
	ret = kfi_ep_accept(pair->p.ep, &param) ?: kfi_test_wait(&pair->a.established);
	if (ret)
		goto out;
	ok &= kfi_expect(kfi_ep_accept(pair->p.ep, &param), -EINVAL);
	ok &= kfi_expect(kfi_ep_addr(pair->a.ep, true, &addr), 0);
	/* Up to the address of IPv4, or the GID. */
	ok &= kfi_expect(!memcmp(&addr, &kfi_test_addr, addr.ss_family == AF_IB ? 32 : 8), true);
	ret = ok ? 0 : -EBADMSG;
out:
	kfi_pair_free(pair);
	return ret;
}

static int open_errno(struct kfi_info *info, struct kfi_domain *domain, struct kfi_ep_attr *attr)
{
	struct kfi_ep *ep = kfi_ep_open(info, domain, attr);

	if (IS_ERR(ep))
		return PTR_ERR(ep);
	kfi_say("an endpoint that was to be refused is open");
	kfi_ep_close(ep);
	return 0;
}

static void no_event(struct kfi_ep *ep, const struct kfi_event *event)
{
}

static int open_arguments(void)
{
	const struct kfi_device_attr *limits = &kfi_test_device->attr;
	struct kfi_ep_attr good = { .max_tx = 4, .max_rx = 4, .max_tx_sge = 1, .max_rx_sge = 1, .event = no_event };
	struct kfi_ep_attr attr;
	struct kfi_cq *cq, *second;
	struct kfi_domain *domain;
	struct kfi_info *info;
	struct kfi_srx *srx;
	int status, ret;
	bool ok;

	info = kfi_test_resolve(&status);
	if (IS_ERR(info))
		return PTR_ERR(info);
	domain = kfi_domain_open(info->device, 0);
	cq = IS_ERR(domain) ? ERR_CAST(domain) : kfi_cq_alloc(domain, NULL, 32, -1, KFI_POLL_SOFTIRQ);
	ret = status ?: PTR_ERR_OR_ZERO(cq);
	if (ret)
		goto out;
	good.tx_cq = cq;
	good.rx_cq = cq;

	ok = kfi_expect(open_errno(NULL, domain, &good), -EINVAL);
	ok &= kfi_expect(open_errno(info, NULL, &good), -EINVAL);
	ok &= kfi_expect(open_errno(info, domain, NULL), -EINVAL);
	attr = good;
	attr.flags = 1;
	ok &= kfi_expect(open_errno(info, domain, &attr), -EOPNOTSUPP);
	attr = good;
	attr.event = NULL;
	ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
	attr = good;
	attr.rx_cq = NULL;
	ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
	attr = good;
	attr.max_tx = 0;
	ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
	attr = good;
	attr.max_tx = limits->max_tx + 1;
	ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
	attr = good;
	attr.max_rx = limits->max_rx + 1;
	ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
	attr = good;
	attr.max_tx_sge = limits->max_tx_sge + 1;
	ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
	attr = good;
	attr.max_rx_sge = limits->max_rx_sge + 1;
	ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
	if (kfi_test_caps & (KFI_CAP_RMA_READ | KFI_CAP_RMA_WRITE)) {
		attr = good;
		attr.max_rma = limits->max_tx + 1;
		ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
		attr.max_rma = UINT_MAX;
		ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
		/* Transfers without elements. */
		attr.max_rma = 1;
		attr.max_tx_sge = 0;
		ok &= kfi_expect(open_errno(info, domain, &attr), -EINVAL);
	}
	if (kfi_test_caps & KFI_CAP_SRX) {
		srx = kfi_srx_alloc(domain, 4, 1);
		second = kfi_cq_alloc(domain, NULL, 32, -1, KFI_POLL_SOFTIRQ);
		attr = good;
		attr.srx = srx;
		attr.rx_cq = second;
		ok &= !IS_ERR(srx) && !IS_ERR(second) && kfi_expect(open_errno(info, domain, &attr), -EINVAL);
		kfi_cq_free(second);
		kfi_srx_free(srx);
	}
	/* Not a request: it cannot be refused, and stays ours. */
	ok &= kfi_expect(kfi_info_reject(info, NULL, 0), -EINVAL);
	ret = ok ? 0 : -EBADMSG;
out:
	if (!IS_ERR(cq))
		kfi_cq_free(cq);
	if (!IS_ERR(domain))
		kfi_domain_put(domain);
	kfi_info_put(info);
	return ret;
}

/* What the consumer is shown of the provider's info. */
static int resolved_info(void)
{
	struct kfi_info *info;
	int status;
	bool ok;

	info = kfi_test_resolve(&status);
	if (IS_ERR(info))
		return PTR_ERR(info);
	ok = kfi_expect(status, 0) && kfi_expect(info->device == kfi_test_device, true);
	ok = ok && kfi_expect(info->port, 1) && kfi_expect(info->net == &init_net, true);
	ok = ok && kfi_expect(info->dst.ss_family, kfi_test_addr.ss_family);
	kfi_info_put(info);
	return ok ? 0 : -EBADMSG;
}

const struct kfi_case kfi_setup_cases[] = {
	{ "resolve: device, port and address", resolved_info },
	{ "connect: private data both ways", private_data },
	{ "connect: the private data that every provider carries", private_data_max },
	{ "connect: private data too long", private_data_too_long },
	{ "connect: refused, with private data", reject },
	{ "connect: request dropped", drop_request },
	{ "connect: more requests than the backlog", backlog },
	{ "connect: nobody listens", nobody_listens },
	{ "connect: who listens takes another family alone", other_family },
	{ "connect: no route leads there", no_route },
	{ "connect: no neighbour has the GID", no_neighbour },
	{ "connect: GIDs of both ends", addresses },
	{ "connect: calls that do not fit", wrong_calls },
	{ "open: arguments", open_arguments },
	KFI_CASES_END
};
