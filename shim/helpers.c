// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/kmod.h>
#include "helpers.h"

bool rust_helper_kfi_try_module_get(struct module *module)
{
	return try_module_get(module);
}

void rust_helper_kfi_module_put(struct module *module)
{
	module_put(module);
}

struct dentry *rust_helper_kfi_debugfs_create_dir(const char *name, struct dentry *parent)
{
	return debugfs_create_dir(name, parent);
}

struct dentry *rust_helper_kfi_debugfs_create_file(const char *name, umode_t mode, struct dentry *parent, void *data,
						   const struct file_operations *fops)
{
	return debugfs_create_file(name, mode, parent, data, fops);
}

void rust_helper_kfi_debugfs_remove(struct dentry *entry)
{
	debugfs_remove(entry);
}

int rust_helper_kfi_request_provider(const char *name)
{
	return request_module("kfi-provider-%s", name);
}

struct net *rust_helper_kfi_get_net(struct net *net)
{
	return get_net(net);
}

void rust_helper_kfi_put_net(struct net *net)
{
	put_net(net);
}

void rust_helper_kfi_spin_lock_init(spinlock_t *lock)
{
	spin_lock_init(lock);
}

unsigned long rust_helper_kfi_spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	return flags;
}

void rust_helper_kfi_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock_irqrestore(lock, flags);
}

unsigned int rust_helper_kfi_num_possible_cpus(void)
{
	return num_possible_cpus();
}

/* Work must not be queued on a CPU that never was online. */
int rust_helper_kfi_vector_cpu(unsigned int vector)
{
	unsigned int cpu;

	vector %= num_possible_cpus();
	cpu = cpumask_nth(vector, cpu_possible_mask);
	if (cpu < nr_cpu_ids && cpu_online(cpu))
		return cpu;
	cpu = cpumask_nth(vector % num_online_cpus(), cpu_online_mask);
	return cpu < nr_cpu_ids ? cpu : cpumask_first(cpu_online_mask);
}
