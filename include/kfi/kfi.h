/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kfi: kernel fabric interface, the API for consumers.
 *
 * One interface through which kernel code moves messages and remote memory, whatever carries them.
 * Documentation/kfi/api.rst is the guide; lifetimes.rst, locking.rst and removal.rst are the contract.
 *
 * Context codes used below:
 *   Process   process context, may sleep
 *   Any       any context, hardirq with interrupts off included; neither sleeps nor allocates
 */
#ifndef _KFI_KFI_H
#define _KFI_KFI_H

#include <linux/bvec.h>
#include <linux/dma-direction.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/socket.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct device;
struct kfi_client;
struct kfi_comp;
struct kfi_cq;
struct kfi_ctx;
struct kfi_device;
struct kfi_domain;
struct kfi_ep;
struct kfi_event;
struct kfi_info;
struct kfi_mr;
struct kfi_op;
struct kfi_pep;
struct kfi_rma;
struct kfi_rx;
struct kfi_srx;
struct module;
struct net;

#define KFI_NAME_MAX		64
#define KFI_PORT_ID_SIZE	16
/* What every provider carries in each direction; see kfi_device_attr.max_private_data. */
#define KFI_PRIVATE_DATA_MIN	56

/* ---------------------------------------------------------------------------------------------- */
/* Completions                                                                                     */

/**
 * enum kfi_opcode - what an operation does, and what a completion reports
 * @KFI_OP_SEND: message into a receive that the peer has posted
 * @KFI_OP_SEND_WITH_IMM: the same, with 32 bits of immediate data (kfi_op.data, host byte order)
 * @KFI_OP_SEND_WITH_INV: the same, invalidating the peer's key kfi_op.data
 * @KFI_OP_WRITE: RMA write to kfi_op.raddr, kfi_op.rkey
 * @KFI_OP_WRITE_WITH_IMM: the same, and the peer gets a receive completion with the immediate data
 * @KFI_OP_READ: RMA read from kfi_op.raddr, kfi_op.rkey
 * @KFI_OP_NOP: takes its place in the order of operations and completes; moves nothing
 * @KFI_OP_MR_REG: makes kfi_op.mr, mapped before, usable with a new key; see kfi_op_mr_reg()
 * @KFI_OP_MR_INV: ends the use of the key kfi_op.data; see kfi_op_mr_inv()
 * @KFI_OP_NATIVE: a chain in the provider's own form; made by kfi_rma_op() and import.h only
 * @KFI_OP_RECV: only in completions: a receive was filled
 * @KFI_OP_RECV_WRITE_IMM: only in completions: the peer's KFI_OP_WRITE_WITH_IMM used up a receive
 */
enum kfi_opcode {
	KFI_OP_SEND		= 0,
	KFI_OP_SEND_WITH_IMM	= 1,
	KFI_OP_SEND_WITH_INV	= 2,
	KFI_OP_WRITE		= 3,
	KFI_OP_WRITE_WITH_IMM	= 4,
	KFI_OP_READ		= 5,
	KFI_OP_NOP		= 6,
	KFI_OP_MR_REG		= 7,
	KFI_OP_MR_INV		= 8,
	KFI_OP_NATIVE		= 9,
	KFI_OP_RECV		= 128,
	KFI_OP_RECV_WRITE_IMM	= 129,
};

/* kfi_op.flags */
#define KFI_OP_SIGNALED		0x01	/* complete through the CQ on success too */
#define KFI_OP_FENCE		0x02	/* start after earlier RMA reads of this endpoint are done */
#define KFI_OP_FLAGS_ALL	(KFI_OP_SIGNALED | KFI_OP_FENCE)

/* kfi_comp.flags */
#define KFI_COMP_IMM		0x01	/* data is the peer's immediate data, host byte order */
#define KFI_COMP_INV		0x02	/* data is the local key that the peer invalidated */

/**
 * struct kfi_comp - what a completion callback is told
 * @ctx: the context the operation or receive was posted with
 * @ep: the endpoint it was posted to; for a shared receive the endpoint the message came in on
 * @status: 0, or a negative errno that means the same on every provider:
 *	-ECANCELED flushed, never executed or outcome unknown;
 *	-EMSGSIZE message longer than the receive; -EFAULT local memory or key refused;
 *	-EACCES remote key, range or permission refused; -ETIMEDOUT peer does not answer;
 *	-EREMOTEIO peer reported another error; -ENOBUFS peer posted no receive;
 *	-EIO anything else. Over iWARP (KFI_CAP_READ_NEEDS_RKEY) a peer that refuses ends the connection and does not
 *	say which operation it was: -ECANCELED or -EIO, and 0 for a write that was sent. Soft RDMA devices give -EIO
 *	or -ECANCELED for some local keys, too
 * @opcode: enum kfi_opcode; undefined unless @status is 0
 * @flags: KFI_COMP_*; 0 unless @status is 0
 * @len: bytes received; undefined unless @status is 0 and this is a receive
 * @data: immediate data or invalidated key, as @flags say
 * @prov_err: the provider's own error code (enum ib_wc_status over verbs), for messages
 *
 * Valid during the callback only.
 */
struct kfi_comp {
	struct kfi_ctx	*ctx;
	struct kfi_ep	*ep;
	int		status;
	u16		opcode;
	u16		flags;
	u32		len;
	u32		data;
	u32		prov_err;
};

/**
 * typedef kfi_done_fn - completion callback
 * @ctx: what was posted; container_of() leads to the consumer's own structure
 * @comp: the outcome
 *
 * Called once for each accepted signaled operation and each receive, and for each accepted unsignaled operation
 * that fails. Never called from inside a post. Callbacks of one CQ do not run concurrently, apart from
 * kfi_cq_poll() and kfi_ep_drain() on a KFI_POLL_DIRECT queue, which the consumer serialises itself.
 *
 * Context: that of the CQ, see enum kfi_poll. May post. Must not close, free or drain anything.
 */
typedef void (*kfi_done_fn)(struct kfi_ctx *ctx, struct kfi_comp *comp);

/**
 * struct kfi_ctx - embedded in what the consumer posts, leads back to it
 * @prov_done: the provider's; aliases ib_cqe.done, so that native work requests and kfi operations can share a CQ
 * @done: set by the consumer before each post
 * @ep: set by the provider at post
 *
 * Belongs to the provider from the post until the callback. An unsignaled operation's context may be shared.
 */
struct kfi_ctx {
	void		*prov_done;
	kfi_done_fn	done;
	struct kfi_ep	*ep;
};

/* ---------------------------------------------------------------------------------------------- */
/* Operations                                                                                      */

/**
 * struct kfi_sge - one piece of local memory; the layout of struct ib_sge
 * @addr: DMA address from kfi_dma_map_*(), or an address within a registered kfi_mr
 * @length: bytes
 * @lkey: kfi_domain.local_dma_lkey, or kfi_mr.lkey
 */
struct kfi_sge {
	u64	addr;
	u32	length;
	u32	lkey;
};

/**
 * struct kfi_op - one operation, or a link of a chain of them
 * @next: next operation of the chain, or NULL
 * @ctx: completion context; NULL only for an unsignaled operation whose failure nobody needs to hear of
 * @sgl: local memory, @nsge elements
 * @nsge: number of elements
 * @opcode: enum kfi_opcode
 * @flags: KFI_OP_SIGNALED, KFI_OP_FENCE; others are refused with -EOPNOTSUPP
 * @data: immediate data or key to invalidate
 * @raddr: remote address
 * @rkey: remote key
 * @access: KFI_ACCESS_* for KFI_OP_MR_REG
 * @mr: memory region for KFI_OP_MR_REG
 * @priv: the provider's scratch space during the post
 *
 * Read during the post only: the operation and its @sgl may live on the stack. Memory that @sgl names belongs to
 * the provider until the completion.
 */
struct kfi_op {
	struct kfi_op		*next;
	struct kfi_ctx		*ctx;
	const struct kfi_sge	*sgl;
	u16			nsge;
	u8			opcode;
	u8			flags;
	u32			data;
	u64			raddr;
	u32			rkey;
	u32			access;
	struct kfi_mr		*mr;
	u64			priv[7];
};

/**
 * struct kfi_rx - one receive, or a link of a chain of them
 * @next: next of the chain, or NULL
 * @ctx: completion context; never NULL
 * @sgl: where the message goes; may be empty for messages without payload
 * @nsge: number of elements
 * @priv: the provider's scratch space during the post
 */
struct kfi_rx {
	struct kfi_rx		*next;
	struct kfi_ctx		*ctx;
	const struct kfi_sge	*sgl;
	u32			nsge;
	u64			priv[4];
};

/* What is received or read may go there by kfi_mr.lkey; KFI_ACCESS_REMOTE_WRITE implies it */
#define KFI_ACCESS_LOCAL_WRITE		0x1
#define KFI_ACCESS_REMOTE_READ		0x2
#define KFI_ACCESS_REMOTE_WRITE		0x4
#define KFI_ACCESS_ALL			0x7

/* ---------------------------------------------------------------------------------------------- */
/* Devices, domains, clients                                                                       */

