/* SPDX-License-Identifier: GPL-2.0-only */
/* What main.rs sees of C. */
#include "../../../ib_client/verbs/helpers.h"
