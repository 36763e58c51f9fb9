// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bottom_half.h>
#include <linux/crc32.h>
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <linux/once.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/tcp.h>
#include <linux/wait_bit.h>
#include <kfi/kfi.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/tcp.h>
#include "net.h"

/*
 * Like the GID of a RoCE port: a link-local address of which the last half is an EUI-64. That is made of the first
 * Ethernet address of the host, with ff:ff in the middle: with ff:fe it could be that of an RDMA device on it.
 */
void rust_helper_kfi_host_id(u8 *id)
{
	static u8 made_up[8];
	struct net_device *dev;

	get_random_once(made_up, sizeof(made_up));
	memset(id, 0, KFI_PORT_ID_SIZE);
	id[0] = 0xfe;
	id[1] = 0x80;
	memcpy(id + 8, made_up, sizeof(made_up));
	rcu_read_lock();
	for_each_netdev_rcu(&init_net, dev) {
		if (dev->type != ARPHRD_ETHER || !is_valid_ether_addr(dev->dev_addr))
			continue;
		memcpy(id + 8, dev->dev_addr, 3);
		id[11] = 0xff;
		id[12] = 0xff;
		memcpy(id + 13, dev->dev_addr + 3, 3);
		break;
	}
	rcu_read_unlock();
}

static struct lock_class_key kfi_slock_keys[2], kfi_lock_keys[2];

/* A socket's lock in the write-back path must not be taken for that of a user's socket. */
static void kfi_sock_reclassify(struct sock *sk)
{
	if (!sock_allow_reclassification(sk))
		return;
	if (sk->sk_family == AF_INET6)
		sock_lock_init_class_and_name(sk, "slock-AF_INET6-KFI", &kfi_slock_keys[1], "sk_lock-AF_INET6-KFI",
					      &kfi_lock_keys[1]);
	else
		sock_lock_init_class_and_name(sk, "slock-AF_INET-KFI", &kfi_slock_keys[0], "sk_lock-AF_INET-KFI",
					      &kfi_lock_keys[0]);
}

void rust_helper_kfi_sock_prepare(struct socket *sock)
{
	struct sock *sk = sock->sk;

	if (!sk->sk_net_refcnt)
		sk_net_refcnt_upgrade(sk);
	kfi_sock_reclassify(sk);
	sk->sk_allocation = GFP_NOIO;
	sk->sk_reuse = SK_CAN_REUSE;
	tcp_sock_set_nodelay(sk);
}

/*
 * A peer that has answered nothing for about @seconds is dead. Keepalive sees to it while nothing is under way, and
 * retransmission, 15 times at most @seconds / 15 apart, while something is. TCP_USER_TIMEOUT would end connections
 * whose window is closed as well, but a living peer may leave it closed for as long as it likes.
 */
void rust_helper_kfi_sock_limit_silence(struct socket *sock, u32 seconds)
{
	int rto_max = clamp(seconds, 15U, 1800U) * MSEC_PER_SEC / 15;
	struct sock *sk = sock->sk;

	tcp_sock_set_keepidle(sk, clamp(seconds / 2, 1U, (u32)MAX_TCP_KEEPIDLE));
	tcp_sock_set_keepintvl(sk, clamp(seconds / 8, 1U, (u32)MAX_TCP_KEEPINTVL));
	tcp_sock_set_keepcnt(sk, 4);
	sock_set_keepalive(sk);
	/* There is no function for it. A kernel that does not know it finds dead peers later. */
	sock->ops->setsockopt(sock, SOL_TCP, TCP_RTO_MAX_MS, KERNEL_SOCKPTR(&rto_max), sizeof(rto_max));
}

/* Whether an address of IPv6 takes no IPv4, whatever the host's default is. Before it is bound. */
int rust_helper_kfi_sock_set_v6only(struct socket *sock, bool only)
{
	int value = only;

	if (sock->sk->sk_family != AF_INET6)
		return 0;
	/* ip6_sock_set_v6only() does not take it back. */
	return sock->ops->setsockopt(sock, SOL_IPV6, IPV6_V6ONLY, KERNEL_SOCKPTR(&value), sizeof(value));
}