/* kfi_device_attr.caps: what is absent is refused with -EOPNOTSUPP, never ignored */
#define KFI_CAP_RMA_READ	0x0001
#define KFI_CAP_RMA_WRITE	0x0002
#define KFI_CAP_IMM		0x0004	/* SEND_WITH_IMM */
#define KFI_CAP_WRITE_IMM	0x0008	/* WRITE_WITH_IMM */
#define KFI_CAP_SEND_INV	0x0010
#define KFI_CAP_MR		0x0020	/* KFI_OP_MR_REG and KFI_OP_MR_INV */
#define KFI_CAP_SG_GAPS		0x0040	/* KFI_MR_SG_GAPS */
#define KFI_CAP_SRX		0x0080
#define KFI_CAP_PI		0x0100	/* KFI_EP_PI and KFI_MR_INTEGRITY: T10 protection information */
#define KFI_CAP_READ_NEEDS_RKEY	0x0200	/* iWARP: the sink of a read is a region with KFI_ACCESS_REMOTE_WRITE */
#define KFI_CAP_VIRT_DMA	0x0400	/* DMA addresses are kernel virtual addresses */
#define KFI_CAP_P2P		0x0800	/* kfi_dma_map_sg() takes memory of PCI devices (pci_p2pdma) */
#define KFI_CAP_UNSAFE_GLOBAL_RKEY 0x1000 /* KFI_DOMAIN_UNSAFE_GLOBAL_RKEY */

/**
 * struct kfi_device_attr - what a device can do
 * @caps: KFI_CAP_*
 * @max_tx: largest kfi_ep_attr.max_tx
 * @max_rx: largest kfi_ep_attr.max_rx
 * @max_tx_sge: elements in an operation
 * @max_rx_sge: elements in a receive
 * @max_read_sge: elements in a read
 * @max_cqe: largest completion queue
 * @max_mr_pages: pages in a memory region
 * @max_pi_pages: pages in a region of KFI_MR_INTEGRITY, of data and as many of protection information; 0 without
 *	KFI_CAP_PI
 * @max_ird: reads a peer may have outstanding at us
 * @max_ord: reads we may have outstanding at a peer
 * @max_srx: shared receive contexts
 * @max_srx_wr: receives in one of them
 * @max_private_data: bytes of private data a connect request carries
 * @nr_vectors: completion vectors
 * @numa_node: NUMA node or NUMA_NO_NODE
 */
struct kfi_device_attr {
	u32	caps;
	u32	max_tx;
	u32	max_rx;
	u32	max_tx_sge;
	u32	max_rx_sge;
	u32	max_read_sge;
	u32	max_cqe;
	u32	max_mr_pages;
	u32	max_pi_pages;
	u32	max_ird;
	u32	max_ord;
	u32	max_srx;
	u32	max_srx_wr;
	u32	max_private_data;
	u32	nr_vectors;
	int	numa_node;
};

/**
 * struct kfi_device - something that carries endpoints: an RDMA device
 * @ops: the provider's; consumers use the functions of this file
 * @attr: limits and capabilities
 * @name: the device's name, "rxe0"
 * @provider_name: "verbs"
 * @dev: its place in the device model, for messages, children and peer memory; NULL when it has none
 * @core: kfi's own; the provider leaves it zero
 * @core.owner: the provider's module
 *
 * A consumer may use the pointer from kfi_client.add until kfi_client.remove returns, and as long as it holds an
 * info or a domain on it.
 */
struct kfi_device {
	const struct kfi_device_ops	*ops;
	struct kfi_device_attr		attr;
	char				name[KFI_NAME_MAX];
	const char			*provider_name;
	struct device			*dev;
	struct {
		struct module	*owner;
	} core;
};

/**
 * kfi_device_port_id() - what tells a device or a port of it from those of other hosts
 * @device: the device
 * @port: number of the port, from 1, or 0 for the device
 * @id: filled in, KFI_PORT_ID_SIZE bytes. Over RDMA the port's GID 0; for the device the prefix fe80::/64 and its node
 *	GUID. Over TCP, for both, one of the same form whose last eight bytes are made of the address of a network
 *	interface of the host, or random when it has none
 *
 * For protocols in which an initiator, a target or a port of theirs has a name. It may change with the addresses of the
 * host.
 *
 * Context: Process.
 * Return: 0; -EINVAL @device or @id is NULL or there is no such port; -EOPNOTSUPP ports have no such thing; -ENODEV.
 */
int kfi_device_port_id(struct kfi_device *device, u32 port, u8 *id);

/**
 * struct kfi_client - a consumer that wants to hear of devices
 * @name: for messages
 * @add: a device is there; an error is reported and @remove is then not called for it
 * @remove: the device goes away: close everything that is open on it before returning
 *
 * Both callbacks run in process context, may sleep, and never run concurrently with each other or with those of another
 * client. kfi holds no lock meanwhile that a function of this file takes, apart from these: they must not register or
 * unregister a client, nor take a device away, nor wait for somebody who does. Clients are added in the order of
 * registration and removed in the opposite order.
 */
struct kfi_client {
	const char	*name;
	int		(*add)(struct kfi_client *client, struct kfi_device *device);
	void		(*remove)(struct kfi_client *client, struct kfi_device *device);
};

/**
 * kfi_client_register() - hear of devices
 * @client: filled in; belongs to kfi until kfi_client_unregister() returns
 *
 * Calls @client->add for each device that is there before it returns, and for each later one when it appears.
 *
 * Context: Process; not inside a callback of a client.
 * Return: 0; -EINVAL a field of @client is NULL; -EEXIST it is registered already; -ENOMEM.
 */
int kfi_client_register(struct kfi_client *client);

/**
 * kfi_client_unregister() - hear of devices no longer
 * @client: registered before
 *
 * Calls @client->remove for each device that @client->add has accepted, last one first. No callback runs or starts
 * after this has returned.
 *
 * Context: Process; not inside a callback of a client.
 */
void kfi_client_unregister(struct kfi_client *client);

/**
 * struct kfi_domain - a protection domain on a device
 * @ops: the provider's
 * @device: the device
 * @local_dma_lkey: key for memory mapped by kfi_dma_map_*()
 * @unsafe_global_rkey: with KFI_DOMAIN_UNSAFE_GLOBAL_RKEY a key by which peers reach all memory that is mapped by
 *	kfi_dma_map_*(), at its DMA address; else 0
 * @core: kfi's own; the provider leaves it zero
 * @core.owner: the provider's module
 * @core.refs: the consumer's references and one for each object opened on the domain
 * @core.consumer: who opened it
 * @core.record: counts of what is open on the device
 *
 * Each completion queue, region, endpoint and shared receive context holds a reference.
 */
struct kfi_domain {
	const struct kfi_domain_ops	*ops;
	struct kfi_device		*device;
	u32				local_dma_lkey;
	u32				unsafe_global_rkey;
	struct {
		struct module	*owner;
		refcount_t	refs;
		const char	*consumer;
		void		*record;
	} core;
};

/*
 * kfi_domain_open(): a key for all memory, never invalidated. Whoever knows it, or guesses it, reads and writes the
 * memory of this host: only for drivers that have offered it to the administrator all along.
 */
#define KFI_DOMAIN_UNSAFE_GLOBAL_RKEY	0x1

/**
 * __kfi_domain_open() - kfi_domain_open() with the consumer's name
 * @device: as there
 * @flags: as there
 * @owner: name of the consumer; outlives the domain
 *
 * Context: Process.
 * Return: as there.
 */
struct kfi_domain *__kfi_domain_open(struct kfi_device *device, u32 flags, const char *owner);
/**
 * kfi_domain_open() - open a protection domain
 * @device: where
 * @flags: 0 or, where there is KFI_CAP_UNSAFE_GLOBAL_RKEY, KFI_DOMAIN_UNSAFE_GLOBAL_RKEY
 *
 * The module's name is passed down, so that `rdma res show pd` names the consumer.
 *
 * Context: Process.
 * Return: the domain with one reference, for kfi_domain_put(); ERR_PTR: -ENODEV the device is going away, -EINVAL
 * @device is NULL, -EOPNOTSUPP unknown flag or capability missing, -ENOMEM.
 */
#define kfi_domain_open(device, flags) __kfi_domain_open(device, flags, KBUILD_MODNAME)

/**
 * kfi_domain_get() - take another reference
 * @domain: the caller holds a reference already
 *
 * Context: Any.
 * Return: @domain.
 */
struct kfi_domain *kfi_domain_get(struct kfi_domain *domain);

/**
 * kfi_domain_put() - drop a reference; the last one closes the domain
 * @domain: the domain; NULL and ERR_PTR are ignored
 *
 * Context: Process.
 */
void kfi_domain_put(struct kfi_domain *domain);

/* The functions below, out of line: for devices with a DMA engine, and for Rust. */
u64 __kfi_dma_map_single(struct kfi_domain *domain, void *ptr, size_t size, enum dma_data_direction dir);
void __kfi_dma_unmap_single(struct kfi_domain *domain, u64 addr, size_t size, enum dma_data_direction dir);
int __kfi_dma_mapping_error(struct kfi_domain *domain, u64 addr);
void __kfi_dma_sync_single_for_cpu(struct kfi_domain *domain, u64 addr, size_t size, enum dma_data_direction dir);
void __kfi_dma_sync_single_for_device(struct kfi_domain *domain, u64 addr, size_t size,
				      enum dma_data_direction dir);

