// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of kfi.ko alone: providers that carry nothing, devices that are not there, clients that write down what they
 * are told. Prints KTAP to the kernel's log, each line behind "kfi_shim_test: "; loading it fails when a test fails.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <kfi/kfi.h>
#include <kfi/provider.h>

static bool test_failed;

#define EXPECT(condition)							\
	do {									\
		if (!(condition)) {						\
			pr_err("# %s:%d: %s\n", __func__, __LINE__, #condition);	\
			test_failed = true;					\
		}								\
	} while (0)

/* ---------------------------------------------------------------------------------------------- */
/* A provider                                                                                      */

/* Objects that live; every test must bring it back to 0. */
static atomic_t live = ATOMIC_INIT(0);
/* Region that fake_mr_alloc() refuses to make, counted from 1; 0 for none. */
static int refuse_mr;
static struct kfi_conn_param last_param;

/* How a provider answers kfi_resolve(). */
enum answer {
	AT_ONCE,	/* kfi_provider.resolve returns the status */
	INSIDE,		/* the callback runs before it returns */
	LATER,		/* the callback runs from a work item */
	NEVER,		/* unless the test queues the work item itself */
};

struct fake {
	struct kfi_provider provider;
	enum answer answer;
	int status;
	int asked;
	/* If set: resolve waits for it before it does anything. */
	struct completion *hold;
	struct completion entered;
	struct fake_info *last;
};

struct fake_info {
	struct kfi_info info;
	struct work_struct work;
	kfi_resolve_fn done;
	void *priv;
	int status;
	/* Where to note that the info is dropped inside its own callback. */
	bool *dropped;
};

static struct kfi_device devices[3];

static void *fake_new(size_t size)
{
	void *object = kzalloc(size, GFP_KERNEL);

	if (object)
		atomic_inc(&live);
	return object;
}

static void fake_free(void *object)
{
	kfree(object);
	atomic_dec(&live);
}

static void fake_ep_close(struct kfi_ep *ep)
{
	fake_free(ep);
}

static int fake_ep_param(struct kfi_ep *ep, const struct kfi_conn_param *param)
{
	last_param = *param;
	return 0;
}

static int fake_ep_none(struct kfi_ep *ep)
{
	return -ENOTCONN;
}

static void fake_ep_drain(struct kfi_ep *ep, u32 which)
{
}

static int fake_ep_addr(struct kfi_ep *ep, bool peer, struct sockaddr_storage *addr)
{
	addr->ss_family = AF_INET;
	return 0;
}

static int fake_rma_init(struct kfi_rma *rma, struct kfi_ep *ep, struct scatterlist *sg, u32 nents, u32 offset,
			 u64 raddr, u32 rkey, enum dma_data_direction dir)
{
	rma->nr_ops = 1;
	atomic_inc(&live);
	return 0;
}

static void fake_rma_fini(struct kfi_rma *rma, struct scatterlist *sg, u32 nents, enum dma_data_direction dir)
{
	atomic_dec(&live);
}

static struct kfi_op *fake_rma_op(struct kfi_rma *rma, struct kfi_ctx *ctx, struct kfi_op *chain)
{
	return &rma->op;
}

static int fake_rma_init_pi(struct kfi_rma *rma, struct kfi_ep *ep, struct scatterlist *data, u32 nr_data,
			    struct scatterlist *meta, u32 nr_meta, const struct kfi_pi_attr *attr, u64 raddr, u32 rkey,
			    enum dma_data_direction dir)
{
	rma->nr_ops = 2;
	atomic_inc(&live);
	return 0;
}

static void fake_rma_fini_pi(struct kfi_rma *rma, struct scatterlist *data, u32 nr_data, struct scatterlist *meta,
			     u32 nr_meta, enum dma_data_direction dir)
{
	atomic_dec(&live);
}

static int fake_rma_pi_status(struct kfi_rma *rma, struct kfi_pi_fault *fault)
{
	fault->what = KFI_PI_CHECK_APP;
	return -EILSEQ;
}

static const struct kfi_ep_ops fake_ep_ops = {
	.close		= fake_ep_close,
	.connect	= fake_ep_param,
	.accept		= fake_ep_param,
	.shutdown	= fake_ep_none,
	.abort		= fake_ep_none,
	.drain		= fake_ep_drain,
	.addr		= fake_ep_addr,
	.rma_init	= fake_rma_init,
	.rma_fini	= fake_rma_fini,
	.rma_op		= fake_rma_op,
	.rma_init_pi	= fake_rma_init_pi,
	.rma_fini_pi	= fake_rma_fini_pi,
	.rma_pi_status	= fake_rma_pi_status,
};

static struct kfi_ep *fake_ep_open(struct kfi_info *info, struct kfi_domain *domain, struct kfi_ep_attr *attr)
{
	struct kfi_ep *ep;

	if (attr->max_tx == 13)
		return ERR_PTR(-ENOMEM);
	ep = fake_new(sizeof(*ep));
	if (!ep)
		return ERR_PTR(-ENOMEM);
	ep->ops = &fake_ep_ops;
	ep->domain = domain;
	ep->priv = attr->priv;
	attr->max_tx++;
	/* No work of an info that was answered is running but the one that calls us. */
	fake_free(container_of(info, struct fake_info, info));
	return ep;
}

static int fake_info_reject(struct kfi_info *info, const void *private_data, u32 len)
{
	fake_free(container_of(info, struct fake_info, info));
	return 0;
}

static struct workqueue_struct *fake_queue;

static void fake_info_put(struct kfi_info *info)
{
	struct fake_info *fake = container_of(info, struct fake_info, info);

	if (fake->done && current_work() == &fake->work) {
		*fake->dropped = true;
		return;
	}
	if (fake->done)
		cancel_work_sync(&fake->work);
	fake_free(fake);
}

static const struct kfi_info_ops fake_info_ops = {
	.ep_open = fake_ep_open,
	.reject	 = fake_info_reject,
	.put	 = fake_info_put,
};

static void fake_info_work(struct work_struct *work)
{
	struct fake_info *fake = container_of(work, struct fake_info, work);

	bool dropped = false;

	fake->dropped = &dropped;
	fake->done(&fake->info, fake->status, fake->priv);
	/* It may be an endpoint by now. */
	if (dropped)
		fake_free(fake);
}

static struct kfi_info *fake_resolve(struct fake *self, const struct kfi_resolve_attr *attr)
{
	struct fake_info *fake;

	self->asked++;
	complete(&self->entered);
	if (self->hold)
		wait_for_completion(self->hold);
	if (self->answer == AT_ONCE)
		return ERR_PTR(self->status);
	fake = fake_new(sizeof(*fake));
	if (!fake)
		return ERR_PTR(-ENOMEM);
	INIT_WORK(&fake->work, fake_info_work);
	fake->info.ops = &fake_info_ops;
	fake->info.device = &devices[0];
	fake->info.net = attr->net;
	fake->done = attr->done;
	fake->priv = attr->priv;
	fake->status = self->status;
	self->last = fake;
	switch (self->answer) {
	case INSIDE:
		fake->done(&fake->info, fake->status, fake->priv);
		break;
	case LATER:
		queue_work(fake_queue, &fake->work);
		break;
	default:
		break;
	}
	return &fake->info;
}

static struct kfi_pep *fake_pep_open(struct fake *self, const struct kfi_pep_attr *attr);

static struct fake high, low;

static struct kfi_info *high_resolve(const struct kfi_resolve_attr *attr, const char *owner)
{
	return fake_resolve(&high, attr);
}

static struct kfi_pep *high_pep_open(const struct kfi_pep_attr *attr, const char *owner)
{
	return fake_pep_open(&high, attr);
}

static struct kfi_info *low_resolve(const struct kfi_resolve_attr *attr, const char *owner)
{
	return fake_resolve(&low, attr);
}

static struct kfi_pep *low_pep_open(const struct kfi_pep_attr *attr, const char *owner)
{
	return fake_pep_open(&low, attr);
}

static struct fake high = {
	.provider = {
		.name = "high", .owner = THIS_MODULE, .priority = 200,
		.resolve = high_resolve, .pep_open = high_pep_open,
	},
};

static struct fake low = {
	.provider = {
		.name = "low", .owner = THIS_MODULE, .priority = -5,
		.resolve = low_resolve, .pep_open = low_pep_open,
	},
};

static void fake_pep_close(struct kfi_pep *pep)
{
	fake_free(pep);
}

static const struct kfi_pep_ops fake_pep_ops = { .close = fake_pep_close };

static struct kfi_pep *fake_pep_open(struct fake *self, const struct kfi_pep_attr *attr)
{
	struct kfi_pep *pep;

	self->asked++;
	if (self->answer == AT_ONCE)
		return ERR_PTR(self->status);
	pep = fake_new(sizeof(*pep));
	if (!pep)
		return ERR_PTR(-ENOMEM);
	pep->ops = &fake_pep_ops;
	pep->priv = attr->priv;
	return pep;
}

static void fake_domain_free(struct kfi_domain *domain)
{
	fake_free(domain);
}

static void fake_cq_free(struct kfi_cq *cq)
{
	fake_free(cq);
}

static const struct kfi_cq_ops fake_cq_ops = { .free = fake_cq_free };

static struct kfi_cq *fake_cq_alloc(struct kfi_domain *domain, u32 nr_cqe, int vector, enum kfi_poll poll, bool pool,
				    const char *owner)
{
	struct kfi_cq *cq = fake_new(sizeof(*cq));

	if (!cq)
		return ERR_PTR(-ENOMEM);
	cq->ops = &fake_cq_ops;
	return cq;
}

static void fake_mr_free(struct kfi_mr *mr)
{
	fake_free(mr);
}

static const struct kfi_mr_ops fake_mr_ops = { .free = fake_mr_free };

static struct kfi_mr *fake_mr_alloc(struct kfi_domain *domain, enum kfi_mr_type type, u32 max_sg)
{
	struct kfi_mr *mr;

	if (refuse_mr && !--refuse_mr)
		return ERR_PTR(-ENOMEM);
	mr = fake_new(sizeof(*mr));
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->ops = &fake_mr_ops;
	mr->rkey = 0x100;
	return mr;
}

static void fake_srx_free(struct kfi_srx *srx)
{
	fake_free(srx);
}

static const struct kfi_srx_ops fake_srx_ops = { .free = fake_srx_free };

static struct kfi_srx *fake_srx_alloc(struct kfi_domain *domain, u32 max_rx, u32 max_sge)
{
	struct kfi_srx *srx = fake_new(sizeof(*srx));

	if (!srx)
		return ERR_PTR(-ENOMEM);
	srx->ops = &fake_srx_ops;
	return srx;
}

static u64 fake_dma_map_single(struct kfi_domain *domain, void *ptr, size_t size, enum dma_data_direction dir)
{
	return (uintptr_t)ptr;
}

static int fake_dma_mapping_error(struct kfi_domain *domain, u64 addr)
{
	return addr ? 0 : -ENOMEM;
}

static int fake_dma_map_sg(struct kfi_domain *domain, struct scatterlist *sg, int nents, enum dma_data_direction dir)
{
	return nents;
}

static const struct kfi_domain_ops fake_domain_ops = {
	.free			= fake_domain_free,
	.cq_alloc		= fake_cq_alloc,
	.mr_alloc		= fake_mr_alloc,
	.srx_alloc		= fake_srx_alloc,
	.dma_map_single		= fake_dma_map_single,
	.dma_mapping_error	= fake_dma_mapping_error,
	.dma_map_sg		= fake_dma_map_sg,
};

static struct kfi_domain *fake_domain_open(struct kfi_device *device, u32 flags, const char *owner)
{
	struct kfi_domain *domain = fake_new(sizeof(*domain));

	if (!domain)
		return ERR_PTR(-ENOMEM);
	domain->ops = &fake_domain_ops;
	return domain;
}

static const struct kfi_device_ops fake_device_ops = { .domain_open = fake_domain_open };

static void fake_devices_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		devices[i] = (struct kfi_device) {
			.ops = &fake_device_ops,
			.provider_name = "fake",
			.attr = {
				.caps = KFI_CAP_RMA_READ | KFI_CAP_RMA_WRITE | KFI_CAP_MR | KFI_CAP_SRX,
				.max_tx = 100, .max_rx = 100, .max_tx_sge = 4, .max_rx_sge = 4, .max_cqe = 1000,
				.max_mr_pages = 64, .max_ird = 16, .max_ord = 8, .max_srx = 4, .max_srx_wr = 50,
				.max_private_data = 56,
			},
		};
		snprintf(devices[i].name, sizeof(devices[i].name), "fake%d", i);
	}
}

