#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported SRP drivers against the stock ones: initiator, target, both. Arguments: one of host, target, both, and workloads:
# see disk_bench.sh.
# kfi-test: kernels=none limit=900
# shellcheck disable=SC2034 # what disk_bench.sh takes
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/srp.sh"
. "$(dirname "$0")/disk_bench.sh"

need_module ib_srp ib_srpt target_core_iblock sd_mod null_blk kfi_verbs "$(driver_module)"
# Name, initiator, target.
variants=("stock stock stock" "host kfi stock" "target stock kfi" "both kfi kfi")
declare -A title=([host]="srp.$KFI_DEVICE" [target]="srp.${KFI_DEVICE}_target" [both]="srp.${KFI_DEVICE}_both")

setup() { ports_up && null_disk 0 && modprobe kfi; }
attach() # HOST TARGET
{
	driver_load srp_target "$2" && srp_target_up && driver_load srp "$1" && disk=$(srp_login)
}
detach() { srp_logout && srp_unload && srp_target_gone; }

bench_disk "$@"
