/* SPDX-License-Identifier: GPL-2.0-only */
/* Out-of-line copies of static inlines and macros, for Rust. */
#ifndef _KFI_SHIM_HELPERS_H
#define _KFI_SHIM_HELPERS_H

#include <linux/fs.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <net/net_namespace.h>
#include <kfi/kfi.h>

bool rust_helper_kfi_try_module_get(struct module *module);
void rust_helper_kfi_module_put(struct module *module);
struct dentry *rust_helper_kfi_debugfs_create_dir(const char *name, struct dentry *parent);
struct dentry *rust_helper_kfi_debugfs_create_file(const char *name, umode_t mode, struct dentry *parent, void *data,
						   const struct file_operations *fops);
void rust_helper_kfi_debugfs_remove(struct dentry *entry);
int rust_helper_kfi_request_provider(const char *name);
struct net *rust_helper_kfi_get_net(struct net *net);
void rust_helper_kfi_put_net(struct net *net);
void rust_helper_kfi_spin_lock_init(spinlock_t *lock);
unsigned long rust_helper_kfi_spin_lock_irqsave(spinlock_t *lock);
void rust_helper_kfi_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);
unsigned int rust_helper_kfi_num_possible_cpus(void);
int rust_helper_kfi_vector_cpu(unsigned int vector);

#endif
