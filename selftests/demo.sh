#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The demonstration: the same disk through the stock drivers, and through the ones that use kfi, on one side and on both. Where
# there is no RDMA device the ported ones find each other over TCP, and nvme-tcp runs beside them.
# kfi-test: kernels=uml limit=100 order=19 devices=all
. "$(dirname "$0")/lib.sh"

MIB=64
case $KFI_DEVICE in
tcp) pairs=(nvme-rdma:kfi:kfi nvme-tcp:stock:stock) ;;
*) pairs=(nvme-rdma:stock:stock nvme-rdma:kfi:stock nvme-rdma:stock:kfi nvme-rdma:kfi:kfi) ;;
esac

# run ULP HOST TARGET: verified and fast I/O, and a row of the table.
run()
{
	local ulp=$1 host=$2 target=$3 iops=- verified=no errors=1 disk

	if nvme_load "$@" && disk=$(NVME_TRTYPE=${ulp#nvme-} nvme_connect -i 2); then
		fio_verify "$disk" $MIB && verified="yes, $MIB MiB" && errors=0
		iops=$(fio_iops "$disk" randread 4k 32 2) || errors=$((errors + 1))
	fi
	nvme_unload || errors=$((errors + 1))
	printf '#| %-7s %-10s %-10s %-7s %9s %7s   %s\n' "$KFI_DEVICE" "$ulp" "$host" "$target" "$iops" $errors "$verified"
	[ $errors -eq 0 ]
}

ktap_print_header
ktap_set_plan $((${#pairs[@]} + 1))
setup() { ports_up && null_disk $MIB; }
ktap_here "ports of $KFI_DEVICE and a disk" setup
for pair in "${pairs[@]}"; do
	IFS=: read -r ulp host target <<< "$pair"
	what="$ulp, initiator $host, target $target"
	if run "$ulp" "$host" "$target"; then ktap_test_pass "$what"; else ktap_test_fail "$what"; fi
done
ktap_finished