/**
 * kfi_domain_is_virt() - are DMA addresses of this domain kernel virtual addresses?
 * @domain: the domain
 *
 * Then mapping is a cast, and nothing is called for it.
 *
 * Context: Any.
 * Return: KFI_CAP_VIRT_DMA.
 */
static inline bool kfi_domain_is_virt(const struct kfi_domain *domain)
{
	return domain->device->attr.caps & KFI_CAP_VIRT_DMA;
}

/**
 * kfi_dma_map_single() - make a buffer usable for local operations
 * @domain: the domain of the endpoint that will use it
 * @ptr: linear kernel memory, not of the stack and not of vmalloc
 * @size: bytes
 * @dir: who writes it
 *
 * Until kfi_dma_unmap_single() the buffer belongs to the device, apart from kfi_dma_sync_single_for_cpu().
 *
 * Context: Any.
 * Return: address for kfi_sge.addr with kfi_domain.local_dma_lkey as key; to be tested by kfi_dma_mapping_error().
 */
static inline u64 kfi_dma_map_single(struct kfi_domain *domain, void *ptr, size_t size,
				     enum dma_data_direction dir)
{
	if (kfi_domain_is_virt(domain))
		return (uintptr_t)ptr;
	return __kfi_dma_map_single(domain, ptr, size, dir);
}

/**
 * kfi_dma_unmap_single() - undo kfi_dma_map_single()
 * @domain: as given there
 * @addr: as returned there
 * @size: as given there
 * @dir: as given there
 *
 * Legal after the device has gone, as long as @domain is held.
 *
 * Context: Any.
 */
static inline void kfi_dma_unmap_single(struct kfi_domain *domain, u64 addr, size_t size,
					enum dma_data_direction dir)
{
	if (!kfi_domain_is_virt(domain))
		__kfi_dma_unmap_single(domain, addr, size, dir);
}

/**
 * kfi_dma_mapping_error() - did kfi_dma_map_single() fail?
 * @domain: as given there
 * @addr: as returned there
 *
 * Context: Any.
 * Return: 0; -ENOMEM it did.
 */
static inline int kfi_dma_mapping_error(struct kfi_domain *domain, u64 addr)
{
	return kfi_domain_is_virt(domain) ? 0 : __kfi_dma_mapping_error(domain, addr);
}

/**
 * kfi_dma_map_sg() - make a scatter list usable for local operations and regions
 * @domain: the domain of the endpoint or region that will use it
 * @sg: scatter list
 * @nents: number of its elements
 * @dir: who writes it
 *
 * Not for kfi_rma_init(), which maps by itself.
 *
 * Context: Any.
 * Return: number of mapped elements, which may be smaller than @nents; -EINVAL @sg is NULL or @nents is not positive,
 * -EIO or -ENOMEM the mapping failed, -ENODEV.
 */
int kfi_dma_map_sg(struct kfi_domain *domain, struct scatterlist *sg, int nents, enum dma_data_direction dir);

/**
 * kfi_dma_unmap_sg() - undo kfi_dma_map_sg()
 * @domain: as given there
 * @sg: as given there
 * @nents: as given there, not as returned
 * @dir: as given there
 *
 * Legal after the device has gone, as long as @domain is held.
 *
 * Context: Any.
 */
void kfi_dma_unmap_sg(struct kfi_domain *domain, struct scatterlist *sg, int nents,
		      enum dma_data_direction dir);

/**
 * kfi_dma_sync_single_for_cpu() - take a mapped buffer back for a while
 * @domain: as given to kfi_dma_map_single()
 * @addr: as returned there, or within that range
 * @size: bytes
 * @dir: as given there
 *
 * Context: Any.
 */
static inline void kfi_dma_sync_single_for_cpu(struct kfi_domain *domain, u64 addr, size_t size,
					       enum dma_data_direction dir)
{
	if (!kfi_domain_is_virt(domain))
		__kfi_dma_sync_single_for_cpu(domain, addr, size, dir);
}

/**
 * kfi_dma_sync_single_for_device() - give a mapped buffer to the device again
 * @domain: as given to kfi_dma_map_single()
 * @addr: as returned there, or within that range
 * @size: bytes
 * @dir: as given there
 *
 * Context: Any.
 */
static inline void kfi_dma_sync_single_for_device(struct kfi_domain *domain, u64 addr, size_t size,
						  enum dma_data_direction dir)
{
	if (!kfi_domain_is_virt(domain))
		__kfi_dma_sync_single_for_device(domain, addr, size, dir);
}

/* ---------------------------------------------------------------------------------------------- */
/* Completion queues                                                                               */

/**
 * enum kfi_poll - who runs the callbacks of a completion queue
 * @KFI_POLL_SOFTIRQ: softirq; must not sleep
 * @KFI_POLL_WORKQUEUE: a work item bound to the completion vector's CPU; may sleep
 * @KFI_POLL_UNBOUND_WORKQUEUE: an unbound work item; may sleep
 * @KFI_POLL_DIRECT: the caller of kfi_cq_poll(), in its own context
 */
enum kfi_poll {
	KFI_POLL_SOFTIRQ,
	KFI_POLL_WORKQUEUE,
	KFI_POLL_UNBOUND_WORKQUEUE,
	KFI_POLL_DIRECT,
};

/**
 * struct kfi_cq - a completion queue
 * @ops: the provider's
 * @domain: the domain it was opened on
 * @priv: the consumer's
 * @nr_cqe: entries asked for
 * @poll: who polls it
 */
struct kfi_cq {
	const struct kfi_cq_ops	*ops;
	struct kfi_domain	*domain;
	void			*priv;
	u32			nr_cqe;
	enum kfi_poll		poll;
};

/**
 * __kfi_cq_alloc() - kfi_cq_alloc() and kfi_cq_pool_get() with the consumer's name
 * @domain: as there
 * @priv: as there
 * @nr_cqe: as there
 * @vector: as there
 * @poll: as there
 * @pool: true for kfi_cq_pool_get()
 * @owner: name of the consumer; outlives the queue
 *
 * Context: Process.
 * Return: as there.
 */
struct kfi_cq *__kfi_cq_alloc(struct kfi_domain *domain, void *priv, u32 nr_cqe, int vector, enum kfi_poll poll,
			      bool pool, const char *owner);
/**
 * kfi_cq_alloc() - allocate a completion queue of its own
 * @domain: where
 * @priv: kept in kfi_cq.priv
 * @nr_cqe: entries: as many as there are operations, signaled or not, and receives outstanding at a time on the
 *	endpoints that will use it, because the end of a connection takes one for each: the sum of max_tx + max_rx. A
 *	transfer is kfi_rma.nr_ops operations, and with max_rma kfi_ep_open() returns a larger max_tx, which the entries
 *	have to be enough for, or else the consumer posts less. kfi adds what it needs itself (drain), for 32 endpoints
 *	and one for each 16 entries: 2 more are needed for each endpoint beyond that
 * @vector: completion vector, taken modulo the device's number of them; -1 for any
 * @poll: who runs the callbacks
 *
 * Context: Process.
 * Return: the queue, for kfi_cq_free(), or ERR_PTR: -EINVAL @nr_cqe is 0 or beyond the device's limit, @vector is below
 * -1 or @poll unknown, -ENOMEM, -ENODEV.
 */
#define kfi_cq_alloc(domain, priv, nr_cqe, vector, poll) \
	__kfi_cq_alloc(domain, priv, nr_cqe, vector, poll, false, KBUILD_MODNAME)
/**
 * kfi_cq_pool_get() - take a share of a completion queue that the device's consumers have in common
 * @domain: where
 * @nr_cqe: entries
 * @vector: completion vector or -1
 * @poll: not KFI_POLL_DIRECT (-EINVAL)
 *
 * Over verbs this is ib_cq_pool_get().
 *
 * Context: Process.
 * Return: as kfi_cq_alloc(), also for kfi_cq_free().
 */
#define kfi_cq_pool_get(domain, nr_cqe, vector, poll) \
	__kfi_cq_alloc(domain, NULL, nr_cqe, vector, poll, true, KBUILD_MODNAME)

/**
 * kfi_cq_free() - free a completion queue or give its share back
 * @cq: used by no endpoint any more; NULL and ERR_PTR are ignored
 *
 * No callback of the queue runs or starts after this has returned.
 *
 * Context: Process; not inside a callback of the queue.
 */
void kfi_cq_free(struct kfi_cq *cq);

/* ---------------------------------------------------------------------------------------------- */
/* Memory regions                                                                                  */

/**
 * enum kfi_mr_type - shape of the memory a region can take
 * @KFI_MR_MEM_REG: pages without gaps between them
 * @KFI_MR_SG_GAPS: any scatter list; needs KFI_CAP_SG_GAPS
 * @KFI_MR_INTEGRITY: pages of data, and their protection information, which the device checks, adds or takes away
 *	on the way; needs KFI_CAP_PI. Mapped by kfi_mr_map_sg_pi(), for endpoints with KFI_EP_PI
 */
enum kfi_mr_type {
	KFI_MR_MEM_REG,
	KFI_MR_SG_GAPS,
	KFI_MR_INTEGRITY,
};