/* ---------------------------------------------------------------------------------------------- */
/* Registration                                                                                    */

static void test_provider_arguments(void)
{
	struct kfi_provider no_name = high.provider, no_pep = high.provider;

	no_name.name = NULL;
	no_pep.pep_open = NULL;
	EXPECT(kfi_provider_add(NULL) == -EINVAL);
	EXPECT(kfi_provider_add(&no_name) == -EINVAL);
	EXPECT(kfi_provider_add(&no_pep) == -EINVAL);
	EXPECT(kfi_provider_add(&high.provider) == 0);
	EXPECT(kfi_provider_add(&high.provider) == -EEXIST);
	kfi_provider_del(&high.provider);
	kfi_provider_del(&high.provider);
	kfi_provider_del(NULL);
}

static void test_device_arguments(void)
{
	struct kfi_device no_ops = devices[0], no_end = devices[0];

	no_ops.ops = NULL;
	memset(no_end.name, 'x', sizeof(no_end.name));
	EXPECT(kfi_device_add(NULL, THIS_MODULE) == -EINVAL);
	EXPECT(kfi_device_add(&no_ops, THIS_MODULE) == -EINVAL);
	EXPECT(kfi_device_add(&no_end, THIS_MODULE) == -EINVAL);
	EXPECT(kfi_device_add(&devices[0], THIS_MODULE) == 0);
	EXPECT(kfi_device_add(&devices[0], THIS_MODULE) == -EEXIST);
	kfi_device_del(&devices[0]);
	kfi_device_del(&devices[0]);
	kfi_device_del(NULL);
}

/* What the clients were told: "a0+" is client a, device 0, added. */
static char told[256];
static atomic_t telling = ATOMIC_INIT(0);

static void tell(struct kfi_client *client, struct kfi_device *device, char what)
{
	size_t len = strlen(told);

	EXPECT(atomic_inc_return(&telling) == 1);
	scnprintf(told + len, sizeof(told) - len, "%s%s%c%c", len ? " " : "", client->name,
		  device->name[4], what);
	atomic_dec(&telling);
}

