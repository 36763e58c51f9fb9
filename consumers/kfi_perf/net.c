// SPDX-License-Identifier: GPL-2.0-only
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include "net.h"

struct net *rust_helper_kfi_current_net(void)
{
	return current->nsproxy->net_ns;
}