/**
 * struct kfi_mr - a memory region
 * @ops: the provider's
 * @domain: where it was allocated
 * @iova: address of its first byte as local and remote operations name it
 * @length: bytes mapped
 * @lkey: local key, for kfi_sge.lkey
 * @rkey: remote key, the one to send to the peer; changes with each kfi_op_mr_reg()
 * @need_inval: registered and not invalidated since; kept by kfi
 * @node: kfi's own: free list of a pool
 *
 * Life: allocated -> kfi_mr_map_sg() -> KFI_OP_MR_REG -> in use -> KFI_OP_MR_INV, or the peer's send with invalidate
 * followed by kfi_mr_remote_inv() -> free again. kfi keeps no reference to the scatter list.
 *
 * Both keys are for the endpoint to which KFI_OP_MR_REG was posted, and for its peer. Over RDMA other endpoints of the
 * domain can use them, too; over TCP they are refused there.
 */
struct kfi_mr {
	const struct kfi_mr_ops	*ops;
	struct kfi_domain	*domain;
	u64			iova;
	u64			length;
	u32			lkey;
	u32			rkey;
	bool			need_inval;
	struct list_head	node;
};

/**
 * kfi_mr_alloc() - allocate a memory region
 * @domain: where
 * @type: shape of the memory it can take
 * @max_sg: pages (elements, for KFI_MR_SG_GAPS) it can take
 *
 * Context: Process.
 * Return: the region, for kfi_mr_free(), or ERR_PTR: -EINVAL @max_sg is 0 or beyond kfi_device_attr.max_mr_pages
 * (max_pi_pages for KFI_MR_INTEGRITY) or @type unknown, -EOPNOTSUPP capability missing, -ENOMEM, -ENODEV.
 */
struct kfi_mr *kfi_mr_alloc(struct kfi_domain *domain, enum kfi_mr_type type, u32 max_sg);

/**
 * kfi_mr_free() - free a memory region
 * @mr: fenced: invalidated and that completed, or its endpoint drained or closed; NULL and ERR_PTR are ignored
 *
 * Context: Process.
 */
void kfi_mr_free(struct kfi_mr *mr);

/**
 * kfi_mr_remote_inv() - the peer has invalidated a key: was it this region's?
 * @mr: the region whose key the peer was to invalidate
 * @key: kfi_comp.data of a completion with KFI_COMP_INV
 *
 * Afterwards nobody touches the memory, and the region needs no kfi_op_mr_inv().
 *
 * Context: Any.
 * Return: 0; -EPROTO the peer invalidated something else: end the connection.
 */
int kfi_mr_remote_inv(struct kfi_mr *mr, u32 key);

/**
 * enum kfi_pi_type - protection information of one side
 * @KFI_PI_NONE: it has none: the device adds it on the way to the other side, or takes it away
 * @KFI_PI_T10_DIF: eight bytes of T10 DIF behind each interval of data
 */
enum kfi_pi_type {
	KFI_PI_NONE,
	KFI_PI_T10_DIF,
};

/**
 * enum kfi_pi_guard - checksum of the data
 * @KFI_PI_GUARD_CRC: the CRC of T10 DIF
 * @KFI_PI_GUARD_CSUM: the IP checksum
 */
enum kfi_pi_guard {
	KFI_PI_GUARD_CRC,
	KFI_PI_GUARD_CSUM,
};

/* kfi_pi_attr.check_mask, one bit for each of the eight bytes; and kfi_pi_fault.what */
#define KFI_PI_CHECK_GUARD	0xc0
#define KFI_PI_CHECK_APP	0x30
#define KFI_PI_CHECK_REF	0x0f

/**
 * struct kfi_pi_domain - protection information in memory, or on the wire
 * @type: whether there is any; the rest has no meaning without
 * @guard: kind of guard
 * @interval: bytes of data that one of them protects
 * @guard_seed: where the guard starts
 * @app_tag: application tag
 * @app_check_mask: bits of it that are compared
 * @ref_tag: reference tag of the first interval
 * @ref_remap: the reference tag grows by one with each interval
 * @app_escape: an application tag of 0xffff means: not to be checked
 * @ref_escape: only if the reference tag is 0xffffffff, too
 */
struct kfi_pi_domain {
	enum kfi_pi_type	type;
	enum kfi_pi_guard	guard;
	u16			interval;
	u16			guard_seed;
	u16			app_tag;
	u16			app_check_mask;
	u32			ref_tag;
	bool			ref_remap;
	bool			app_escape;
	bool			ref_escape;
};

/**
 * struct kfi_pi_attr - what kfi_mr_map_sg_pi() is asked for
 * @check_mask: KFI_PI_CHECK_*: what the device compares
 * @mem: in the memory of the region
 * @wire: as the peer sees it
 */
struct kfi_pi_attr {
	u8			check_mask;
	struct kfi_pi_domain	mem;
	struct kfi_pi_domain	wire;
};

/**
 * struct kfi_pi_fault - what kfi_mr_pi_status() has found
 * @what: one of KFI_PI_CHECK_*
 * @expected: value that it should have
 * @actual: value that it has
 * @offset: byte of the data in front of it
 */
struct kfi_pi_fault {
	u32	what;
	u32	expected;
	u32	actual;
	u64	offset;
};

/**
 * kfi_mr_map_sg_pi() - give a region data and its protection information
 * @mr: a region of KFI_MR_INTEGRITY that is not registered
 * @data: scatter list of the data, mapped by kfi_dma_map_sg()
 * @nr_data: number of its mapped elements
 * @meta: the same of the protection information, or NULL if there is none in memory
 * @nr_meta: number of its mapped elements
 * @page_size: alignment of the gaps, a power of two
 * @attr: read before return
 *
 * Sets @mr->iova and @mr->length. The key is valid only after kfi_op_mr_reg().
 *
 * Context: Any.
 * Return: 0; -EINVAL @attr or @data is missing, a number is out of range, the lists do not fit or @mr is of another
 * type; -EOPNOTSUPP, -ENODEV, -ENOMEM.
 */
int kfi_mr_map_sg_pi(struct kfi_mr *mr, struct scatterlist *data, int nr_data, struct scatterlist *meta, int nr_meta,
		     u32 page_size, const struct kfi_pi_attr *attr);

/**
 * kfi_mr_pi_status() - was the protection information as it should be?
 * @mr: a region of KFI_MR_INTEGRITY that the peer has used
 * @fault: filled in for -EILSEQ
 *
 * To be asked before the region is mapped again.
 *
 * Context: Any.
 * Return: 0 it was; -EILSEQ it was not; -EINVAL @mr or @fault is NULL or @mr is of another type, -EOPNOTSUPP, -ENODEV,
 * or what the device says.
 */
int kfi_mr_pi_status(struct kfi_mr *mr, struct kfi_pi_fault *fault);

/**
 * struct kfi_mr_pool - memory regions allocated ahead, to be taken in any context
 * @lock: protects @free; taken with interrupts off
 * @free: regions not in use
 * @all: regions of the pool
 * @nr: their number
 */
struct kfi_mr_pool {
	spinlock_t		lock;	/* protects free */
	struct list_head	free;
	struct kfi_mr		**all;
	u32			nr;
};

/**
 * kfi_mr_pool_init() - fill a pool
 * @pool: the consumer's memory; does not move until kfi_mr_pool_destroy()
 * @domain: where
 * @nr: number of regions
 * @type: as kfi_mr_alloc()
 * @max_sg: as kfi_mr_alloc()
 *
 * Context: Process.
 * Return: 0, or as kfi_mr_alloc(), also -EINVAL @nr is 0. After an error there is nothing to destroy.
 */
int kfi_mr_pool_init(struct kfi_mr_pool *pool, struct kfi_domain *domain, u32 nr, enum kfi_mr_type type,
		     u32 max_sg);

/**
 * kfi_mr_pool_destroy() - free all regions of a pool
 * @pool: filled before, or zeroed memory; may be called again
 *
 * As for kfi_mr_free(), all regions are fenced; those that were not put back are freed too.
 *
 * Context: Process.
 */
void kfi_mr_pool_destroy(struct kfi_mr_pool *pool);

/**
 * kfi_mr_pool_get() - take a region
 * @pool: the pool
 *
 * Context: Any.
 * Return: the region, for kfi_mr_pool_put(); NULL when all are in use.
 */
struct kfi_mr *kfi_mr_pool_get(struct kfi_mr_pool *pool);

/**
 * kfi_mr_pool_put() - give a region back
 * @pool: where it came from
 * @mr: the region; it may still be registered, see kfi_mr.need_inval
 *
 * Context: Any.
 */
void kfi_mr_pool_put(struct kfi_mr_pool *pool, struct kfi_mr *mr);

/* ---------------------------------------------------------------------------------------------- */
/* Connections                                                                                     */

/**
 * struct kfi_info - a connection that has no endpoint yet: the result of kfi_resolve() or a connect request
 * @device: where it would live
 * @port: number of the device's port, from 1
 * @src: local address
 * @dst: peer's address
 * @private_data: of the peer's request; NULL on the resolving side. Over InfiniBand and RoCE padded with zeros to 56
 *	bytes, or 92 with addresses of AF_IB, so a protocol carries its own length
 * @private_data_len: bytes
 * @ird: reads the peer asks to have outstanding at us
 * @ord: reads the peer lets us have outstanding
 * @net: the network namespace
 * @ops: the provider's
 * @core: kfi's own; the provider leaves it zero
 * @core.owner: the provider's module
 * @core.counted: it is in the counts
 * @core.request: a peer asks
 *
 * Owned by the consumer until kfi_ep_open() succeeds, kfi_info_reject() or kfi_info_put().
 */