/* TCP keeps the two bits of ECN. */
void rust_helper_kfi_sock_set_tos(struct socket *sock, u8 tos)
{
	int tclass = tos;

	/* For sockets of IPv6, too: their peer's address may be one of IPv4 in IPv6 form. */
	ip_sock_set_tos(sock->sk, tos);
	/* There is no function for it. */
	if (sock->sk->sk_family == AF_INET6)
		sock->ops->setsockopt(sock, SOL_IPV6, IPV6_TCLASS, KERNEL_SOCKPTR(&tclass), sizeof(tclass));
}

/* A connection that a peer has made sends with the type of service that the peer has chosen, as over RoCE. */
void rust_helper_kfi_sock_reflect_tos(struct socket *sock)
{
	struct sock *sk = sock->sk;
	u8 tos = inet_sk(sk)->rcv_tos;

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6 && !ipv6_addr_v4mapped(&sk->sk_v6_daddr))
		tos = ip6_tclass(inet6_sk(sk)->rcv_flowinfo);
#endif
	if (tos)
		rust_helper_kfi_sock_set_tos(sock, tos);
}

void rust_helper_kfi_sock_watch(struct socket *sock, void *user, const struct kfi_sock_calls *calls,
				struct kfi_sock_calls *saved)
{
	struct sock *sk = sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	saved->ready = sk->sk_data_ready;
	saved->space = sk->sk_write_space;
	saved->change = sk->sk_state_change;
	sk->sk_user_data = user;
	sk->sk_data_ready = calls->ready;
	sk->sk_write_space = calls->space;
	sk->sk_state_change = calls->change;
	write_unlock_bh(&sk->sk_callback_lock);
}

void *rust_helper_kfi_sock_unwatch(struct socket *sock, const struct kfi_sock_calls *saved)
{
	struct sock *sk = sock->sk;
	void *user;

	write_lock_bh(&sk->sk_callback_lock);
	user = sk->sk_user_data;
	sk->sk_user_data = NULL;
	sk->sk_data_ready = saved->ready;
	sk->sk_write_space = saved->space;
	sk->sk_state_change = saved->change;
	write_unlock_bh(&sk->sk_callback_lock);
	return user;
}

void rust_helper_kfi_sock_read_lock(struct sock *sk)
{
	read_lock_bh(&sk->sk_callback_lock);
}

void rust_helper_kfi_sock_read_unlock(struct sock *sk)
{
	read_unlock_bh(&sk->sk_callback_lock);
}

void *rust_helper_kfi_sock_user(struct sock *sk)
{
	return sk->sk_user_data;
}

struct sock *rust_helper_kfi_sock_sk(struct socket *sock)
{
	return sock->sk;
}

int rust_helper_kfi_sock_state(struct sock *sk)
{
	/* Pairs with inet_sk_state_store(): what came before the new state is seen too. */
	return smp_load_acquire(&sk->sk_state);
}

int rust_helper_kfi_sock_error(struct socket *sock)
{
	return sock_error(sock->sk);
}

bool rust_helper_kfi_sock_peer_ended(struct socket *sock)
{
	return READ_ONCE(sock->sk->sk_shutdown) & RCV_SHUTDOWN;
}

bool rust_helper_kfi_sock_readable(struct socket *sock)
{
	struct sock *sk = sock->sk;

	/*
	 * An upper layer protocol keeps what it has taken in a queue of its own. When the end has been seen, the lock
	 * of the socket has to order the queue behind it: data that came before the end may not show here yet.
	 */
	return !skb_queue_empty_lockless(&sk->sk_receive_queue) || inet_csk_has_ulp(sk) ||
	       READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN;
}

/*
 * TCP copies what it sends into pages of the task's or, where that may be in the middle of sending something else
 * already, of the socket's. A worker is not, and the memory that all connections share stays in the processor's cache.
 * Elsewhere the pages, 32 KiB of them, go again: an idle connection must not hold them.
 */
