/* SPDX-License-Identifier: GPL-2.0-only */
/* What shim/sys needs of sockets, scatter lists and waiting: static inlines, macros, and fields of struct sock. */
#ifndef _KFI_SHIM_NET_H
#define _KFI_SHIM_NET_H

#include <linux/net.h>
#include <linux/scatterlist.h>
#include <linux/types.h>
#include <kfi/kfi.h>
#include <net/sock.h>

/* The callbacks of a socket. */
struct kfi_sock_calls {
	void (*ready)(struct sock *sk);
	void (*space)(struct sock *sk);
	void (*change)(struct sock *sk);
};

void rust_helper_kfi_host_id(u8 *id);
void rust_helper_kfi_sock_prepare(struct socket *sock);
int rust_helper_kfi_sock_send(struct socket *sock, struct msghdr *msg, struct kvec *vec, size_t num, size_t len);
void rust_helper_kfi_sock_limit_silence(struct socket *sock, u32 seconds);
int rust_helper_kfi_sock_set_v6only(struct socket *sock, bool only);
void rust_helper_kfi_sock_set_tos(struct socket *sock, u8 tos);
void rust_helper_kfi_sock_reflect_tos(struct socket *sock);
void rust_helper_kfi_sock_watch(struct socket *sock, void *user, const struct kfi_sock_calls *calls,
				struct kfi_sock_calls *saved);
void *rust_helper_kfi_sock_unwatch(struct socket *sock, const struct kfi_sock_calls *saved);
void rust_helper_kfi_sock_read_lock(struct sock *sk);
void rust_helper_kfi_sock_read_unlock(struct sock *sk);
void *rust_helper_kfi_sock_user(struct sock *sk);
struct sock *rust_helper_kfi_sock_sk(struct socket *sock);
int rust_helper_kfi_sock_state(struct sock *sk);
int rust_helper_kfi_sock_error(struct socket *sock);
bool rust_helper_kfi_sock_peer_ended(struct socket *sock);
bool rust_helper_kfi_sock_readable(struct socket *sock);
bool rust_helper_kfi_sock_may_lend(const void *addr, size_t len);
u32 rust_helper_kfi_sock_written(struct socket *sock);
bool rust_helper_kfi_sock_acked(struct socket *sock, u32 seq);
void rust_helper_kfi_sock_reset(struct socket *sock);
int rust_helper_kfi_sock_read(struct socket *sock, void *arg, sk_read_actor_t actor, size_t *budget);
void rust_helper_kfi_sock_abort_on_close(struct socket *sock);
void rust_helper_kfi_sock_release(struct socket *sock);

int rust_helper_kfi_tls_file(struct socket *sock);
int rust_helper_kfi_tls_peek(struct socket *sock);
int rust_helper_kfi_tls_start(struct socket *sock, bool server, const struct kfi_tls *tls, u32 timeout_ms,
			      void (*done)(void *data, int status, s32 peer), void *data);
bool rust_helper_kfi_tls_cancel(struct socket *sock);
void rust_helper_kfi_tls_watch(struct socket *sock, const struct kfi_sock_calls *saved);
int rust_helper_kfi_tls_control(struct socket *sock);
void rust_helper_kfi_tls_close(struct socket *sock);

unsigned int rust_helper_kfi_noio_save(void);
void rust_helper_kfi_noio_restore(unsigned int flags);
void rust_helper_kfi_bh_disable(void);
void rust_helper_kfi_cond_resched(void);
unsigned long rust_helper_kfi_jiffies(void);
void rust_helper_kfi_bh_enable(void);
u32 rust_helper_kfi_crc32c(u32 crc, const void *data, size_t len);

struct scatterlist *rust_helper_kfi_sg_next(struct scatterlist *sg);
void *rust_helper_kfi_sg_virt(struct scatterlist *sg);
u32 rust_helper_kfi_sg_len(struct scatterlist *sg);
u64 rust_helper_kfi_sg_dma_addr(struct scatterlist *sg);
u32 rust_helper_kfi_sg_dma_len(struct scatterlist *sg);
void rust_helper_kfi_sg_map_virt(struct scatterlist *sg);

void rust_helper_kfi_count_dec(atomic_t *count);
bool rust_helper_kfi_count_wait(atomic_t *count, unsigned long jiffies);

#endif