static bool was_told(const char *what)
{
	bool same = !strcmp(told, what);

	if (!same)
		pr_err("# told \"%s\", not \"%s\"\n", told, what);
	told[0] = '\0';
	return same;
}

static int note_add(struct kfi_client *client, struct kfi_device *device)
{
	tell(client, device, '+');
	return 0;
}

static int refuse_add(struct kfi_client *client, struct kfi_device *device)
{
	tell(client, device, '!');
	return -EBUSY;
}

static void note_remove(struct kfi_client *client, struct kfi_device *device)
{
	tell(client, device, '-');
}

static struct kfi_client client_a = { .name = "a", .add = note_add, .remove = note_remove };
static struct kfi_client client_b = { .name = "b", .add = note_add, .remove = note_remove };
static struct kfi_client client_r = { .name = "r", .add = refuse_add, .remove = note_remove };

static void test_client_arguments(void)
{
	struct kfi_client no_name = client_a, no_add = client_a, no_remove = client_a;

	no_name.name = NULL;
	no_add.add = NULL;
	no_remove.remove = NULL;
	EXPECT(kfi_client_register(NULL) == -EINVAL);
	EXPECT(kfi_client_register(&no_name) == -EINVAL);
	EXPECT(kfi_client_register(&no_add) == -EINVAL);
	EXPECT(kfi_client_register(&no_remove) == -EINVAL);
	EXPECT(kfi_client_register(&client_a) == 0);
	EXPECT(kfi_client_register(&client_a) == -EEXIST);
	kfi_client_unregister(&client_a);
	kfi_client_unregister(&client_a);
	kfi_client_unregister(NULL);
}

static void test_client_order(void)
{
	told[0] = '\0';
	EXPECT(kfi_device_add(&devices[0], THIS_MODULE) == 0);
	EXPECT(was_told(""));
	EXPECT(kfi_client_register(&client_a) == 0);
	EXPECT(was_told("a0+"));
	EXPECT(kfi_client_register(&client_r) == 0);
	EXPECT(was_told("r0!"));
	EXPECT(kfi_device_add(&devices[1], THIS_MODULE) == 0);
	EXPECT(was_told("a1+ r1!"));
	EXPECT(kfi_client_register(&client_b) == 0);
	EXPECT(was_told("b0+ b1+"));
	kfi_device_del(&devices[0]);
	EXPECT(was_told("b0- a0-"));
	EXPECT(kfi_device_add(&devices[0], THIS_MODULE) == 0);
	EXPECT(was_told("a0+ r0! b0+"));
	kfi_client_unregister(&client_a);
	EXPECT(was_told("a0- a1-"));
	kfi_device_del(&devices[1]);
	EXPECT(was_told("b1-"));
	kfi_client_unregister(&client_r);
	EXPECT(was_told(""));
	kfi_client_unregister(&client_b);
	EXPECT(was_told("b0-"));
	kfi_device_del(&devices[0]);
	EXPECT(was_told(""));
}

/* A device that appears inside a callback: nobody waits, and it is announced afterwards. */
static int nested_add(struct kfi_client *client, struct kfi_device *device)
{
	tell(client, device, '+');
	if (device == &devices[0]) {
		EXPECT(kfi_device_add(&devices[1], THIS_MODULE) == 0);
		EXPECT(kfi_device_add(&devices[2], THIS_MODULE) == 0);
		/* Nobody was told of it yet, so even this does not wait. */
		kfi_device_del(&devices[2]);
	}
	return 0;
}

static void test_device_inside_callback(void)
{
	struct kfi_client nested = { .name = "n", .add = nested_add, .remove = note_remove };

	told[0] = '\0';
	EXPECT(kfi_client_register(&nested) == 0);
	EXPECT(kfi_client_register(&client_a) == 0);
	EXPECT(kfi_device_add(&devices[0], THIS_MODULE) == 0);
	EXPECT(was_told("n0+ a0+ n1+ a1+"));
	kfi_device_del(&devices[0]);
	kfi_device_del(&devices[1]);
	EXPECT(was_told("a0- n0- a1- n1-"));
	kfi_client_unregister(&nested);
	kfi_client_unregister(&client_a);
}

/* Clients and devices come and go at once. Each client counts its devices, and no two callbacks run at a time. */
static atomic_t balance = ATOMIC_INIT(0);

static int race_add(struct kfi_client *client, struct kfi_device *device)
{
	struct kfi_domain *domain = kfi_domain_open(device, 0);

	EXPECT(atomic_inc_return(&telling) == 1);
	EXPECT(!IS_ERR(domain));
	kfi_domain_put(domain);
	atomic_inc(&balance);
	atomic_dec(&telling);
	return 0;
}

static void race_remove(struct kfi_client *client, struct kfi_device *device)
{
	EXPECT(atomic_inc_return(&telling) == 1);
	atomic_dec(&balance);
	atomic_dec(&telling);
}

static int race_clients(void *done)
{
	struct kfi_client client = { .name = "race", .add = race_add, .remove = race_remove };
	int i;

	for (i = 0; i < 300; i++) {
		EXPECT(kfi_client_register(&client) == 0);
		cond_resched();
		kfi_client_unregister(&client);
	}
	complete(done);
	return 0;
}

static int race_devices(void *done)
{
	int i;

	for (i = 0; i < 900; i++) {
		EXPECT(kfi_device_add(&devices[i % 3], THIS_MODULE) == 0);
		cond_resched();
		kfi_device_del(&devices[i % 3]);
	}
	complete(done);
	return 0;
}

static void test_races(void)
{
	int (*const threads[])(void *) = { race_clients, race_clients, race_devices };
	DECLARE_COMPLETION_ONSTACK(done);
	int i, started = 0;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		if (!IS_ERR(kthread_run(threads[i], &done, "kfi-race/%d", i)))
			started++;
	EXPECT(started == ARRAY_SIZE(threads));
	while (started--)
		wait_for_completion(&done);
	EXPECT(atomic_read(&balance) == 0);
}

/* ---------------------------------------------------------------------------------------------- */
/* Objects of a device                                                                             */

static struct kfi_domain *open_domain(void)
{
	struct kfi_domain *domain;

	EXPECT(kfi_device_add(&devices[0], THIS_MODULE) == 0);
	domain = kfi_domain_open(&devices[0], 0);
	EXPECT(!IS_ERR(domain));
	return domain;
}

static void close_domain(struct kfi_domain *domain)
{
	kfi_domain_put(domain);
	kfi_device_del(&devices[0]);
}

static void test_domain(void)
{
	int refs = module_refcount(THIS_MODULE);
	u8 port_id[KFI_PORT_ID_SIZE];
	struct kfi_domain *domain;

	EXPECT(PTR_ERR(kfi_domain_open(&devices[0], 0)) == -ENODEV);
	domain = open_domain();
	EXPECT(module_refcount(THIS_MODULE) == refs + 1);
	EXPECT(domain->device == &devices[0]);
	EXPECT(!strcmp(domain->core.consumer, KBUILD_MODNAME));
	EXPECT(PTR_ERR(kfi_domain_open(NULL, 0)) == -EINVAL);
	EXPECT(kfi_device_port_id(&devices[0], 1, port_id) == -EOPNOTSUPP);
	EXPECT(kfi_device_port_id(&devices[1], 1, port_id) == -ENODEV);
	EXPECT(PTR_ERR(kfi_domain_open(&devices[0], KFI_DOMAIN_UNSAFE_GLOBAL_RKEY)) == -EOPNOTSUPP);
	EXPECT(PTR_ERR(kfi_domain_open(&devices[0], 2)) == -EOPNOTSUPP);
	EXPECT(PTR_ERR(kfi_domain_open(&devices[1], 0)) == -ENODEV);
	EXPECT(kfi_domain_get(domain) == domain);
	kfi_domain_put(domain);
	EXPECT(atomic_read(&live) == 1);
	/* It outlives the device. */
	kfi_device_del(&devices[0]);
	EXPECT(PTR_ERR(kfi_domain_open(&devices[0], 0)) == -ENODEV);
	kfi_domain_put(domain);
	EXPECT(module_refcount(THIS_MODULE) == refs);
	kfi_domain_put(NULL);
	kfi_domain_put(ERR_PTR(-ENOMEM));
}

