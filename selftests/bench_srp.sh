#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported SRP initiator against the stock one, on the stock target. Arguments: host, and workloads: see disk_bench.sh.
# kfi-test: kernels=none limit=900
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/srp.sh"
. "$(dirname "$0")/disk_bench.sh"

need_module ib_srp ib_srpt target_core_iblock sd_mod null_blk kfi_verbs "$(driver_module)"
# Name, initiator.
variants=("stock stock" "host kfi")
declare -A title=([host]="srp.$KFI_DEVICE")

setup() { ports_up && null_disk 0 && modprobe kfi && srp_target_stock && srp_target_up; }
attach()
{
	case $1 in kfi) srp_ported "$(srp_last)" ;; stock) srp_stock ;; esac && disk=$(srp_login)
}
detach() { srp_logout && srp_unload; }

bench_disk "$@"
