#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The demonstration: a stock target, and before it the stock initiator and the one that runs through kfi, on the same disk.
# kfi-test: kernels=none limit=60
. "$(dirname "$0")/lib.sh"

MIB=64
row() { printf '#| %-7s %-10s %-12s %9s %7s   %s\n' "$@"; }
gone() { nvme_disconnect; wait_until nvme_gone; }
# run NAME LOAD...: load the initiator, do verified and fast I/O, print a row.
run()
{
	local name=$1 iops=- verified=no errors=1 disk
	shift

	if "$@" && disk=$(nvme_connect -i 2); then
		fio_verify "$disk" $MIB && verified="yes, $MIB MiB" && errors=0
		iops=$(fio_iops "$disk" randread 4k 32 2) || errors=$((errors + 1))
		gone
	fi
	host_unload
	row "$KFI_DEVICE" nvme-rdma "$name" "$iops" "$errors" "$verified"
	[ $errors -eq 0 ]
}

ktap_print_header
ktap_set_plan 3
setup() { ports_up && null_disk $MIB && target_up rdma /dev/nullb0; }
ktap_here "target on $KFI_DEVICE" setup
result() { if "$@"; then ktap_test_pass "$2"; else ktap_test_fail "$2"; fi; }
result run stock host_stock
if [ -n "$(host_last)" ]; then
	result run "through kfi" host_ported "$(host_last)"
else
	ktap_test_fail "through kfi: there is no series patches/nvme-host"
fi
ktap_finished
