/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kfi_test: what kfi promises to a consumer, tested against a device of this host.
 *
 * It speaks to itself: each test opens both ends of its connections.
 */
#ifndef _KFI_TEST_H
#define _KFI_TEST_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <kfi/kfi.h>
#include "expect.h"

/**
 * struct kfi_case - a test
 * @name: of the property that holds when it passes
 * @run: 0 passed, KFI_SKIP not possible here, another errno failed (and says why)
 * @caps: needed of the device, KFI_CAP_*
 */
struct kfi_case {
	const char	*name;
	int		(*run)(void);
	u32		caps;
};

#define KFI_SKIP	1

extern const struct kfi_case kfi_args_cases[], kfi_setup_cases[], kfi_early_cases[], kfi_data_cases[],
	kfi_remote_cases[], kfi_life_cases[];

/* The cases' arrays end with an empty one. */
#define KFI_CASES_END	{ }

/* Parameters of the module. */
extern struct sockaddr_storage kfi_test_addr, kfi_test_src;
extern const char *kfi_test_provider;
extern int kfi_test_tos;
/* The device that has the address, and what it can do. */
extern struct kfi_device *kfi_test_device;
extern u32 kfi_test_caps;

static inline bool kfi_test_iwarp(void)
{
	return kfi_test_caps & KFI_CAP_READ_NEEDS_RKEY;
}

static inline bool kfi_test_tcp(void)
{
	return !strcmp(kfi_test_device->provider_name, "tcp");
}

/**
 * struct kfi_buf - memory for messages and remote access
 * @va: the bytes
 * @len: their number
 * @dma: mapped address
 * @domain: where
 * @mr: region, after kfi_buf_map(), registered by kfi_buf_expose()
 * @sg: its scatter list
 */
struct kfi_buf {
	u8			*va;
	u32			len;
	u64			dma;
	struct kfi_domain	*domain;
	struct kfi_mr		*mr;
	struct scatterlist	sg;
};

/**
 * struct kfi_wait - an operation or receive that somebody waits for
 * @ctx: context
 * @done: completed once per completion
 * @count: number of completions
 * @comp: copy of the last one
 * @order: its place among all completions of the test
 * @cpu: where the callback has run
 * @hardirq: it has run in one
 * @noio: what it allocates causes no I/O
 */
struct kfi_wait {
	struct kfi_ctx		ctx;
	struct completion	done;
	atomic_t		count;
	struct kfi_comp		comp;
	u32			order;
	unsigned int		cpu;
	bool			hardirq;
	bool			noio;
};

/**
 * struct kfi_side - one end of a connection
 * @ep: endpoint
 * @domain: its domain; opened with it, unless it is there
 * @cq: its queue, for both directions
 * @srx: shared receive context or NULL
 * @established: ESTABLISHED came
 * @ended: REJECTED, ERROR or DISCONNECTED came
 * @closed: a close from the event callback has been asked for
 * @nr_ended: how often
 * @end_type: which
 * @end_status: its status
 * @want_ird: reads that the other end may have outstanding
 * @want_ord: reads that it wants to have outstanding
 * @ird: of ESTABLISHED
 * @ord: of ESTABLISHED
 * @pd_len: length of @pd
 * @close_in_event: close in the callback of the last event
 * @in_event: called in it
 * @pd: private data of ESTABLISHED or REJECTED
 */
struct kfi_side {
	struct kfi_ep		*ep;
	struct kfi_domain	*domain;
	struct kfi_cq		*cq;
	struct kfi_srx		*srx;
	struct completion	established;
	struct completion	ended;
	struct completion	closed;
	atomic_t		nr_ended;
	enum kfi_event_type	end_type;
	int			end_status;
	u8			want_ird;
	u8			want_ord;
	u8			ird;
	u8			ord;
	u32			pd_len;
	bool			close_in_event;
	void			(*in_event)(struct kfi_side *side);
	u8			pd[256];
};

/**
 * struct kfi_pair - a connection of this host with itself
 * @poll: who polls both queues
 * @vector: completion vector of both queues
 * @max_tx: operations outstanding, each end
 * @max_rma: transfers outstanding, each end
 * @no_sge: operations have no elements
 * @pool: queues from the pool
 * @use_srx: the passive end receives from a shared context
 * @pep: passive endpoint
 * @request: the connect request
 * @asked_ird: of the request
 * @asked_ord: of the request
 * @requested: it came
 * @info: the active end before it is opened
 * @a: active end
 * @p: passive end
 */