struct kfi_info {
	struct kfi_device		*device;
	u32				port;
	struct sockaddr_storage		src;
	struct sockaddr_storage		dst;
	const void			*private_data;
	u32				private_data_len;
	u8				ird;
	u8				ord;
	struct net			*net;
	const struct kfi_info_ops	*ops;
	struct {
		struct module	*owner;
		bool		counted;
		bool		request;
	} core;
};

/**
 * typedef kfi_resolve_fn - the outcome of kfi_resolve()
 * @info: what kfi_resolve() returned
 * @status: 0, or -EHOSTUNREACH (no route), -ENODEV (no device has one, or it went away), -ETIMEDOUT
 * @priv: what kfi_resolve() was given
 *
 * Called once, unless kfi_info_put() came first. May sleep and may call kfi_ep_open(), kfi_ep_connect() and
 * kfi_info_put() (then deferred until it returns). After an error only kfi_info_put() is left. Another thread may do
 * all this as soon as the callback has begun.
 *
 * Context: Process.
 */
typedef void (*kfi_resolve_fn)(struct kfi_info *info, int status, void *priv);

/*
 * kfi_resolve_attr.flags and kfi_pep_attr.flags: the port of the address is a TCP port of the network, which libfabric
 * programs can listen on and connect to. Without it, the port is the number of a service behind the one port that the
 * consumers of a host share. Over RDMA, where the number is one of rdma_cm's port space, it changes nothing.
 */
#define KFI_OWN_PORT	0x1

/**
 * struct kfi_tls - the keys for a connection that TLS protects
 * @peername: of the active side: the name that the peer's certificate has to have; NULL: that of its address. No
 *	meaning with @psk
 * @keyring: serial number of the keyring where the handshake agent finds the keys below; 0: where it looks anyway
 * @cert: serial number of our certificate; 0: that of the agent's configuration
 * @privkey: serial number of our private key; 0: as above
 * @psk: serial number of a pre-shared key; 0: certificates
 */
struct kfi_tls {
	const char	*peername;
	s32		keyring;
	s32		cert;
	s32		privkey;
	s32		psk;
};

/**
 * struct kfi_resolve_attr - what kfi_resolve() is asked for
 * @net: network namespace
 * @src: local address, or NULL
 * @dst: peer's address: IPv4, IPv6, or struct sockaddr_ib (AF_IB)
 * @timeout_ms: for each step of the resolution, up to INT_MAX; 0 means 3000. Resolving over TCP takes no time: there
 *	connecting has a limit of its own
 * @tos: 0 to 255: IP type of service, or traffic class, of the connection in both directions, as far as the device
 *	sets one; over TCP without the two bits of ECN. -1: the host's default
 * @flags: KFI_OWN_PORT or 0; others are refused with -EOPNOTSUPP
 * @provider: name of the only provider to use, or NULL for the host's policy
 * @tls: use TLS, with these keys; read before return. Providers that have none answer -ENODEV. NULL: none
 * @done: callback
 * @priv: its argument
 *
 * AF_IB is for ports of InfiniBand and RoCE: sib_addr is a GID, sib_pkey a partition, sib_sid with an sib_sid_mask of
 * all ones any service ID; everything in network order. Such a connection is made by the CM of InfiniBand, without what
 * rdma_cm adds to the private data, and its peer need not use kfi or rdma_cm. Of @src only sib_addr and sib_flowinfo
 * count, the latter for traffic class (without @tos) and flow label; without @src, or with a GID of zero, it starts at
 * a port in the subnet of @dst. Over RoCE GIDs of IPv4 and of a link tell no subnet. Nothing but RDMA carries it.
 */
struct kfi_resolve_attr {
	struct net		*net;
	const struct sockaddr	*src;
	const struct sockaddr	*dst;
	u32			timeout_ms;
	int			tos;
	u32			flags;
	const char		*provider;
	const struct kfi_tls	*tls;
	kfi_resolve_fn		done;
	void			*priv;
};

/**
 * __kfi_resolve() - kfi_resolve() with the consumer's name
 * @attr: as there
 * @owner: name of the consumer; outlives the connection
 *
 * Context: Process.
 * Return: as there.
 */
struct kfi_info *__kfi_resolve(const struct kfi_resolve_attr *attr, const char *owner);
/**
 * kfi_resolve() - find the device and the path to an address
 * @attr: read before return; @attr->src and @attr->dst are copied
 *
 * Context: Process. @attr->done may run before this returns.
 * Return: the info, to be given to kfi_ep_open() or kfi_info_put() after the callback (or kfi_info_put() before, which
 * cancels it); ERR_PTR: -EINVAL a pointer is missing, the families differ, the port is 0 or another value is out of its
 * range, -EAFNOSUPPORT neither IPv4, IPv6 nor AF_IB, -EOPNOTSUPP unknown flag, -ENODEV no provider, or no port has the
 * GID, the partition or the subnet, -ENOMEM.
 */
#define kfi_resolve(attr) __kfi_resolve(attr, KBUILD_MODNAME)

/**
 * kfi_info_put() - drop a connection that has no endpoint
 * @info: of kfi_resolve() or a connect request; NULL and ERR_PTR are ignored
 *
 * A resolution under way is cancelled and its callback does not run or start after this has returned, except inside
 * that callback itself. A connect request is refused without private data.
 *
 * Context: Process.
 */
void kfi_info_put(struct kfi_info *info);

/**
 * kfi_info_reject() - refuse a connect request
 * @info: of KFI_EVENT_CONNREQ
 * @private_data: sent to the peer
 * @len: bytes of it
 *
 * Context: Process.
 * Return: -EINVAL not a connect request or @private_data is NULL and @len is not 0, -EMSGSIZE @len is beyond
 * kfi_device_attr.max_private_data: @info stays the caller's. 0 or any other errno (the peer or the device has gone
 * meanwhile): @info is freed.
 */
int kfi_info_reject(struct kfi_info *info, const void *private_data, u32 len);

/**
 * enum kfi_event_type - what happened to an endpoint or a passive endpoint
 * @KFI_EVENT_CONNREQ: passive endpoint: a peer asks; kfi_event.info is the consumer's from now on
 * @KFI_EVENT_ESTABLISHED: connected; private data of the peer's accept on the active side
 * @KFI_EVENT_REJECTED: the peer refused; its private data; kfi_event.status is -ECONNREFUSED
 * @KFI_EVENT_ERROR: connecting failed for another reason: -ETIMEDOUT, -EHOSTUNREACH, -ECONNRESET
 * @KFI_EVENT_DISCONNECTED: an established connection ended, also by an operation that failed; once for each
 *	endpoint. kfi_event.status is 0 for an orderly end, -ENODEV when the device goes away; for a failure the status
 *	of the first operation that failed, -ETIMEDOUT if the peer did not answer the end, or another errno. iWARP
 *	does not always tell a failure from an orderly end
 * @KFI_EVENT_ADDR_CHANGE: the address moved to another device; connect again
 *
 * A device that goes away ends a connecting endpoint by KFI_EVENT_ERROR and a passive endpoint by KFI_EVENT_ERROR,
 * both with -ENODEV. Order for one endpoint: ESTABLISHED before DISCONNECTED. After kfi_ep_abort() or kfi_ep_drain()
 * alone there need not be an event: the peer is not told.
 */
enum kfi_event_type {
	KFI_EVENT_CONNREQ,
	KFI_EVENT_ESTABLISHED,
	KFI_EVENT_REJECTED,
	KFI_EVENT_ERROR,
	KFI_EVENT_DISCONNECTED,
	KFI_EVENT_ADDR_CHANGE,
};

/**
 * struct kfi_event - argument of the event callbacks, valid during the call
 * @type: what happened
 * @status: 0 or a negative errno
 * @prov_status: the provider's own code, for messages
 * @private_data: the peer's, or NULL
 * @private_data_len: bytes
 * @ird: as agreed, seen from here; for KFI_EVENT_ESTABLISHED
 * @ord: as agreed, seen from here
 * @info: for KFI_EVENT_CONNREQ
 */
struct kfi_event {
	enum kfi_event_type	type;
	int			status;
	int			prov_status;
	const void		*private_data;
	u32			private_data_len;
	u8			ird;
	u8			ord;
	struct kfi_info		*info;
};

/* kfi_ep_attr.flags */
#define KFI_EP_PI	0x1	/* regions of KFI_MR_INTEGRITY are used; needs KFI_CAP_PI */

/**
 * struct kfi_ep_attr - what kfi_ep_open() is asked for
 * @tx_cq: completion queue of operations
 * @rx_cq: completion queue of receives; with @srx the same as @tx_cq
 * @srx: shared receive context, or NULL
 * @max_tx: operations outstanding; at return what was granted: with @max_rma also what the transfers take. kfi adds
 *	what it needs itself (drain)
 * @max_rx: receives outstanding; ignored with @srx
 * @max_tx_sge: elements in an operation
 * @max_rx_sge: elements in a receive
 * @max_rma: kfi_rma contexts outstanding, at most kfi_device_attr.max_tx; 0 if kfi_rma_*() is not used, else
 *	@max_tx_sge is not 0
 * @max_rma_pages: pages in the largest of them; 0 for no more than one memory region takes
 * @flags: KFI_EP_*; others are refused with -EOPNOTSUPP
 * @event: event callback
 * @priv: the consumer's, kept in kfi_ep.priv
 */
