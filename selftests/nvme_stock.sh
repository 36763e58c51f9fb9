#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The baseline: the kernel's own initiator and target, with kfi loaded beside them. What fails here is not a port's fault.
# kfi-test: limit=60 order=10
. "$(dirname "$0")/lib.sh"

need_module nvme-rdma nvmet-rdma null_blk "$(driver_module)"
MIB=$((KFI_SCALE > 1 ? 8 : 64))

connect() { disk=$(nvme_connect -i 2); }
setup() { modprobe nvme-rdma && ports_up && null_disk $MIB && target_up rdma /dev/nullb0; }

ktap_print_header
ktap_set_plan 7
have_module kfi_verbs && modprobe kfi_verbs
ktap_here "target on $KFI_DEVICE" setup
ktap_here "connect" connect
verified_on_the_wire $MIB
ktap_test "random reads" fio_iops "$disk" randread 4k 32 1
ktap_test "disconnect" nvme_end
ktap_test "connect and disconnect again" eval 'nvme_connect -i 1 && nvme_end'
ktap_finished