static void test_dma(void)
{
	struct kfi_domain *domain = open_domain();
	struct scatterlist sg;
	void *buffer = kmalloc(64, GFP_KERNEL);

	EXPECT(buffer);
	sg_init_one(&sg, buffer, 64);
	EXPECT(kfi_dma_map_single(domain, buffer, 64, DMA_TO_DEVICE) == (uintptr_t)buffer);
	EXPECT(kfi_dma_mapping_error(domain, 1) == 0);
	EXPECT(kfi_dma_mapping_error(domain, 0) == -ENOMEM);
	EXPECT(kfi_dma_map_sg(domain, &sg, 1, DMA_TO_DEVICE) == 1);
	EXPECT(kfi_dma_map_sg(domain, NULL, 1, DMA_TO_DEVICE) == -EINVAL);
	EXPECT(kfi_dma_map_sg(domain, &sg, 0, DMA_TO_DEVICE) == -EINVAL);
	EXPECT(kfi_dma_map_sg(domain, &sg, -1, DMA_TO_DEVICE) == -EINVAL);
	kfree(buffer);
	close_domain(domain);
}

static void test_cq(void)
{
	struct kfi_domain *domain = open_domain();
	struct kfi_cq *cq;

	cq = kfi_cq_alloc(domain, &domain, 1000, -1, KFI_POLL_DIRECT);
	EXPECT(!IS_ERR(cq) && cq->domain == domain && cq->priv == &domain && cq->nr_cqe == 1000 &&
	       cq->poll == KFI_POLL_DIRECT);
	EXPECT(PTR_ERR(kfi_cq_alloc(NULL, NULL, 1, 0, KFI_POLL_SOFTIRQ)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_cq_alloc(domain, NULL, 0, 0, KFI_POLL_SOFTIRQ)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_cq_alloc(domain, NULL, 1001, 0, KFI_POLL_SOFTIRQ)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_cq_alloc(domain, NULL, 1, -2, KFI_POLL_SOFTIRQ)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_cq_alloc(domain, NULL, 1, 0, (enum kfi_poll)4)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_cq_pool_get(domain, 1, 0, KFI_POLL_DIRECT)) == -EINVAL);
	/* The queue holds the domain. */
	close_domain(domain);
	EXPECT(atomic_read(&live) == 2);
	kfi_cq_free(cq);
	kfi_cq_free(NULL);
	kfi_cq_free(ERR_PTR(-ENOMEM));
}

static void test_mr(void)
{
	struct kfi_domain *domain = open_domain();
	struct kfi_mr *mr;

	mr = kfi_mr_alloc(domain, KFI_MR_MEM_REG, 64);
	EXPECT(!IS_ERR(mr) && mr->domain == domain);
	EXPECT(PTR_ERR(kfi_mr_alloc(NULL, KFI_MR_MEM_REG, 1)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_mr_alloc(domain, KFI_MR_MEM_REG, 0)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_mr_alloc(domain, KFI_MR_MEM_REG, 65)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_mr_alloc(domain, (enum kfi_mr_type)3, 1)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_mr_alloc(domain, KFI_MR_INTEGRITY, 1)) == -EOPNOTSUPP);
	EXPECT(PTR_ERR(kfi_mr_alloc(domain, KFI_MR_SG_GAPS, 1)) == -EOPNOTSUPP);
	mr->need_inval = true;
	EXPECT(kfi_mr_remote_inv(mr, mr->rkey + 1) == -EPROTO);
	EXPECT(mr->need_inval);
	EXPECT(kfi_mr_remote_inv(mr, mr->rkey) == 0);
	EXPECT(!mr->need_inval);
	close_domain(domain);
	kfi_mr_free(mr);
	kfi_mr_free(NULL);
}

static void test_mr_pool(void)
{
	struct kfi_domain *domain = open_domain();
	struct kfi_mr_pool pool = {};
	struct kfi_mr *mr[4];
	int i;

	kfi_mr_pool_destroy(&pool);
	EXPECT(kfi_mr_pool_init(NULL, domain, 3, KFI_MR_MEM_REG, 1) == -EINVAL);
	EXPECT(kfi_mr_pool_init(&pool, NULL, 3, KFI_MR_MEM_REG, 1) == -EINVAL);
	EXPECT(kfi_mr_pool_init(&pool, domain, 0, KFI_MR_MEM_REG, 1) == -EINVAL);
	EXPECT(kfi_mr_pool_init(&pool, domain, 3, KFI_MR_MEM_REG, 65) == -EINVAL);
	EXPECT(kfi_mr_pool_init(&pool, domain, 3, KFI_MR_SG_GAPS, 1) == -EOPNOTSUPP);
	for (i = 1; i <= 3; i++) {
		refuse_mr = i;
		EXPECT(kfi_mr_pool_init(&pool, domain, 3, KFI_MR_MEM_REG, 1) == -ENOMEM);
		EXPECT(atomic_read(&live) == 1);
		kfi_mr_pool_destroy(&pool);
	}
	refuse_mr = 0;
	EXPECT(kfi_mr_pool_init(&pool, domain, 3, KFI_MR_MEM_REG, 1) == 0);
	EXPECT(pool.nr == 3);
	for (i = 0; i < 4; i++) {
		mr[i] = kfi_mr_pool_get(&pool);
		EXPECT(i < 3 ? !!mr[i] : !mr[i]);
	}
	EXPECT(mr[0] != mr[1] && mr[1] != mr[2] && mr[0] != mr[2]);
	kfi_mr_pool_put(&pool, mr[1]);
	EXPECT(kfi_mr_pool_get(&pool) == mr[1]);
	EXPECT(!kfi_mr_pool_get(&pool));
	for (i = 0; i < 2; i++)
		kfi_mr_pool_put(&pool, mr[i]);
	/* One is still out. */
	kfi_mr_pool_destroy(&pool);
	kfi_mr_pool_destroy(&pool);
	EXPECT(atomic_read(&live) == 1);
	close_domain(domain);
}

static void test_srx(void)
{
	struct kfi_domain *domain = open_domain();
	struct kfi_srx *srx;

	srx = kfi_srx_alloc(domain, 50, 4);
	EXPECT(!IS_ERR(srx) && srx->domain == domain);
	EXPECT(PTR_ERR(kfi_srx_alloc(NULL, 1, 1)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_srx_alloc(domain, 0, 1)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_srx_alloc(domain, 51, 1)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_srx_alloc(domain, 1, 5)) == -EINVAL);
	devices[0].attr.caps &= ~KFI_CAP_SRX;
	EXPECT(PTR_ERR(kfi_srx_alloc(domain, 1, 1)) == -EOPNOTSUPP);
	devices[0].attr.caps |= KFI_CAP_SRX;
	kfi_srx_free(srx);
	kfi_srx_free(NULL);
	close_domain(domain);
}