struct kfi_ep_attr {
	struct kfi_cq	*tx_cq;
	struct kfi_cq	*rx_cq;
	struct kfi_srx	*srx;
	u32		max_tx;
	u32		max_rx;
	u32		max_tx_sge;
	u32		max_rx_sge;
	u32		max_rma;
	u32		max_rma_pages;
	u32		flags;
	void		(*event)(struct kfi_ep *ep, const struct kfi_event *event);
	void		*priv;
};

/**
 * struct kfi_conn_param - for kfi_ep_connect() and kfi_ep_accept()
 * @private_data: sent to the peer
 * @private_data_len: at most kfi_device_attr.max_private_data, else -EMSGSIZE
 * @ird: reads the peer may have outstanding at us; cut to the device's limit. Over iWARP the device may let the active
 *	side have more, up to what that wants
 * @ord: reads we want to have outstanding; cut to the device's limit
 * @retry_count: transport retries, 0..7
 * @rnr_retry_count: retries while the peer has no receive posted, 0..7; 7 is without end
 */
struct kfi_conn_param {
	const void	*private_data;
	u32		private_data_len;
	u8		ird;
	u8		ord;
	u8		retry_count;
	u8		rnr_retry_count;
};

/* kfi_ep_drain() */
#define KFI_TX	0x1
#define KFI_RX	0x2

/**
 * struct kfi_ep - an endpoint: one reliable connection
 * @ops: the provider's
 * @domain: its domain
 * @priv: the consumer's
 *
 * The provider's part follows in memory.
 */
struct kfi_ep {
	const struct kfi_ep_ops	*ops;
	struct kfi_domain	*domain;
	void			*priv;
};

/**
 * kfi_ep_open() - make an endpoint of a resolved connection or a connect request
 * @info: resolved, or of KFI_EVENT_CONNREQ
 * @domain: on @info->device
 * @attr: what is asked for; @attr->max_tx returns what was granted
 *
 * On success @info is consumed and the endpoint holds a reference to @domain; the completion queues and the shared
 * receive context must outlive it. Receives may be posted at once.
 *
 * Context: Process.
 * Return: the endpoint, for kfi_ep_close(), or ERR_PTR, and @info stays the caller's: -EINVAL a pointer is missing,
 * @info is not resolved yet, something lives on another device, two completion queues with a shared receive context, or
 * a number is 0 or beyond the device's limit (max_rx, and max_rx_sge, max_tx_sge may be 0), -EOPNOTSUPP unknown flag or
 * no KFI_CAP_SRX, -ENOMEM, -ENODEV; -ENFILE no memory for the socket of a soft device's queue pair.
 */
struct kfi_ep *kfi_ep_open(struct kfi_info *info, struct kfi_domain *domain, struct kfi_ep_attr *attr);

/**
 * kfi_ep_close() - end an endpoint
 * @ep: the endpoint; NULL and ERR_PTR are ignored
 *
 * Ends the connection. Every operation and receive that was accepted has completed, no callback runs or starts, and the
 * memory is freed when this returns. Inside the endpoint's own event callback it returns at once, and all this is so
 * some time after the callback has returned; a completion callback that runs until then uses @ep->domain only if the
 * consumer still holds the domain.
 *
 * Context: Process; not inside a completion callback.
 */
void kfi_ep_close(struct kfi_ep *ep);

/**
 * kfi_ep_connect() - ask the peer for the connection
 * @ep: of a resolved connection
 * @param: read before return
 *
 * The outcome arrives as KFI_EVENT_ESTABLISHED, KFI_EVENT_REJECTED or KFI_EVENT_ERROR, possibly before this returns.
 *
 * Context: Process.
 * Return: 0; -EINVAL @param is NULL or a value is out of its range, the endpoint is of a connect request, or it has
 * been connected before; -EMSGSIZE too much private data; -ECONNREFUSED, -EHOSTUNREACH or -ETIMEDOUT where the provider
 * knows the outcome at once; -ENODEV; -ENOMEM, and where there is a socket below what it says in its place: -ENFILE,
 * -ENOBUFS, -EADDRINUSE. After an error no event follows.
 */
int kfi_ep_connect(struct kfi_ep *ep, const struct kfi_conn_param *param);

/**
 * kfi_ep_accept() - accept a connect request
 * @ep: of a connect request
 * @param: read before return; retry_count is not used
 *
 * Operations may be posted from here on. KFI_EVENT_ESTABLISHED or KFI_EVENT_ERROR follows, possibly before this
 * returns; a receive may complete before KFI_EVENT_ESTABLISHED. Over iWARP (KFI_CAP_READ_NEEDS_RKEY) the first
 * message has to be the active side's: the peer's device may refuse one that comes together with the accept.
 *
 * Context: Process.
 * Return: 0; -EINVAL @param is NULL or a value is out of its range, the endpoint is of a resolved connection, or it has
 * been accepted before; -EMSGSIZE too much private data; -ECONNRESET the peer has gone; -ENODEV; -ENOMEM.
 */
int kfi_ep_accept(struct kfi_ep *ep, const struct kfi_conn_param *param);

/**
 * kfi_ep_shutdown() - end the connection in an orderly way
 * @ep: the endpoint
 *
 * Does not wait for the peer; KFI_EVENT_DISCONNECTED follows. What is outstanding is flushed.
 *
 * Context: Process; also inside a completion callback of a KFI_POLL_WORKQUEUE or KFI_POLL_UNBOUND_WORKQUEUE queue.
 * Return: 0; -ENOTCONN there is no connection, or no longer; -ENODEV.
 */
int kfi_ep_shutdown(struct kfi_ep *ep);

/**
 * kfi_ep_abort() - put the endpoint into the error state, without telling the peer
 * @ep: the endpoint
 *
 * What is outstanding, and all that is posted later, completes with -ECANCELED.
 *
 * Context: Process; also inside a completion callback of a KFI_POLL_WORKQUEUE or KFI_POLL_UNBOUND_WORKQUEUE queue.
 * Return: 0; -ENODEV.
 */
int kfi_ep_abort(struct kfi_ep *ep);

/**
 * kfi_ep_drain() - wait until everything has completed
 * @ep: the endpoint; nobody posts meanwhile
 * @which: KFI_TX, KFI_RX or both
 *
 * Puts the endpoint into the error state first. The callbacks of all that was posted have returned when this returns; a
 * KFI_POLL_DIRECT queue is polled by the drain. With a shared receive context its receives stay with the context.
 *
 * Context: Process; legal inside an event callback, not inside a completion callback.
 */
void kfi_ep_drain(struct kfi_ep *ep, u32 which);

/**
 * kfi_ep_addr() - address of an end of the connection
 * @ep: the endpoint
 * @peer: true for the peer's address, false for the local one
 * @addr: filled in
 *
 * Context: Process.
 * Return: 0; -EINVAL @addr is NULL; -ENOTCONN an imported endpoint that has none.
 */
int kfi_ep_addr(struct kfi_ep *ep, bool peer, struct sockaddr_storage *addr);

/**
 * struct kfi_pep_attr - what kfi_pep_open() is asked for
 * @net: network namespace
 * @addr: address and port to listen on; the wildcard address listens on every device. With AF_IB, see struct
 *	kfi_resolve_attr, the GID and a partition of a port and a service ID; there is no wildcard, and a device has
 *	each ID once
 * @backlog: connect requests waiting
 * @afonly: the wildcard address of IPv6 takes no IPv4 connections, and that of IPv4 can be listened on beside it.
 *	Without, it takes both; over RDMA unless net.ipv6.bindv6only says otherwise
 * @flags: KFI_OWN_PORT or 0; others are refused with -EOPNOTSUPP
 * @provider: name of the only provider to use, or NULL for the host's policy
 * @tls: refuse connections without TLS, whose keys are these; read before return. All that listen on one port use the
 *	same. Providers that have none answer -ENODEV. NULL: take both
 * @event: event callback: process context, may sleep; calls for one passive endpoint may run concurrently
 * @priv: the consumer's
 */
struct kfi_pep_attr {
	struct net		*net;
	const struct sockaddr	*addr;
	int			backlog;
	bool			afonly;
	u32			flags;
	const char		*provider;
	const struct kfi_tls	*tls;
	void			(*event)(struct kfi_pep *pep, const struct kfi_event *event);
	void			*priv;
};

/**
 * struct kfi_pep - a passive endpoint: it listens
 * @ops: the provider's
 * @priv: the consumer's
 * @core: kfi's own; the provider leaves it zero
 * @core.owner: the provider's module
 */
struct kfi_pep {
	const struct kfi_pep_ops	*ops;
	void				*priv;
	struct {
		struct module	*owner;
	} core;
};

/**
 * __kfi_pep_open() - kfi_pep_open() with the consumer's name
 * @attr: as there
 * @owner: name of the consumer; outlives the passive endpoint
 *
 * Context: Process.
 * Return: as there.
 */
