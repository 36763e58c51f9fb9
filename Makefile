# SPDX-License-Identifier: GPL-2.0-only
# kfi. `make help` lists the targets.

ifneq ($(KDIR),)

# A kernel of one's own: make KDIR=<kernel build tree>
KBUILD_OUTPUT_DIR := $(CURDIR)/build
modules:
	@scripts/check-kdir "$(KDIR)"
	@mkdir -p $(KBUILD_OUTPUT_DIR)
	$(MAKE) -C $(KDIR) M=$(CURDIR) MO=$(KBUILD_OUTPUT_DIR) modules

else

modules:
	@scripts/setup base stock
	@scripts/build stock

endif

demo:
	@scripts/setup base uml
	@selftests/demo

# Everything: the stock kernel, User-Mode Linux, the debug kernel, and the checks that need no kernel.
check:
	@scripts/setup
	@selftests/run --jobs 2 --kernel uml-debug,stock,uml,host,uml-noib $(TESTS)

# Every series of patches/, step by step, and every test of it on every kernel: SERIES="nvmet" for some of them.
check-series:
	@scripts/setup base stock uml debug
	@scripts/check-series $(SERIES)

# The long runs: 200 unplugs under load, 1,000 connect and close cycles. TESTS=nvme_soak: two hours of NVMe over a fabric that breaks.
soak:
	@scripts/setup base debug
	@KFI_LONG=1 selftests/run --kernel uml-debug $(or $(TESTS),unplug connect_close failslab)

bench:
	@scripts/setup base uml
	@selftests/bench

clean:
	@scripts/clean

help:
	@scripts/help

.PHONY: modules demo check check-series soak bench clean help