static void test_adopt(void)
{
	int refs = module_refcount(THIS_MODULE);
	struct kfi_domain *domain = fake_domain_open(&devices[0], 0, "");
	struct kfi_srx *srx;
	struct kfi_cq *cq;
	struct kfi_mr *mr;

	EXPECT(kfi_domain_adopt(domain, &devices[0], "importer") == -ENODEV);
	EXPECT(kfi_device_add(&devices[0], THIS_MODULE) == 0);
	EXPECT(kfi_domain_adopt(NULL, &devices[0], "importer") == -EINVAL);
	EXPECT(kfi_domain_adopt(domain, &devices[0], "importer") == 0);
	EXPECT(domain->device == &devices[0]);
	cq = fake_cq_alloc(domain, 1, 0, KFI_POLL_SOFTIRQ, false, "");
	mr = fake_mr_alloc(domain, KFI_MR_MEM_REG, 1);
	srx = fake_srx_alloc(domain, 1, 1);
	kfi_cq_adopt(cq, domain);
	kfi_mr_adopt(mr, domain);
	kfi_srx_adopt(srx, domain);
	EXPECT(srx->domain == domain);
	kfi_domain_put(domain);
	kfi_device_del(&devices[0]);
	EXPECT(atomic_read(&live) == 4);
	kfi_srx_free(srx);
	kfi_mr_free(mr);
	kfi_cq_free(cq);
	EXPECT(module_refcount(THIS_MODULE) == refs);
}

/* ---------------------------------------------------------------------------------------------- */
/* Resolution                                                                                      */

static struct completion resolved;
static struct kfi_info *resolved_info;
static int resolved_status;
/* What the callback does: nothing, drop the info, open an endpoint. */
static enum { KEEP, DROP, OPEN } in_callback;
static struct kfi_domain *open_on;
static struct kfi_ep *opened;
static struct kfi_cq *open_cq;

static void no_event(struct kfi_ep *ep, const struct kfi_event *event)
{
}

static struct kfi_ep_attr ep_attr(void)
{
	return (struct kfi_ep_attr) {
		.tx_cq = open_cq, .rx_cq = open_cq, .max_tx = 10, .max_rx = 10, .event = no_event, .priv = &opened,
	};
}

static void note_resolved(struct kfi_info *info, int status, void *priv)
{
	struct kfi_ep_attr attr = ep_attr();

	EXPECT(priv == &resolved);
	resolved_info = info;
	resolved_status = status;
	if (in_callback == DROP)
		kfi_info_put(info);
	if (in_callback == OPEN)
		opened = kfi_ep_open(info, open_on, &attr);
	complete(&resolved);
}

static struct sockaddr_in to = { .sin_family = AF_INET };
static struct kfi_resolve_attr where;

static void answers(enum answer high_answer, int high_status, enum answer low_answer, int low_status)
{
	high.answer = high_answer;
	high.status = high_status;
	low.answer = low_answer;
	low.status = low_status;
	high.asked = 0;
	low.asked = 0;
}

static void resolve_begin(void)
{
	to.sin_port = htons(4420);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	where = (struct kfi_resolve_attr) {
		.net = &init_net, .dst = (struct sockaddr *)&to, .tos = -1, .done = note_resolved, .priv = &resolved,
	};
	in_callback = KEEP;
	reinit_completion(&resolved);
	EXPECT(kfi_device_add(&devices[0], THIS_MODULE) == 0);
	EXPECT(kfi_provider_add(&low.provider) == 0);
	EXPECT(kfi_provider_add(&high.provider) == 0);
}

static void resolve_end(void)
{
	kfi_provider_del(&high.provider);
	kfi_provider_del(&low.provider);
	kfi_device_del(&devices[0]);
}

/*
 * One resolution from beginning to end. Returns what the callback was told, or kfi_resolve() itself: a provider may
 * have answered before kfi_resolve() returns.
 */
static int resolve_once(void)
{
	struct kfi_info *info;

	reinit_completion(&resolved);
	info = kfi_resolve(&where);
	if (IS_ERR(info))
		return PTR_ERR(info);
	wait_for_completion(&resolved);
	EXPECT(resolved_info == info);
	if (!resolved_status)
		EXPECT(info->device == &devices[0] && info->net == &init_net);
	kfi_info_put(info);
	return resolved_status;
}

static void test_resolve_arguments(void)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr other = { .sa_family = AF_UNIX };

	resolve_begin();
	answers(LATER, 0, LATER, 0);
	EXPECT(PTR_ERR(__kfi_resolve(NULL, NULL)) == -EINVAL);
#define REFUSED(field, value, error)					\
	do {								\
		struct kfi_resolve_attr attr = where;			\
									\
		attr.field = value;					\
		EXPECT(PTR_ERR(kfi_resolve(&attr)) == -(error));	\
	} while (0)
	REFUSED(net, NULL, EINVAL);
	REFUSED(dst, NULL, EINVAL);
	REFUSED(done, NULL, EINVAL);
	REFUSED(dst, &other, EAFNOSUPPORT);
	REFUSED(src, &other, EAFNOSUPPORT);
	REFUSED(src, (struct sockaddr *)&six, EINVAL);
	REFUSED(tos, 256, EINVAL);
	REFUSED(tos, -2, EINVAL);
	REFUSED(timeout_ms, 0x80000000, EINVAL);
	REFUSED(flags, KFI_OWN_PORT << 1, EOPNOTSUPP);
	REFUSED(provider, "none", ENODEV);
	to.sin_port = 0;
	EXPECT(PTR_ERR(kfi_resolve(&where)) == -EINVAL);
	EXPECT(high.asked == 0 && low.asked == 0);
	resolve_end();
	to.sin_port = htons(1);
	EXPECT(PTR_ERR(kfi_resolve(&where)) == -ENODEV);
}

static void test_resolve_fallback(void)
{
	static const enum answer ways[] = { INSIDE, LATER };
	int i, j;

	resolve_begin();
	for (i = 0; i < 2; i++) {
		/* The best provider has it. */
		answers(ways[i], 0, ways[i], 0);
		EXPECT(resolve_once() == 0);
		EXPECT(high.asked == 1 && low.asked == 0);
		/* The peer has spoken, or the path is broken: no fallback. */
		answers(ways[i], -EHOSTUNREACH, ways[i], 0);
		EXPECT(resolve_once() == -EHOSTUNREACH);
		EXPECT(low.asked == 0);
		answers(AT_ONCE, -ENODEV, ways[i], 0);
		EXPECT(resolve_once() == 0);
		EXPECT(high.asked == 1 && low.asked == 1);
		answers(ways[i], -ENODEV, AT_ONCE, -ENOMEM);
		EXPECT(resolve_once() == -ENOMEM);
		for (j = 0; j < 2; j++) {
			answers(ways[i], -ENODEV, ways[j], 0);
			EXPECT(resolve_once() == 0);
			EXPECT(high.asked == 1 && low.asked == 1);
			answers(ways[i], -ENODEV, ways[j], -ETIMEDOUT);
			EXPECT(resolve_once() == -ETIMEDOUT);
			answers(ways[i], -ENODEV, ways[j], -ENODEV);
			EXPECT(resolve_once() == -ENODEV);
		}
		/* A name is an order. */
		where.provider = "low";
		answers(ways[i], 0, ways[i], 0);
		EXPECT(resolve_once() == 0);
		EXPECT(high.asked == 0 && low.asked == 1);
		where.provider = "high";
		answers(ways[i], -ENODEV, ways[i], 0);
		EXPECT(resolve_once() == -ENODEV);
		EXPECT(high.asked == 1 && low.asked == 0);
		where.provider = NULL;
	}
	answers(AT_ONCE, -EACCES, LATER, 0);
	EXPECT(resolve_once() == -EACCES);
	resolve_end();
}

