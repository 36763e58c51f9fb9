// SPDX-License-Identifier: GPL-2.0-only
#include "../../../ib_client/verbs/helpers.c"
