#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported ib_iser, all of its patches: discovery, immediate and unsolicited data, large commands, both ways to register
# memory, error handling, and every way in which a connection can end while I/O is under way. The target is the ported one, or,
# with the second argument "stock", the kernel's own: that frees a logout twice when its response is flushed, see patches/isert.
# kfi-test: kernels=uml,uml-debug limit=150 order=33 devices=all
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/iscsi.sh"

need_iscsi
need_iser_port
STEP=${1:-$(iser_last)}
[ -n "$STEP" ] || ktap_skip_all "there is no series patches/iser"
PEER=${2:-ported}
MIB=$((KFI_SCALE > 1 ? 8 : 32))
INITIATOR_DEVICE=$DEV1 TARGET_DEVICE=$DEV0

login() { disk=$(iscsi_login "$@") && fallen_back; }
target() { driver_load isert "$PEER" && iscsi_target_up /dev/nullb0; }
setup() { iser_ported "$STEP" && ports_up && iscsi_route && null_disk $MIB && target && iscsid_up; }
reload() { iscsi_end && iser_unload && iser_ported "$STEP" "$@"; }
no_verbs() { ! grep -E '^(ib_core|rdma_cm|kfi_verbs) ' /proc/modules | grep ib_iser; }
parameter() { [ "$(cat "/sys/module/ib_iser/parameters/$1")" = "$2" ]; }

with() { iscsi_agreed "$@" && fallen_back && fio_verify "$disk" $MIB; }
logout_under_io() { io_start && iscsi_end && io_stop; }
target_comes_back()
{
	io_start || return
	iscsi_target_enable 0
	KFI_WAIT=30 wait_until iscsi_failed || return
	iscsi_target_iser 0 && iscsi_target_iser 1 && iscsi_target_enable 1 && iscsi_back || return
	io_stop
	fio_verify "$disk" $MIB
}
nobody_listens() { iscsi_target_iser 0 && ! iscsi_node --login && iscsi_gone && iscsi_target_iser 1; }
busy() { ! rmmod ib_iser && iscsi_state LOGGED_IN; }
device_comes_back()
{
	io_start || return
	rdma link del "$1" || return
	KFI_WAIT=30 wait_until iscsi_failed || return
	port_up "${1: -1}" || return
	# A target does not listen again by itself.
	[ "$1" != "$TARGET_DEVICE" ] || { iscsi_target_iser 0 && iscsi_target_iser 1; } || return
	iscsi_back && io_stop && fio_verify "$disk" $MIB
}
logout_without_device()
{
	io_start || return
	rdma link del "$INITIATOR_DEVICE" || return
	KFI_WAIT=30 wait_until iscsi_failed || return
	iscsi_end && io_stop && port_up 1
}

ktap_print_header
ktap_set_plan 24
ktap_here "step $STEP and a target on $KFI_DEVICE" setup
iscsi_discovery_test
if [ "$STEP" = "$(iser_last)" ]; then
	ktap_test "needs neither the RDMA core nor the verbs provider" no_verbs
else
	ktap_test_skip "needs neither the RDMA core nor the verbs provider" "only the last step"
fi
ktap_here "login" login
verified_on_the_wire $MIB
ktap_test "random reads" fio_iops "$disk" randread 4k 32 1
# Commands of 512 KiB, one after the other: as many regions as fit.
ktap_test "512 segments in one call" scattered 0 1 63
iscsi_end > /dev/null
iscsi_target_set InitialR2T=No ImmediateData=Yes FirstBurstLength=65536
ktap_here "immediate data only, verify" with Yes Yes 65536
ktap_here "unsolicited data of 64 KiB, verify" with Yes No 65536
ktap_here "a first burst of 4 KiB, verify" with Yes No 4096
ktap_here "unsolicited data, none of it immediate, verify" with No No 16384
ktap_here "neither, verify" with No Yes 65536
# A deep queue of unsolicited data is more than a target of LIO has receives for, and connections break down: stock ones, too.
iscsi_end > /dev/null
iscsi_target_set InitialR2T=Yes
ktap_here "always_register=N: login, verify" eval 'reload always_register=N && parameter always_register N && login && fio_verify "$disk" $MIB'
ktap_here "max_sectors=256: login, verify" eval 'reload max_sectors=256 && login && fio_verify "$disk" $MIB'
ktap_here "reset the LUN three times under I/O, then verify" eval 'reload && login && iscsi_reset_lun $MIB'
ktap_here "log out under I/O" logout_under_io
ktap_here "target goes and comes back under I/O, then verify" eval 'login && target_comes_back'
ktap_test "the module is in use" busy
ktap_here "nobody listens: login fails" eval 'iscsi_end; nobody_listens'
device_test "the initiator's device goes under I/O and comes back, then verify" eval 'login && device_comes_back $INITIATOR_DEVICE'
device_test "log out without the device" eval 'logout_without_device'
device_test "the target's device goes under I/O and comes back, then verify" eval 'login && device_comes_back $TARGET_DEVICE'
ktap_here "log out and unload" eval 'iscsi_end && iser_unload'
ktap_finished
