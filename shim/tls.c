// SPDX-License-Identifier: GPL-2.0-only
/* TLS on a socket of the kernel's: the handshake is an agent's in user space (tlshd), the records are kTLS's. */
#include <linux/file.h>
#include <linux/net.h>
#include <linux/tcp.h>
#include <net/handshake.h>
#include <net/tls.h>
#include <net/tls_prot.h>
#include "net.h"

#if IS_ENABLED(CONFIG_NET_HANDSHAKE)
int rust_helper_kfi_tls_start(struct socket *sock, bool server, const struct kfi_tls *tls, u32 timeout_ms,
			      void (*done)(void *data, int status, s32 peer), void *data)
{
	struct tls_handshake_args args = {
		.ta_sock = sock,
		.ta_done = done,
		.ta_data = data,
		.ta_timeout_ms = timeout_ms,
		.ta_peername = tls->peername,
		.ta_keyring = tls->keyring,
		.ta_my_cert = tls->cert,
		.ta_my_privkey = tls->privkey,
		.ta_num_peerids = tls->psk ? 1 : 0,
		.ta_my_peerids = { tls->psk },
	};

	if (server)
		return tls->psk ? tls_server_hello_psk(&args, GFP_NOIO) : tls_server_hello_x509(&args, GFP_NOIO);
	return tls->psk ? tls_client_hello_psk(&args, GFP_NOIO) : tls_client_hello_x509(&args, GFP_NOIO);
}

bool rust_helper_kfi_tls_cancel(struct socket *sock)
{
	return tls_handshake_cancel(sock->sk);
}

void rust_helper_kfi_tls_close(struct socket *sock)
{
	tls_handshake_close(sock);
}
#else
int rust_helper_kfi_tls_start(struct socket *sock, bool server, const struct kfi_tls *tls, u32 timeout_ms,
			      void (*done)(void *data, int status, s32 peer), void *data)
{
	return -EOPNOTSUPP;
}

bool rust_helper_kfi_tls_cancel(struct socket *sock)
{
	return false;
}

void rust_helper_kfi_tls_close(struct socket *sock)
{
}
#endif

/* The same for all sockets with TLS, and there as long as one is. */
static void (*kfi_tls_space)(struct sock *sk);

static void kfi_sock_tls_space(struct sock *sk)
{
	/* A record that TCP has taken in part is sent on by TLS, nobody else. */
	READ_ONCE(kfi_tls_space)(sk);
	sk->sk_data_ready(sk);
}

/* Behind kfi_sock_watch(), which has put TLS's callback into @saved. */
void rust_helper_kfi_tls_watch(struct socket *sock, const struct kfi_sock_calls *saved)
{
	struct sock *sk = sock->sk;

	WRITE_ONCE(kfi_tls_space, saved->space);
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_write_space = kfi_sock_tls_space;
	write_unlock_bh(&sk->sk_callback_lock);
}

/*
 * Takes the record at hand, which is not data. Returns 0 when it ends the peer's direction in an orderly way, -EAGAIN
 * when it is of no interest, and an error when it ends the connection.
 */
int rust_helper_kfi_tls_control(struct socket *sock)
{
	union {
		struct cmsghdr head;
		u8 buf[CMSG_SPACE(sizeof(u8))];
	} control = {};
	struct msghdr msg = {
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	u8 text[2] = {};
	struct kvec vec = { .iov_base = text, .iov_len = sizeof(text) };
	int ret;

	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &vec, 1, sizeof(text));
	ret = sock_recvmsg(sock, &msg, MSG_DONTWAIT);
	if (ret < 0)
		return ret;
	if (control.head.cmsg_level != SOL_TLS || control.head.cmsg_type != TLS_GET_RECORD_TYPE)
		return -EPROTO;
	if (*(u8 *)CMSG_DATA(&control.head) != TLS_RECORD_TYPE_ALERT || ret != sizeof(text))
		return -EPROTO;
	if (text[1] == TLS_ALERT_DESC_CLOSE_NOTIFY)
		return 0;
	return text[0] == TLS_ALERT_LEVEL_FATAL ? -ECONNRESET : -EAGAIN;
}

/* The first byte of what the peer has sent, if there is one; -EAGAIN. */
int rust_helper_kfi_tls_peek(struct socket *sock)
{
	u8 byte;
	struct kvec vec = { .iov_base = &byte, .iov_len = sizeof(byte) };
	struct msghdr msg = {};
	int ret;

	ret = kernel_recvmsg(sock, &msg, &vec, 1, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
	if (ret < 0)
		return ret;
	return ret ? byte : -ECONNRESET;
}

/* The agent gets a descriptor, so the socket needs a file. When there is none for it, the socket has ended. */
int rust_helper_kfi_tls_file(struct socket *sock)
{
	return PTR_ERR_OR_ZERO(sock_alloc_file(sock, O_CLOEXEC, NULL));
}

/* Ends a socket, with its file if it has one: its last reference here goes at once, not when the task returns. */
void rust_helper_kfi_sock_release(struct socket *sock)
{
	if (sock->file)
		__fput_sync(sock->file);
	else
		sock_release(sock);
}