static void test_resolve_dropped_in_callback(void)
{
	struct kfi_info *info;

	resolve_begin();
	in_callback = DROP;
	answers(LATER, 0, LATER, 0);
	info = kfi_resolve(&where);
	EXPECT(!IS_ERR(info));
	wait_for_completion(&resolved);
	answers(NEVER, -ENODEV, LATER, -ENODEV);
	info = kfi_resolve(&where);
	EXPECT(!IS_ERR(info));
	queue_work(fake_queue, &high.last->work);
	wait_for_completion(&resolved);
	EXPECT(resolved_status == -ENODEV);
	flush_workqueue(fake_queue);
	resolve_end();
}

static void test_resolve_cancelled(void)
{
	struct kfi_info *info;

	resolve_begin();
	answers(NEVER, 0, NEVER, 0);
	info = kfi_resolve(&where);
	EXPECT(!IS_ERR(info));
	EXPECT(PTR_ERR(kfi_ep_open(info, NULL, NULL)) == -EINVAL);
	kfi_info_put(info);
	/* After a provider had given up. */
	answers(NEVER, -ENODEV, NEVER, 0);
	reinit_completion(&low.entered);
	info = kfi_resolve(&where);
	EXPECT(!IS_ERR(info));
	queue_work(fake_queue, &high.last->work);
	wait_for_completion(&low.entered);
	kfi_info_put(info);
	EXPECT(!completion_done(&resolved));
	resolve_end();
}

static int put_info(void *info)
{
	kfi_info_put(info);
	complete(&resolved);
	return 0;
}

/* The second provider is being asked while the consumer drops the info: that waits, and no callback comes. */
static void test_resolve_cancelled_while_asking(void)
{
	static const enum answer ways[] = { AT_ONCE, INSIDE, LATER, NEVER };
	DECLARE_COMPLETION_ONSTACK(hold);
	struct kfi_info *info;
	int i;

	resolve_begin();
	low.hold = &hold;
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		answers(NEVER, -ENODEV, ways[i], ways[i] == AT_ONCE ? -ENOMEM : 0);
		resolved_info = NULL;
		reinit_completion(&resolved);
		reinit_completion(&low.entered);
		reinit_completion(&hold);
		info = kfi_resolve(&where);
		EXPECT(!IS_ERR(info));
		queue_work(fake_queue, &high.last->work);
		wait_for_completion(&low.entered);
		EXPECT(!IS_ERR(kthread_run(put_info, info, "kfi-put")));
		/* Long enough for it to get as far as it can. */
		msleep(20);
		EXPECT(!completion_done(&resolved));
		complete(&hold);
		wait_for_completion(&resolved);
		EXPECT(!resolved_info);
	}
	low.hold = NULL;
	resolve_end();
}

static void test_provider_del_waits(void)
{
	DECLARE_COMPLETION_ONSTACK(hold);
	struct kfi_info *info;

	resolve_begin();
	answers(NEVER, -ENODEV, LATER, 0);
	low.hold = &hold;
	reinit_completion(&low.entered);
	info = kfi_resolve(&where);
	EXPECT(!IS_ERR(info));
	queue_work(fake_queue, &high.last->work);
	wait_for_completion(&low.entered);
	complete(&hold);
	kfi_provider_del(&low.provider);
	EXPECT(!try_wait_for_completion(&hold));
	low.hold = NULL;
	wait_for_completion(&resolved);
	EXPECT(resolved_status == 0);
	kfi_info_put(info);
	resolve_end();
}

/* ---------------------------------------------------------------------------------------------- */
/* Endpoints                                                                                       */

static struct kfi_info *resolve_info(void)
{
	struct kfi_info *info;

	reinit_completion(&resolved);
	info = kfi_resolve(&where);
	EXPECT(!IS_ERR(info));
	wait_for_completion(&resolved);
	EXPECT(!resolved_status);
	return info;
}

static void endpoint_begin(void)
{
	resolve_begin();
	answers(LATER, 0, LATER, 0);
	open_on = kfi_domain_open(&devices[0], 0);
	EXPECT(!IS_ERR(open_on));
	open_cq = kfi_cq_alloc(open_on, NULL, 10, 0, KFI_POLL_SOFTIRQ);
	EXPECT(!IS_ERR(open_cq));
}

static void endpoint_end(void)
{
	kfi_cq_free(open_cq);
	kfi_domain_put(open_on);
	resolve_end();
}

static void test_ep_open(void)
{
	struct kfi_domain *elsewhere;
	struct kfi_ep_attr attr;
	struct kfi_info *info;
	struct kfi_cq *other;
	struct kfi_ep *ep;

	endpoint_begin();
	EXPECT(kfi_device_add(&devices[1], THIS_MODULE) == 0);
	elsewhere = kfi_domain_open(&devices[1], 0);
	other = kfi_cq_alloc(elsewhere, NULL, 10, 0, KFI_POLL_SOFTIRQ);
	info = resolve_info();
	attr = ep_attr();
	EXPECT(PTR_ERR(kfi_ep_open(NULL, open_on, &attr)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_ep_open(info, NULL, &attr)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_ep_open(info, open_on, NULL)) == -EINVAL);
	EXPECT(PTR_ERR(kfi_ep_open(info, elsewhere, &attr)) == -EINVAL);
#define EP_REFUSED(field, value, error)						\
	do {									\
		attr = ep_attr();						\
		attr.field = value;						\
		EXPECT(PTR_ERR(kfi_ep_open(info, open_on, &attr)) == -(error));	\
	} while (0)
	EP_REFUSED(tx_cq, NULL, EINVAL);
	EP_REFUSED(rx_cq, NULL, EINVAL);
	EP_REFUSED(tx_cq, other, EINVAL);
	EP_REFUSED(rx_cq, other, EINVAL);
	EP_REFUSED(event, NULL, EINVAL);
	EP_REFUSED(max_tx, 0, EINVAL);
	EP_REFUSED(max_tx, 101, EINVAL);
	EP_REFUSED(max_rx, 101, EINVAL);
	EP_REFUSED(max_tx_sge, 5, EINVAL);
	EP_REFUSED(max_rx_sge, 5, EINVAL);
	EP_REFUSED(flags, 1, EOPNOTSUPP);
	/* The provider refuses. */
	EP_REFUSED(max_tx, 13, ENOMEM);
	attr = ep_attr();
	ep = kfi_ep_open(info, open_on, &attr);
	EXPECT(!IS_ERR(ep) && ep->domain == open_on && ep->priv == &opened);
	EXPECT(attr.max_tx == 11);
	kfi_ep_close(ep);
	kfi_ep_close(NULL);
	kfi_ep_close(ERR_PTR(-ENOMEM));

	in_callback = OPEN;
	opened = NULL;
	resolve_info();
	EXPECT(!IS_ERR_OR_NULL(opened));
	/* The endpoint holds the domain. */
	kfi_domain_get(open_on);
	kfi_ep_close(opened);
	kfi_domain_put(open_on);

	kfi_cq_free(other);
	kfi_domain_put(elsewhere);
	kfi_device_del(&devices[1]);
	endpoint_end();
}

