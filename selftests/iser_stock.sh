#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The baseline of the iSER ports: the kernel's own initiator and target, with kfi loaded beside them.
# kfi-test: kernels=uml limit=60 order=11
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/iscsi.sh"

need_iscsi
MIB=$((KFI_SCALE > 1 ? 8 : 64))

login() { disk=$(iscsi_login "$@"); }
setup() { iser_stock && isert_stock && ports_up && iscsi_route && null_disk $MIB; }
# Not by the exit status: the file takes the number, and the kernel's log has the error.
refused() { ! iscsi_target_up /dev/nullb0 && dmesg | grep -E 'rdma_(bind_addr|listen)\(\) failed: -98'; }
names=("target on $KFI_DEVICE" "iscsid" "login" "$MIB MiB written, read, verified by CRC32C"
	"the data crossed the veth pair" "random reads" "log out" "log in and out again")

ktap_print_header
ktap_set_plan $((1 + ${#names[@]}))
have_module kfi_verbs && modprobe kfi_verbs
ktap_here "ports of $KFI_DEVICE" setup
if [ "$KFI_DEVICE" = siw ]; then
	# What the skips of all other tests of iSER say.
	ktap_here "iSER on a portal of siw is refused" refused
	for name in "${names[@]:1}"; do ktap_test_skip "$name" "$NO_ISER_ON_SIW"; done
	ktap_finished
fi
ktap_here "${names[0]}" iscsi_target_up /dev/nullb0
ktap_here "${names[1]}" iscsid_up
ktap_here "${names[2]}" login
before=$(rx_bytes)
ktap_test "${names[3]}" fio_verify "$disk" $MIB
ktap_test "${names[4]}" crossed "$before" $MIB
ktap_test "${names[5]}" fio_iops "$disk" randread 4k 32 1
ktap_test "${names[6]}" iscsi_end
ktap_test "${names[7]}" eval 'iscsi_login && iscsi_end'
ktap_finished
