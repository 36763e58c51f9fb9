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

.PHONY: modules
