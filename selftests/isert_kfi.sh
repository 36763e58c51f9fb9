#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported ib_isert, all of its patches, under the stock initiator and the ported one: discovery, immediate and unsolicited
# data, large commands, resets of the LUN, and every way in which a connection can end while I/O is under way. Over TCP,
# without an RDMA device, there is only the ported initiator.
# kfi-test: kernels=uml limit=200 order=35 devices=all
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/iscsi.sh"

need_iscsi
need_iser_port
STEP=${1:-$(isert_last)}
[ -n "$STEP" ] || ktap_skip_all "there is no series patches/isert"
MIB=$((KFI_SCALE > 1 ? 8 : 32))
hosts=(stock ported)
if [ "$KFI_DEVICE" = tcp ]; then hosts=(ported); fi
if [ -z "$(iser_last)" ]; then
	[ "$KFI_DEVICE" != tcp ] || ktap_skip_all "there is no series patches/iser, and the stock initiator needs an RDMA device"
	hosts=(stock)
fi

setup() { ports_up && iscsi_route && null_disk $MIB && iscsid_up; }
target() { isert_ported "$STEP" && iscsi_target_up /dev/nullb0; }
start() { target && driver_load iser "$1"; }
target_gone() { iscsi_target_down && isert_unload; }
stop() { iscsi_end && iser_unload && target_gone; }
login() { disk=$(iscsi_login) && fallen_back; }
verify() { login && fio_verify "$disk" $MIB; }
with() { iscsi_agreed "$@" && fio_verify "$disk" $MIB; }
busy() { ! rmmod ib_isert && iscsi_state LOGGED_IN; }

# The ways to end.
ends_by_logout() { login && io_start && iscsi_end && io_stop; }
# A session does not need the portal that it came through.
ends_without_portal()
{
	login && io_start && iscsi_target_iser 0 || return
	wait_until io_more_served $(($(io_served) + 100)) || return
	iscsi_end && io_stop && ! iscsi_node --login && iscsi_gone && iscsi_target_iser 1 && verify && iscsi_end
}
# The initiator logs in again when the target is there again.
ends_by_target()
{
	login && io_start || return
	iscsi_target_enable 0
	KFI_WAIT=30 wait_until iscsi_failed || return
	iscsi_target_enable 1 && iscsi_back && io_stop && fio_verify "$disk" $MIB && iscsi_end
}
ends_by_unplug_here()
{
	login && io_start && rdma link del "$DEV0" || return
	KFI_WAIT=30 wait_until iscsi_failed && port_up 0 || return
	# The portal does not listen again by itself.
	iscsi_target_iser 0 && iscsi_target_iser 1 && iscsi_back && io_stop && fio_verify "$disk" $MIB && iscsi_end
}
ends_by_unplug_there()
{
	login && io_start && rdma link del "$DEV1" || return
	KFI_WAIT=30 wait_until iscsi_failed && port_up 1 && iscsi_back && io_stop && fio_verify "$disk" $MIB && iscsi_end
}
ends_by_unload() { login && io_start && target_gone && iscsi_end && io_stop; }

ktap_print_header
ktap_set_plan $((6 + 14 * ${#hosts[@]}))
ktap_here "ports of $KFI_DEVICE" setup
for host in "${hosts[@]}"; do
	ktap_here "step $STEP, $host initiator" start "$host"
	iscsi_discovery_test
	ktap_here "login" login
	verified_on_the_wire $MIB
	ktap_test "scattered and unaligned memory" eval 'scattered 0 && scattered 512'
	iscsi_target_set InitialR2T=No
	ktap_here "immediate data only, verify" with Yes Yes 65536
	ktap_here "unsolicited data of 64 KiB, verify" with Yes No 65536
	ktap_here "a first burst of 4 KiB, verify" with Yes No 4096
	ktap_here "unsolicited data, none of it immediate, verify" with No No 16384
	ktap_here "neither, verify" with No Yes 65536
	iscsi_target_set InitialR2T=Yes
	ktap_test "the module is in use" busy
	ktap_here "reset the LUN three times under I/O, then verify" eval 'iscsi_end; login && iscsi_reset_lun $MIB'
	iscsi_end
	ktap_here "log out under I/O, unload" eval 'ends_by_logout && stop'
done
ktap_here "${hosts[0]} initiator: the portal goes under I/O, log out" eval 'start "${hosts[0]}" && ends_without_portal'
ktap_here "the target goes and comes back under I/O, then verify" ends_by_target
device_test "the target's device goes under I/O and comes back, then verify" ends_by_unplug_here
device_test "the initiator's device goes under I/O and comes back, then verify" ends_by_unplug_there
ktap_here "the target is unloaded under I/O" ends_by_unload
ktap_finished
