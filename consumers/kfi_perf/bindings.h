/* SPDX-License-Identifier: GPL-2.0-only */
/* What kfi_perf.rs sees of C. */
#include <linux/tcp.h>
#include <net/sock.h>
#include <kfi/kfi.h>
#include "net.h"
#ifdef CONFIG_INFINIBAND_ADDR_TRANS
#include <rdma/ib_verbs.h>
#include <rdma/rdma_cm.h>
#include <rdma/rw.h>
#include "../../ib_client/verbs/helpers.h"
#endif
