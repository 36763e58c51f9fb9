/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests in the kernel say of what they find. */
#ifndef _KFI_EXPECT_H
#define _KFI_EXPECT_H

#include <linux/printk.h>

/* What a test says when it fails. */
#define kfi_say(fmt, ...)	pr_info("# %s:%d: " fmt "\n", __func__, __LINE__, ##__VA_ARGS__)

#define kfi_expect(what, wanted)						\
({										\
	long long got_ = (long long)(what), wanted_ = (long long)(wanted);	\
										\
	if (got_ != wanted_)							\
		kfi_say("%s is %lld, not %lld", #what, got_, wanted_);		\
	got_ == wanted_;							\
})

#endif /* _KFI_EXPECT_H */