int rust_helper_kfi_sock_send(struct socket *sock, struct msghdr *msg, struct kvec *vec, size_t num, size_t len)
{
	struct sock *sk = sock->sk;
	bool worker = current->flags & PF_WQ_WORKER;
	int ret;

	sk->sk_use_task_frag = worker;
	ret = kernel_sendmsg(sock, msg, vec, num, len);
	if (!worker) {
		lock_sock(sk);
		if (sk->sk_frag.page) {
			put_page(sk->sk_frag.page);
			sk->sk_frag.page = NULL;
		}
		release_sock(sk);
	}
	return ret;
}

/*
 * sendmsg() with MSG_SPLICE_PAGES takes references to pages, which it wants to be counted. It would take vmalloc's
 * too; those may be pages of anything.
 */
bool rust_helper_kfi_sock_may_lend(const void *addr, size_t len)
{
	size_t offset = offset_in_page(addr);

	return virt_addr_valid(addr) && sendpages_ok(virt_to_page(addr), offset + len, 0);
}

/* Sequence number behind what was given to TCP. */
u32 rust_helper_kfi_sock_written(struct socket *sock)
{
	return READ_ONCE(tcp_sk(sock->sk)->write_seq);
}

/* Whether the peer's TCP has everything before @seq, so that ours has dropped it. */
bool rust_helper_kfi_sock_acked(struct socket *sock, u32 seq)
{
	return !before(READ_ONCE(tcp_sk(sock->sk)->snd_una), seq);
}

void rust_helper_kfi_sock_reset(struct socket *sock)
{
	struct sock *sk = sock->sk;

	lock_sock(sk);
	sk->sk_prot->disconnect(sk, 0);
	release_sock(sk);
}

/* @actor counts @budget down; without any left it is not called again. */
int rust_helper_kfi_sock_read(struct socket *sock, void *arg, sk_read_actor_t actor, size_t *budget)
{
	read_descriptor_t desc = { .arg.data = arg, .count = *budget };
	struct sock *sk = sock->sk;
	int ret;

	lock_sock(sk);
	/* TLS stops at each record that is not data; it is an error of its own only without data before it. */
	do {
		ret = sock->ops->read_sock(sk, &desc, actor);
	} while (ret > 0 && desc.count && inet_csk_has_ulp(sk));
	release_sock(sk);
	*budget = desc.count;
	return ret;
}

void rust_helper_kfi_sock_abort_on_close(struct socket *sock)
{
	sock_no_linger(sock->sk);
}

unsigned int rust_helper_kfi_noio_save(void)
{
	return memalloc_noio_save();
}

void rust_helper_kfi_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

void rust_helper_kfi_bh_disable(void)
{
	local_bh_disable();
}

void rust_helper_kfi_bh_enable(void)
{
	local_bh_enable();
}

unsigned long rust_helper_kfi_jiffies(void)
{
	return jiffies;
}

void rust_helper_kfi_cond_resched(void)
{
	cond_resched();
}

u32 rust_helper_kfi_crc32c(u32 crc, const void *data, size_t len)
{
	return crc32c(crc, data, len);
}

struct scatterlist *rust_helper_kfi_sg_next(struct scatterlist *sg)
{
	return sg_next(sg);
}

void *rust_helper_kfi_sg_virt(struct scatterlist *sg)
{
	return sg_virt(sg);
}

u32 rust_helper_kfi_sg_len(struct scatterlist *sg)
{
	return sg->length;
}

u64 rust_helper_kfi_sg_dma_addr(struct scatterlist *sg)
{
	return sg_dma_address(sg);
}

u32 rust_helper_kfi_sg_dma_len(struct scatterlist *sg)
{
	return sg_dma_len(sg);
}

/* Software moves the bytes, so the address of the memory is its "DMA address". */
void rust_helper_kfi_sg_map_virt(struct scatterlist *sg)
{
	sg_dma_address(sg) = (uintptr_t)sg_virt(sg);
	sg_dma_len(sg) = sg->length;
}

void rust_helper_kfi_count_dec(atomic_t *count)
{
	atomic_dec_and_wake_up(count);
}

/* Whether @count got to 0 within so many jiffies. */
bool rust_helper_kfi_count_wait(atomic_t *count, unsigned long jiffies)
{
	return wait_var_event_timeout(count, atomic_read_acquire(count) == 0, jiffies) != 0;
}