struct kfi_pep *__kfi_pep_open(const struct kfi_pep_attr *attr, const char *owner);
/**
 * kfi_pep_open() - listen for connections
 * @attr: read before return
 *
 * Context: Process. Requests may arrive before this returns.
 * Return: the passive endpoint, for kfi_pep_close(); ERR_PTR: -EADDRINUSE, -EADDRNOTAVAIL, -ENODEV no provider or no
 * device has the address, -EINVAL a pointer is missing, the backlog is negative, or the service ID is 0 or one that the
 * InfiniBand CM gives away (first byte 2), -EAFNOSUPPORT neither IPv4, IPv6 nor AF_IB, -EOPNOTSUPP unknown flag,
 * -ENOMEM.
 */
#define kfi_pep_open(attr) __kfi_pep_open(attr, KBUILD_MODNAME)

/**
 * kfi_pep_close() - stop listening
 * @pep: the passive endpoint; NULL and ERR_PTR are ignored
 *
 * No callback runs or starts after this has returned. Connect requests already handed out live on.
 *
 * Context: Process; not inside a callback of @pep.
 */
void kfi_pep_close(struct kfi_pep *pep);

/**
 * struct kfi_srx - receives shared by the endpoints of a domain
 * @ops: the provider's
 * @domain: its domain
 */
struct kfi_srx {
	const struct kfi_srx_ops	*ops;
	struct kfi_domain		*domain;
};

/**
 * kfi_srx_alloc() - allocate a shared receive context
 * @domain: where
 * @max_rx: receives outstanding
 * @max_sge: elements in a receive
 *
 * Context: Process.
 * Return: the context, for kfi_srx_free(), or ERR_PTR: -EINVAL @max_rx is 0 or beyond kfi_device_attr.max_srx_wr or
 * @max_sge beyond kfi_device_attr.max_rx_sge, -EOPNOTSUPP no KFI_CAP_SRX, -ENOMEM, -ENODEV.
 */
struct kfi_srx *kfi_srx_alloc(struct kfi_domain *domain, u32 max_rx, u32 max_sge);

/**
 * kfi_srx_free() - free a shared receive context
 * @srx: used by no endpoint any more; NULL and ERR_PTR are ignored
 *
 * Receives that are still posted do not complete; their contexts are the consumer's again.
 *
 * Context: Process.
 */
void kfi_srx_free(struct kfi_srx *srx);

/* ---------------------------------------------------------------------------------------------- */
/* Bulk data: scatter lists of any length                                                          */

/**
 * struct kfi_rma - the transfer of a scatter list to or from the peer's memory
 * @op: what kfi_rma_op() returns
 * @ep: endpoint it was made for; NULL while not in use
 * @nr_ops: operations it takes of kfi_ep_attr.max_tx
 * @priv: the provider's; holds a struct rdma_rw_ctx over verbs
 *
 * Hides whether the provider uses one operation, several, or memory registration.
 */
struct kfi_rma {
	struct kfi_op	op;
	struct kfi_ep	*ep;
	u32		nr_ops;
	u64		priv[16];
};

/**
 * kfi_rma_init() - prepare a transfer
 * @rma: filled in
 * @ep: a connected endpoint, opened with kfi_ep_attr.max_rma
 * @sg: local memory, not mapped by the caller
 * @nents: number of its elements
 * @offset: bytes to skip at its beginning
 * @raddr: remote address
 * @rkey: remote key
 * @dir: DMA_TO_DEVICE to write the peer's memory, DMA_FROM_DEVICE to read it
 *
 * @rma and the memory belong to kfi until kfi_rma_fini(); @rma->nr_ops says how many operations it takes.
 *
 * Context: Process.
 * Return: 0; -EINVAL a pointer is missing, @nents is 0, @offset is beyond the list, another @dir, or @ep's operations
 * have no elements (kfi_ep_attr.max_tx_sge is 0); -EOPNOTSUPP capability missing; -EAGAIN more than
 * kfi_ep_attr.max_rma in use; -ENOMEM; -ENODEV.
 */
int kfi_rma_init(struct kfi_rma *rma, struct kfi_ep *ep, struct scatterlist *sg, u32 nents, u32 offset, u64 raddr,
		 u32 rkey, enum dma_data_direction dir);

/**
 * kfi_rma_fini() - end a transfer that has completed or was not posted
 * @rma: of kfi_rma_init(); one that is not in use (@rma->ep is NULL) is ignored
 * @sg: as given there
 * @nents: as given there
 * @dir: as given there
 *
 * Before kfi_ep_close().
 *
 * Context: Any.
 */
void kfi_rma_fini(struct kfi_rma *rma, struct scatterlist *sg, u32 nents, enum dma_data_direction dir);

/**
 * kfi_rma_op() - the operation to post for a transfer
 * @rma: of kfi_rma_init()
 * @ctx: completion context of the transfer's last operation, or NULL when @chain follows it
 * @chain: what to post behind the transfer, or NULL
 *
 * With @ctx the last operation of the transfer is signaled.
 *
 * Context: Any.
 * Return: the head of the chain, for kfi_ep_post(); lives in @rma.
 */
struct kfi_op *kfi_rma_op(struct kfi_rma *rma, struct kfi_ctx *ctx, struct kfi_op *chain);

/**
 * kfi_rma_init_pi() - prepare a transfer of data with protection information
 * @rma: filled in
 * @ep: a connected endpoint, opened with kfi_ep_attr.max_rma and KFI_EP_PI
 * @data: local memory, not mapped by the caller
 * @nr_data: number of its elements
 * @meta: the same of the protection information, or NULL if there is none in memory
 * @nr_meta: number of its elements
 * @attr: read before return
 * @raddr: remote address
 * @rkey: remote key
 * @dir: as kfi_rma_init()
 *
 * As kfi_rma_init(), but for kfi_rma_fini_pi(). Post it with a context and nothing behind it: whether the protection
 * information was as it should be is known when it has completed.
 *
 * Context: Process.
 * Return: 0; -EINVAL a pointer is missing, @nr_data is 0, a number is beyond 256 or kfi_device_attr.max_pi_pages, or
 * another @dir; -EOPNOTSUPP no KFI_CAP_PI; -EAGAIN no region is free, or @ep has none; -ENOMEM; -ENODEV.
 */
int kfi_rma_init_pi(struct kfi_rma *rma, struct kfi_ep *ep, struct scatterlist *data, u32 nr_data,
		    struct scatterlist *meta, u32 nr_meta, const struct kfi_pi_attr *attr, u64 raddr, u32 rkey,
		    enum dma_data_direction dir);

/**
 * kfi_rma_fini_pi() - end a transfer with protection information that has completed or was not posted
 * @rma: of kfi_rma_init_pi(); one that is not in use (@rma->ep is NULL) is ignored
 * @data: as given there
 * @nr_data: as given there
 * @meta: as given there
 * @nr_meta: as given there
 * @dir: as given there
 *
 * Before kfi_ep_close().
 *
 * Context: Any.
 */
void kfi_rma_fini_pi(struct kfi_rma *rma, struct scatterlist *data, u32 nr_data, struct scatterlist *meta,
		     u32 nr_meta, enum dma_data_direction dir);

/**
 * kfi_rma_pi_status() - was the protection information of a transfer as it should be?
 * @rma: of kfi_rma_init_pi(), completed and not ended
 * @fault: filled in for -EILSEQ
 *
 * Context: Any.
 * Return: as kfi_mr_pi_status(); -EINVAL when @rma is not in use.
 */
int kfi_rma_pi_status(struct kfi_rma *rma, struct kfi_pi_fault *fault);

/* ---------------------------------------------------------------------------------------------- */
/* The data path: one indirect call                                                                */

/* The head of each provider table is public, so that the data path costs one indirect call. */

/**
 * struct kfi_ep_data_ops - head of kfi_ep_ops
 * @post: kfi_ep_post()
 * @recv: kfi_ep_recv()
 */
struct kfi_ep_data_ops {
	int (*post)(struct kfi_ep *ep, struct kfi_op *first, struct kfi_op **bad);
	int (*recv)(struct kfi_ep *ep, struct kfi_rx *first, struct kfi_rx **bad);
};

/**
 * struct kfi_cq_data_ops - head of kfi_cq_ops
 * @poll: kfi_cq_poll()
 */
struct kfi_cq_data_ops {
	int (*poll)(struct kfi_cq *cq, int budget);
};

/**
 * struct kfi_mr_data_ops - head of kfi_mr_ops
 * @map_sg: kfi_mr_map_sg()
 * @next_key: gives the region its next key, for kfi_op_mr_reg()
 */
struct kfi_mr_data_ops {
	int (*map_sg)(struct kfi_mr *mr, struct scatterlist *sg, int nents, unsigned int *offset, u32 page_size);
	void (*next_key)(struct kfi_mr *mr);
};

/**
 * struct kfi_srx_data_ops - head of kfi_srx_ops
 * @recv: kfi_srx_recv()
 */
struct kfi_srx_data_ops {
	int (*recv)(struct kfi_srx *srx, struct kfi_rx *first, struct kfi_rx **bad);
};