struct kfi_pair {
	enum kfi_poll		poll;
	int			vector;
	u32			max_tx;
	u32			max_rma;
	bool			no_sge;
	bool			pool;
	bool			use_srx;
	struct kfi_pep		*pep;
	struct kfi_info		*request;
	u8			asked_ird;
	u8			asked_ord;
	struct completion	requested;
	struct kfi_info		*info;
	struct kfi_side		a;
	struct kfi_side		p;
};

#define KFI_DEPTH	16

/* From here on this task gets no memory, if selftests/kfi_test.sh has arranged for that. */
static inline void kfi_test_starve(bool starve)
{
#ifdef CONFIG_FAULT_INJECTION
	current->make_it_fail = starve;
#endif
}

/*
 * A call that waits for no memory, as it may be on the way to the disk where memory is to be written: it allocates
 * none, and takes no lock under which somebody else waits for some.
 */
#define kfi_test_starved(call)				\
({							\
	/* Nobody reclaims in an interrupt. */		\
	bool __reclaim = in_task() && !irqs_disabled();	\
	typeof(call) __ret;				\
							\
	if (__reclaim)					\
		fs_reclaim_acquire(GFP_KERNEL);		\
	kfi_test_starve(true);				\
	__ret = (call);					\
	kfi_test_starve(false);				\
	if (__reclaim)					\
		fs_reclaim_release(GFP_KERNEL);		\
	__ret;						\
})

/* All posts and polls of the tests are such calls. */
#define kfi_ep_post(...)	kfi_test_starved(kfi_ep_post(__VA_ARGS__))
#define kfi_ep_recv(...)	kfi_test_starved(kfi_ep_recv(__VA_ARGS__))
#define kfi_srx_recv(...)	kfi_test_starved(kfi_srx_recv(__VA_ARGS__))
#define kfi_cq_poll(...)	kfi_test_starved(kfi_cq_poll(__VA_ARGS__))

int kfi_test_wait(struct completion *done);

struct kfi_info *kfi_test_resolve_start(kfi_resolve_fn done, void *priv);
struct kfi_info *kfi_test_resolve(int *status);
struct kfi_pep *kfi_test_listen(void (*event)(struct kfi_pep *pep, const struct kfi_event *event), void *priv);

struct kfi_pair *kfi_pair_new(void);
void kfi_pair_init(struct kfi_pair *pair);
int kfi_pair_request(struct kfi_pair *pair, const void *private_data, u32 len);
int kfi_pair_accept(struct kfi_pair *pair, const void *private_data, u32 len);
int kfi_pair_up(struct kfi_pair *pair);
void kfi_pair_down(struct kfi_pair *pair);
void kfi_pair_free(struct kfi_pair *pair);
int kfi_pair_open(struct kfi_pair *pair);
int kfi_side_open(struct kfi_side *side, struct kfi_pair *pair, struct kfi_info *info, bool passive);
void kfi_side_close(struct kfi_side *side);

void kfi_wait_init(struct kfi_wait *wait);
int kfi_wait_for(struct kfi_side *side, struct kfi_wait *wait);
int kfi_wait_status(struct kfi_side *side, struct kfi_wait *wait, int status);

int kfi_buf_init(struct kfi_buf *buf, struct kfi_domain *domain, u32 len, u8 fill);
void kfi_buf_fini(struct kfi_buf *buf);
int kfi_buf_map(struct kfi_buf *buf);
int kfi_buf_expose(struct kfi_buf *buf, struct kfi_side *side, u32 access);
struct kfi_sge kfi_buf_sge(struct kfi_buf *buf, u32 len);
u64 kfi_buf_addr(struct kfi_buf *buf);
bool kfi_buf_is(struct kfi_buf *buf, u32 from, u32 to, u8 value);

int kfi_side_recv(struct kfi_side *side, struct kfi_wait *wait, struct kfi_buf *buf, u32 len);
int kfi_side_send(struct kfi_side *side, struct kfi_wait *wait, struct kfi_buf *buf, u32 len);
int kfi_side_rma(struct kfi_side *side, struct kfi_wait *wait, u8 opcode, struct kfi_buf *local, u32 len, u64 raddr,
		 u32 rkey);

#endif /* _KFI_TEST_H */
