// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <linux/moduleparam.h>
#include "policy.h"

static int policy_set(const char *text, const struct kernel_param *param)
{
	return kfi_policy_set(text);
}

static int policy_get(char *page, const struct kernel_param *param)
{
	return kfi_policy_get(page);
}

static const struct kernel_param_ops policy_ops = {
	.set = policy_set,
	.get = policy_get,
};

module_param_cb(policy, &policy_ops, NULL, 0644);
MODULE_PARM_DESC(policy, "who carries connections to which addresses: PREFIX=PROVIDER|!PROVIDER|any|none,...");

/* The lock under which parameters are read and written. */
void rust_helper_kfi_policy_lock(void)
{
	kernel_param_lock(THIS_MODULE);
}

void rust_helper_kfi_policy_unlock(void)
{
	kernel_param_unlock(THIS_MODULE);
}