/**
 * kfi_ep_post() - post a chain of operations
 * @ep: a connected endpoint
 * @first: head of the chain
 * @bad: where to put the first operation that was not accepted, or NULL
 *
 * The operations start in order. On error those before *@bad were accepted and complete as usual; *@bad and those
 * behind it are the caller's again. A transfer of kfi_rma_op() may find room for a part of its operations only. Then it
 * is accepted, together with what follows it up to the next context; that completes with -ECANCELED, and the connection
 * ends.
 *
 * Context: Any. Calls for one endpoint may run concurrently.
 * Return: 0; -ENOTCONN not connected yet; -ENODEV the device is gone; -ESHUTDOWN kfi_ep_close() has begun; -ENOMEM
 * no room; -EINVAL too many elements or unknown opcode; -EOPNOTSUPP capability or flag missing. After a disconnect
 * or kfi_ep_abort() operations are accepted and complete with -ECANCELED. A receive that completes before
 * KFI_EVENT_ESTABLISHED says that there is a connection: posting is legal from its callback on, if the peer has sent
 * the message after its own KFI_EVENT_ESTABLISHED, and else can be -ENOTCONN.
 */
static inline int kfi_ep_post(struct kfi_ep *ep, struct kfi_op *first, struct kfi_op **bad)
{
	return ((const struct kfi_ep_data_ops *)ep->ops)->post(ep, first, bad);
}

/**
 * kfi_ep_recv() - post a chain of receives
 * @ep: an open endpoint, connected or not; one without a shared receive context
 * @first: head of the chain
 * @bad: where to put the first receive that was not accepted, or NULL
 *
 * Context: Any.
 * Return: as kfi_ep_post(), but never -ENOTCONN.
 */
static inline int kfi_ep_recv(struct kfi_ep *ep, struct kfi_rx *first, struct kfi_rx **bad)
{
	return ((const struct kfi_ep_data_ops *)ep->ops)->recv(ep, first, bad);
}

/**
 * kfi_srx_recv() - post a chain of receives to a shared receive context
 * @srx: the context
 * @first: head of the chain
 * @bad: where to put the first receive that was not accepted, or NULL
 *
 * Context: Any.
 * Return: as kfi_ep_recv().
 */
static inline int kfi_srx_recv(struct kfi_srx *srx, struct kfi_rx *first, struct kfi_rx **bad)
{
	return ((const struct kfi_srx_data_ops *)srx->ops)->recv(srx, first, bad);
}

/**
 * kfi_cq_poll() - run the callbacks of completions that have arrived
 * @cq: a KFI_POLL_DIRECT queue
 * @budget: at most so many; -1 for all
 *
 * Context: Any; the callbacks run in it.
 * Return: number of completions processed, 0 also while the removal of the device does it; -EINVAL for another kind of
 * queue; -ENODEV the device is gone.
 */
static inline int kfi_cq_poll(struct kfi_cq *cq, int budget)
{
	return ((const struct kfi_cq_data_ops *)cq->ops)->poll(cq, budget);
}

/**
 * kfi_mr_map_sg() - give a region its memory
 * @mr: a region that is not registered, or that no peer uses any more; see kfi_op_mr_inv()
 * @sg: scatter list, mapped by kfi_dma_map_sg()
 * @nents: number of its mapped elements
 * @offset: bytes to skip in the first element, and at return in the first element not taken; or NULL for 0
 * @page_size: alignment of the gaps, a power of two, not beyond PAGE_SIZE
 *
 * Sets @mr->iova and @mr->length. The key is valid only after kfi_op_mr_reg().
 *
 * Context: Any.
 * Return: number of elements taken, or -EINVAL, -ENODEV.
 */
static inline int kfi_mr_map_sg(struct kfi_mr *mr, struct scatterlist *sg, int nents, unsigned int *offset,
				u32 page_size)
{
	return ((const struct kfi_mr_data_ops *)mr->ops)->map_sg(mr, sg, nents, offset, page_size);
}

/**
 * kfi_op_init() - fill in what every operation has; the functions below use it
 * @op: filled in
 * @opcode: enum kfi_opcode
 * @ctx: completion context
 * @sgl: local memory
 * @nsge: number of elements
 * @flags: KFI_OP_*
 *
 * Context: Any.
 */
static inline void kfi_op_init(struct kfi_op *op, u8 opcode, struct kfi_ctx *ctx, const struct kfi_sge *sgl,
			       u16 nsge, u8 flags)
{
	op->next = NULL;
	op->ctx = ctx;
	op->sgl = sgl;
	op->nsge = nsge;
	op->opcode = opcode;
	op->flags = flags;
}

/**
 * kfi_op_send() - prepare a message
 * @op: filled in
 * @ctx: completion context
 * @sgl: the message
 * @nsge: number of elements
 * @flags: KFI_OP_*
 *
 * Context: Any.
 */
static inline void kfi_op_send(struct kfi_op *op, struct kfi_ctx *ctx, const struct kfi_sge *sgl, u16 nsge, u8 flags)
{
	kfi_op_init(op, KFI_OP_SEND, ctx, sgl, nsge, flags);
}

/**
 * kfi_op_send_inv() - prepare a message that invalidates a key of the peer
 * @op: filled in
 * @ctx: completion context
 * @sgl: the message
 * @nsge: number of elements
 * @flags: KFI_OP_*
 * @rkey: the peer's key
 *
 * Context: Any.
 */
static inline void kfi_op_send_inv(struct kfi_op *op, struct kfi_ctx *ctx, const struct kfi_sge *sgl, u16 nsge,
				   u8 flags, u32 rkey)
{
	kfi_op_init(op, KFI_OP_SEND_WITH_INV, ctx, sgl, nsge, flags);
	op->data = rkey;
}

/**
 * kfi_op_send_imm() - prepare a message with immediate data
 * @op: filled in
 * @ctx: completion context
 * @sgl: the message
 * @nsge: number of elements
 * @flags: KFI_OP_*
 * @imm: immediate data, host byte order
 *
 * Context: Any.
 */
static inline void kfi_op_send_imm(struct kfi_op *op, struct kfi_ctx *ctx, const struct kfi_sge *sgl, u16 nsge,
				   u8 flags, u32 imm)
{
	kfi_op_init(op, KFI_OP_SEND_WITH_IMM, ctx, sgl, nsge, flags);
	op->data = imm;
}

/**
 * kfi_op_rma() - prepare an RMA read or write
 * @op: filled in
 * @opcode: KFI_OP_READ, KFI_OP_WRITE or KFI_OP_WRITE_WITH_IMM (set @op->data afterwards)
 * @ctx: completion context
 * @sgl: local memory
 * @nsge: number of elements
 * @flags: KFI_OP_*
 * @raddr: remote address
 * @rkey: remote key
 *
 * Context: Any.
 */
static inline void kfi_op_rma(struct kfi_op *op, u8 opcode, struct kfi_ctx *ctx, const struct kfi_sge *sgl, u16 nsge,
			      u8 flags, u64 raddr, u32 rkey)
{
	kfi_op_init(op, opcode, ctx, sgl, nsge, flags);
	op->raddr = raddr;
	op->rkey = rkey;
}

/**
 * kfi_op_nop() - prepare a marker
 * @op: filled in
 * @ctx: completion context
 * @flags: KFI_OP_*
 *
 * Context: Any.
 */
static inline void kfi_op_nop(struct kfi_op *op, struct kfi_ctx *ctx, u8 flags)
{
	kfi_op_init(op, KFI_OP_NOP, ctx, NULL, 0, flags);
	op->raddr = 0;
	op->rkey = 0;
}

/**
 * kfi_op_mr_reg() - prepare the registration of a mapped region
 * @op: filled in
 * @ctx: completion context
 * @mr: region, mapped by kfi_mr_map_sg()
 * @access: KFI_ACCESS_*
 * @flags: KFI_OP_*
 *
 * Gives the region its next key (over verbs ib_inc_rkey() and ib_update_fast_reg_key()), so that a peer that still
 * holds the old one is refused; @mr->rkey may be sent to the peer by an operation behind this one.
 *
 * Context: Any.
 */
static inline void kfi_op_mr_reg(struct kfi_op *op, struct kfi_ctx *ctx, struct kfi_mr *mr, u32 access, u8 flags)
{
	((const struct kfi_mr_data_ops *)mr->ops)->next_key(mr);
	kfi_op_init(op, KFI_OP_MR_REG, ctx, NULL, 0, flags);
	op->mr = mr;
	op->access = access;
	op->rkey = mr->rkey;
	mr->need_inval = true;
}

/**
 * kfi_op_mr_inv() - prepare the end of a region's use
 * @op: filled in
 * @ctx: completion context
 * @mr: a registered region
 * @flags: KFI_OP_*
 *
 * Once it has completed nobody touches the memory. A consumer that leaves it until the region is needed again maps the
 * region, builds this, then kfi_op_mr_reg(), and posts both in this order in one chain.
 *
 * Context: Any.
 */
static inline void kfi_op_mr_inv(struct kfi_op *op, struct kfi_ctx *ctx, struct kfi_mr *mr, u8 flags)
{
	kfi_op_init(op, KFI_OP_MR_INV, ctx, NULL, 0, flags);
	op->data = mr->rkey;
	mr->need_inval = false;
}

/**
 * __kfi_strerror() - kfi_strerror(), under a name that no other module exports
 * @status: as there
 *
 * Context: Any.
 * Return: as there.
 */
const char *__kfi_strerror(int status);
/**
 * kfi_strerror() - what a status means, for messages
 * @status: kfi_comp.status, kfi_event.status or what a function returned
 *
 * Context: Any.
 * Return: constant text, "success" for 0 and "unknown error" for what kfi does not use.
 */
#define kfi_strerror(status) __kfi_strerror(status)

#endif /* _KFI_KFI_H */
