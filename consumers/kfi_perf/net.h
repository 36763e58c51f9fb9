/* SPDX-License-Identifier: GPL-2.0-only */
/* What consumers/kfi needs of C beside include/kfi. */
#ifndef _KFI_PERF_NET_H
#define _KFI_PERF_NET_H

struct net;

struct net *rust_helper_kfi_current_net(void);

#endif