static void test_connect(void)
{
	struct kfi_ep_attr attr;
	struct sockaddr_storage addr;
	struct kfi_ep *ep;
	char data[57];

	endpoint_begin();
	attr = ep_attr();
	ep = kfi_ep_open(resolve_info(), open_on, &attr);
	EXPECT(!IS_ERR(ep));
#define CONNECT(...)	kfi_ep_connect(ep, &(struct kfi_conn_param) { __VA_ARGS__ })
#define ACCEPT(...)	kfi_ep_accept(ep, &(struct kfi_conn_param) { __VA_ARGS__ })
	EXPECT(kfi_ep_connect(NULL, &last_param) == -EINVAL);
	EXPECT(kfi_ep_connect(ep, NULL) == -EINVAL);
	EXPECT(kfi_ep_accept(ep, NULL) == -EINVAL);
	EXPECT(CONNECT(.private_data_len = 1) == -EINVAL);
	EXPECT(CONNECT(.private_data = data, .private_data_len = 57) == -EMSGSIZE);
	EXPECT(ACCEPT(.private_data = data, .private_data_len = 57) == -EMSGSIZE);
	EXPECT(CONNECT(.retry_count = 8) == -EINVAL);
	EXPECT(CONNECT(.rnr_retry_count = 8) == -EINVAL);
	EXPECT(CONNECT(.private_data = data, .private_data_len = 56, .ird = 255, .ord = 255, .retry_count = 7) == 0);
	EXPECT(last_param.private_data == data && last_param.private_data_len == 56);
	EXPECT(last_param.ird == 16 && last_param.ord == 8 && last_param.retry_count == 7);
	EXPECT(ACCEPT(.ird = 1, .ord = 2) == 0);
	EXPECT(last_param.ird == 1 && last_param.ord == 2);
	EXPECT(kfi_ep_addr(ep, true, NULL) == -EINVAL);
	EXPECT(kfi_ep_addr(ep, true, &addr) == 0 && addr.ss_family == AF_INET);
	EXPECT(kfi_ep_shutdown(ep) == -ENOTCONN);
	EXPECT(kfi_ep_abort(NULL) == -EINVAL);
	kfi_ep_drain(ep, KFI_TX | KFI_RX);
	kfi_ep_close(ep);
	endpoint_end();
}

