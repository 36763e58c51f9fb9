/* SPDX-License-Identifier: GPL-2.0-only */
/* What shim/lib.rs sees of C. */
#include <kfi/kfi.h>
#include <kfi/provider.h>
#include "helpers.h"
#include "net.h"
#include "policy.h"
#include "trace.h"
