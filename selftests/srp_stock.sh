#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The baseline: the kernel's own SRP initiator and target, with kfi loaded beside them. What fails here is not a port's fault.
# kfi-test: kernels=uml limit=60 order=12
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/srp.sh"

need_module ib_srp ib_srpt target_core_iblock sd_mod null_blk "$(driver_module)"
MIB=$((KFI_SCALE > 1 ? 8 : 64))

login() { disk=$(srp_login "$@"); }
setup() { srp_stock && ports_up && null_disk $MIB && srp_target_up; }

ktap_print_header
ktap_set_plan 9
have_module kfi_verbs && modprobe kfi_verbs
ktap_here "target on $KFI_DEVICE" setup
ktap_here "login" login
verified_on_the_wire $MIB
ktap_test "random reads" fio_iops "$disk" randread 4k 32 1
ktap_test "logout" srp_logout
ktap_here "login with two channels" login ch_count=2
ktap_test "there are two" channels 2
ktap_test "logout" srp_logout
ktap_finished