static void test_rma(void)
{
	struct kfi_pi_attr pi = {};
	struct kfi_pi_fault fault;
	struct kfi_ep_attr attr;
	struct kfi_rma rma = {};
	struct scatterlist sg;
	void *buffer = kmalloc(64, GFP_KERNEL);
	struct kfi_ep *ep;

	endpoint_begin();
	EXPECT(buffer);
	sg_init_one(&sg, buffer, 64);
	attr = ep_attr();
	ep = kfi_ep_open(resolve_info(), open_on, &attr);
	EXPECT(!IS_ERR(ep));
	kfi_rma_fini(&rma, &sg, 1, DMA_TO_DEVICE);
	EXPECT(kfi_rma_init(NULL, ep, &sg, 1, 0, 0, 0, DMA_TO_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init(&rma, NULL, &sg, 1, 0, 0, 0, DMA_TO_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init(&rma, ep, NULL, 1, 0, 0, 0, DMA_TO_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init(&rma, ep, &sg, 0, 0, 0, 0, DMA_TO_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init(&rma, ep, &sg, 1, 0, 0, 0, DMA_BIDIRECTIONAL) == -EINVAL);
	devices[0].attr.caps &= ~KFI_CAP_RMA_READ;
	EXPECT(kfi_rma_init(&rma, ep, &sg, 1, 0, 0, 0, DMA_FROM_DEVICE) == -EOPNOTSUPP);
	devices[0].attr.caps |= KFI_CAP_RMA_READ;
	EXPECT(!rma.ep);
	EXPECT(kfi_rma_init(&rma, ep, &sg, 1, 0, 0, 0, DMA_FROM_DEVICE) == 0);
	EXPECT(rma.ep == ep && rma.nr_ops == 1);
	EXPECT(kfi_rma_op(&rma, NULL, NULL) == &rma.op);
	kfi_rma_fini(&rma, &sg, 1, DMA_FROM_DEVICE);
	EXPECT(!rma.ep);
	kfi_rma_fini(&rma, &sg, 1, DMA_FROM_DEVICE);

	EXPECT(kfi_rma_init_pi(&rma, ep, &sg, 1, NULL, 0, &pi, 0, 0, DMA_FROM_DEVICE) == -EOPNOTSUPP);
	devices[0].attr.caps |= KFI_CAP_PI;
	devices[0].attr.max_pi_pages = 2;
	EXPECT(kfi_rma_init_pi(NULL, ep, &sg, 1, NULL, 0, &pi, 0, 0, DMA_FROM_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init_pi(&rma, NULL, &sg, 1, NULL, 0, &pi, 0, 0, DMA_FROM_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init_pi(&rma, ep, NULL, 1, NULL, 0, &pi, 0, 0, DMA_FROM_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init_pi(&rma, ep, &sg, 1, NULL, 1, &pi, 0, 0, DMA_FROM_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init_pi(&rma, ep, &sg, 1, &sg, 3, &pi, 0, 0, DMA_FROM_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init_pi(&rma, ep, &sg, 1, &sg, 1, NULL, 0, 0, DMA_FROM_DEVICE) == -EINVAL);
	EXPECT(kfi_rma_init_pi(&rma, ep, &sg, 1, &sg, 1, &pi, 0, 0, DMA_BIDIRECTIONAL) == -EINVAL);
	EXPECT(kfi_rma_pi_status(&rma, &fault) == -EINVAL);
	EXPECT(kfi_rma_init_pi(&rma, ep, &sg, 1, &sg, 2, &pi, 0, 0, DMA_FROM_DEVICE) == 0);
	EXPECT(rma.ep == ep && rma.nr_ops == 2);
	EXPECT(kfi_rma_pi_status(&rma, NULL) == -EINVAL);
	EXPECT(kfi_rma_pi_status(&rma, &fault) == -EILSEQ && fault.what == KFI_PI_CHECK_APP);
	kfi_rma_fini_pi(&rma, &sg, 1, &sg, 2, DMA_FROM_DEVICE);
	EXPECT(!rma.ep && kfi_rma_pi_status(&rma, &fault) == -EINVAL);
	kfi_rma_fini_pi(&rma, &sg, 1, &sg, 2, DMA_FROM_DEVICE);
	devices[0].attr.caps &= ~KFI_CAP_PI;
	kfree(buffer);
	kfi_ep_close(ep);
	endpoint_end();
}

static void no_pep_event(struct kfi_pep *pep, const struct kfi_event *event)
{
}

static void test_pep(void)
{
	int refs = module_refcount(THIS_MODULE);
	struct sockaddr other = { .sa_family = AF_UNIX };
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(0xc0000201) };
	struct kfi_pep_attr attr, good;
	struct kfi_pep *pep;

	resolve_begin();
	good = (struct kfi_pep_attr) {
		.net = &init_net, .addr = (struct sockaddr *)&here, .event = no_pep_event, .priv = &attr,
	};
	answers(LATER, 0, LATER, 0);
	EXPECT(PTR_ERR(__kfi_pep_open(NULL, NULL)) == -EINVAL);
#define PEP_REFUSED(field, value, error)				\
	do {								\
		attr = good;						\
		attr.field = value;					\
		EXPECT(PTR_ERR(kfi_pep_open(&attr)) == -(error));	\
	} while (0)
	PEP_REFUSED(net, NULL, EINVAL);
	PEP_REFUSED(addr, NULL, EINVAL);
	PEP_REFUSED(event, NULL, EINVAL);
	PEP_REFUSED(backlog, -1, EINVAL);
	PEP_REFUSED(addr, &other, EAFNOSUPPORT);
	PEP_REFUSED(flags, KFI_OWN_PORT << 1, EOPNOTSUPP);
	PEP_REFUSED(provider, "none", ENODEV);
	EXPECT(high.asked == 0 && low.asked == 0);
	pep = kfi_pep_open(&good);
	EXPECT(!IS_ERR(pep) && pep->priv == &attr);
	EXPECT(module_refcount(THIS_MODULE) == refs + 1);
	kfi_pep_close(pep);
	answers(AT_ONCE, -ENODEV, LATER, 0);
	pep = kfi_pep_open(&good);
	EXPECT(!IS_ERR(pep) && low.asked == 1);
	kfi_pep_close(pep);
	answers(AT_ONCE, -EADDRINUSE, LATER, 0);
	EXPECT(PTR_ERR(kfi_pep_open(&good)) == -EADDRINUSE);
	EXPECT(low.asked == 0);
	answers(AT_ONCE, -ENODEV, AT_ONCE, -ENODEV);
	EXPECT(PTR_ERR(kfi_pep_open(&good)) == -ENODEV);

	/* Every provider has the wildcard address. */
	here.sin_addr.s_addr = htonl(INADDR_ANY);
	EXPECT(PTR_ERR(kfi_pep_open(&good)) == -ENODEV);
	answers(LATER, 0, LATER, 0);
	pep = kfi_pep_open(&good);
	EXPECT(!IS_ERR(pep) && pep->priv == &attr);
	EXPECT(high.asked == 1 && low.asked == 1);
	EXPECT(module_refcount(THIS_MODULE) == refs + 2);
	kfi_pep_close(pep);
	EXPECT(module_refcount(THIS_MODULE) == refs);
	answers(LATER, 0, AT_ONCE, -ENODEV);
	pep = kfi_pep_open(&good);
	EXPECT(!IS_ERR(pep) && module_refcount(THIS_MODULE) == refs + 1);
	kfi_pep_close(pep);
	answers(LATER, 0, AT_ONCE, -EADDRINUSE);
	EXPECT(PTR_ERR(kfi_pep_open(&good)) == -EADDRINUSE);
	EXPECT(module_refcount(THIS_MODULE) == refs);
	kfi_pep_close(NULL);
	resolve_end();
	EXPECT(module_refcount(THIS_MODULE) == refs);
}

static struct kfi_info *connect_request(void)
{
	struct fake_info *fake = fake_new(sizeof(*fake));

	fake->info.ops = &fake_info_ops;
	fake->info.device = &devices[0];
	return &fake->info;
}

static void test_connect_request(void)
{
	int refs = module_refcount(THIS_MODULE);
	struct kfi_ep_attr attr;
	struct kfi_info *info;
	struct kfi_ep *ep;
	char data[57] = {};

	endpoint_begin();
	info = resolve_info();
	EXPECT(kfi_info_reject(info, NULL, 0) == -EINVAL);
	kfi_info_put(info);

	EXPECT(kfi_info_adopt(NULL) == -EINVAL);
	info = connect_request();
	EXPECT(kfi_info_adopt(info) == 0);
	EXPECT(kfi_info_reject(NULL, NULL, 0) == -EINVAL);
	EXPECT(kfi_info_reject(info, NULL, 1) == -EINVAL);
	EXPECT(kfi_info_reject(info, data, 57) == -EMSGSIZE);
	EXPECT(kfi_info_reject(info, data, 56) == 0);

	info = connect_request();
	EXPECT(kfi_info_adopt(info) == 0);
	kfi_info_put(info);

	info = connect_request();
	EXPECT(kfi_info_adopt(info) == 0);
	attr = ep_attr();
	attr.max_tx = 13;
	EXPECT(PTR_ERR(kfi_ep_open(info, open_on, &attr)) == -ENOMEM);
	attr = ep_attr();
	ep = kfi_ep_open(info, open_on, &attr);
	EXPECT(!IS_ERR(ep));
	kfi_ep_close(ep);
	endpoint_end();
	EXPECT(module_refcount(THIS_MODULE) == refs);
	kfi_info_put(NULL);
	kfi_info_put(ERR_PTR(-ENODEV));
}

static void test_strerror(void)
{
	EXPECT(!strcmp(kfi_strerror(0), "success"));
	EXPECT(!strcmp(kfi_strerror(-ECANCELED), "flushed"));
	EXPECT(!strcmp(kfi_strerror(ECANCELED), "flushed"));
	EXPECT(!strcmp(kfi_strerror(-4095), "unknown error"));
}

/* ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "arguments of kfi_provider_add", test_provider_arguments },
	{ "arguments of kfi_device_add", test_device_arguments },
	{ "arguments of kfi_client_register", test_client_arguments },
	{ "order of clients", test_client_order },
	{ "device added inside a callback of a client", test_device_inside_callback },
	{ "clients and devices come and go at once", test_races },
	{ "domain", test_domain },
	{ "DMA mapping", test_dma },
	{ "completion queue", test_cq },
	{ "memory region", test_mr },
	{ "pool of memory regions", test_mr_pool },
	{ "shared receive context", test_srx },
	{ "adopted objects", test_adopt },
	{ "arguments of kfi_resolve", test_resolve_arguments },
	{ "fallback", test_resolve_fallback },
	{ "info dropped in its callback", test_resolve_dropped_in_callback },
	{ "resolution cancelled", test_resolve_cancelled },
	{ "resolution cancelled while a provider is asked", test_resolve_cancelled_while_asking },
	{ "kfi_provider_del waits for calls", test_provider_del_waits },
	{ "endpoint", test_ep_open },
	{ "connect and accept", test_connect },
	{ "bulk transfer", test_rma },
	{ "passive endpoint", test_pep },
	{ "connect request", test_connect_request },
	{ "texts", test_strerror },
};

static int __init kfi_shim_test_init(void)
{
	bool failed = false;
	int i;

	fake_queue = alloc_workqueue("kfi-shim-test", WQ_UNBOUND, 0);
	if (!fake_queue)
		return -ENOMEM;
	init_completion(&resolved);
	init_completion(&high.entered);
	init_completion(&low.entered);
	fake_devices_init();
	pr_info("KTAP version 1\n");
	pr_info("1..%zu\n", ARRAY_SIZE(tests));
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		int refs = module_refcount(THIS_MODULE);

		test_failed = false;
		tests[i].run();
		flush_workqueue(fake_queue);
		EXPECT(atomic_read(&live) == 0);
		EXPECT(module_refcount(THIS_MODULE) == refs);
		atomic_set(&live, 0);
		pr_info("%sok %d %s\n", test_failed ? "not " : "", i + 1, tests[i].name);
		failed |= test_failed;
	}
	destroy_workqueue(fake_queue);
	return failed ? -EINVAL : 0;
}

static void __exit kfi_shim_test_exit(void)
{
}

module_init(kfi_shim_test_init);
module_exit(kfi_shim_test_exit);

MODULE_DESCRIPTION("Tests of kfi.ko");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("KFI");
