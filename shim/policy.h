/* SPDX-License-Identifier: GPL-2.0-only */
/* The module parameter "policy": C owns it, Rust (shim/sys/policy.rs) reads and prints it. */
#ifndef _KFI_SHIM_POLICY_H
#define _KFI_SHIM_POLICY_H

void rust_helper_kfi_policy_lock(void);
void rust_helper_kfi_policy_unlock(void);

/* Both are called with that lock held. */
int kfi_policy_set(const char *text);
int kfi_policy_get(char *page);

#endif
