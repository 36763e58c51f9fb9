/* SPDX-License-Identifier: GPL-2.0-only */
/* What ib_client/lib.rs sees of C. */
#include <rdma/ib_verbs.h>
#include <rdma/rdma_cm.h>
#include <rdma/rw.h>
#include <rdma/mr_pool.h>
#include <kfi/kfi.h>
#include <kfi/provider.h>
#include <kfi/import.h>
#include "verbs/helpers.h"
