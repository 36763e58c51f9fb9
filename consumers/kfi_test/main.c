// SPDX-License-Identifier: GPL-2.0-only
/*
 * kfi_test: runs its cases when it is loaded and prints KTAP to the kernel's log.
 *
 *   modprobe kfi_test addr=10.0.0.1 src=10.0.0.2 [port=7471] [provider=verbs] [tos=40] [only=PREFIX]
 *   modprobe kfi_test addr=::ffff:10.0.0.1 src=::ffff:10.0.0.2 service=0x123456789abcdef [pkey=0xffff] ...: AF_IB
 *
 * Loading succeeds if every test passes or is skipped; then it can be unloaded. It fails with -EBADMSG otherwise.
 */
#define pr_fmt(fmt)	KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <net/net_namespace.h>
#include <rdma/ib.h>
#include "kfi_test.h"

static char *addr;
module_param(addr, charp, 0444);
MODULE_PARM_DESC(addr, "address of a device of this host, to listen on");

static char *src;
module_param(src, charp, 0444);
MODULE_PARM_DESC(src, "address to connect from");

static char *provider;
module_param(provider, charp, 0444);
MODULE_PARM_DESC(provider, "the only kfi provider to use");

static char *only;
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "run only the tests whose names start with this");

static ushort port = 7471;
module_param(port, ushort, 0444);
MODULE_PARM_DESC(port, "port to listen on");

static ullong service;
module_param(service, ullong, 0444);
MODULE_PARM_DESC(service, "service ID to listen at; addresses are GIDs then");

static ushort pkey = 0xffff;
module_param(pkey, ushort, 0444);
MODULE_PARM_DESC(pkey, "partition of the GIDs");

int kfi_test_tos = -1;
module_param_named(tos, kfi_test_tos, int, 0444);
MODULE_PARM_DESC(tos, "type of service to connect with");

struct sockaddr_storage kfi_test_addr, kfi_test_src;
const char *kfi_test_provider;
struct kfi_device *kfi_test_device;
u32 kfi_test_caps;

static const struct kfi_case *const suites[] = {
	kfi_args_cases, kfi_setup_cases, kfi_early_cases, kfi_data_cases, kfi_remote_cases, kfi_life_cases,
};

static unsigned int number, nr_failed;

static void run(const struct kfi_case *c)
{
	int ret = (c->caps & ~kfi_test_caps) ? KFI_SKIP : c->run();

	number++;
	if (ret == KFI_SKIP) {
		pr_info("ok %u - %s # SKIP the device cannot\n", number, c->name);
	} else if (ret) {
		nr_failed++;
		pr_info("not ok %u - %s # %d\n", number, c->name, ret);
	} else {
		pr_info("ok %u - %s\n", number, c->name);
	}
}

static bool wanted(const struct kfi_case *c)
{
	return !only || !strncmp(c->name, only, strlen(only));
}

static int parse(const char *text, u16 text_port, struct sockaddr_storage *out)
{
	char buf[8];

	if (service) {
		struct sockaddr_ib *ib = (struct sockaddr_ib *)out;

		ib->sib_family = AF_IB;
		ib->sib_pkey = cpu_to_be16(pkey);
		ib->sib_sid = text_port ? cpu_to_be64(service) : 0;
		ib->sib_sid_mask = text_port ? cpu_to_be64(U64_MAX) : 0;
		return in6_pton(text, -1, ib->sib_addr.sib_raw, -1, NULL) == 1 ? 0 : -EINVAL;
	}
	snprintf(buf, sizeof(buf), "%u", text_port);
	return inet_pton_with_scope(&init_net, AF_UNSPEC, text, buf, out);
}

static int __init kfi_test_init(void)
{
	unsigned int i, nr = 0;
	const struct kfi_case *c;
	struct kfi_info *info;
	int status, ret;

	if (!addr)
		return -EINVAL;
	ret = parse(addr, port, &kfi_test_addr);
	if (!ret && src)
		ret = parse(src, 0, &kfi_test_src);
	if (ret)
		return ret;
	kfi_test_provider = provider;

	for (i = 0; i < ARRAY_SIZE(suites); i++)
		for (c = suites[i]; c->name; c++)
			nr += wanted(c);
	pr_info("KTAP version 1\n");
	pr_info("1..%u\n", nr);

	/* The device stays while the tests run: there is a domain on it nearly always, and nobody unplugs it. */
	info = kfi_test_resolve(&status);
	if (IS_ERR(info) || status) {
		kfi_say("%s cannot be reached: %d", addr, IS_ERR(info) ? (int)PTR_ERR(info) : status);
		if (!IS_ERR(info))
			kfi_info_put(info);
		return -EHOSTUNREACH;
	}
	kfi_test_device = info->device;
	kfi_test_caps = info->device->attr.caps;
	kfi_info_put(info);

	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		for (c = suites[i]; c->name; c++) {
			if (wanted(c)) {
				run(c);
				cond_resched();
			}
		}
	}
	pr_info("# failed: %u\n", nr_failed);
	return nr_failed ? -EBADMSG : 0;
}

static void __exit kfi_test_exit(void)
{
}

module_init(kfi_test_init);
module_exit(kfi_test_exit);
MODULE_DESCRIPTION("Tests of what kfi promises to its consumers");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("KFI");
