// SPDX-License-Identifier: GPL-2.0-only
/* The raw loops use the verbs types of kfi_verbs, and those use these. */
#include "../../ib_client/verbs/helpers.c"
