#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported ib_srp, all of its patches: channels, scatter lists of all kinds, every way to name memory to the target, resets,
# and every way in which a connection can end while I/O is under way. The target is the kernel's own; over TCP, without an RDMA
# device, it is the ported one.
# kfi-test: kernels=uml limit=180 order=32 devices=all
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/srp.sh"

need_module ib_srp ib_srpt target_core_iblock sd_mod null_blk kfi_verbs "$(driver_module)"
STEP=${1:-$(srp_last)}
[ -n "$STEP" ] || ktap_skip_all "there is no series patches/srp"
MIB=$((KFI_SCALE > 1 ? 8 : 32))

login() { disk=$(srp_login "$@"); }
target()
{
	[ "$KFI_DEVICE" != tcp ] || loaded ib_srpt || srp_target_ported "$(srp_target_last)" || return
	srp_target_up
}
setup() { ports_up && null_disk $MIB && target && srp_ported "$STEP"; }
# reload [PARAMETER...]: log out, and load the module with these
reload() { srp_logout && srp_unload && srp_ported "$STEP" "$@"; }
# variant LOGIN-OPTIONS PARAMETER...: verified I/O with other parameters
variant()
{
	reload "${@:2}" && login "$1" && fio_verify "$disk" $MIB && many_segments
}

bad_options()
{
	local class bad guid

	class=$(srp_host_class) guid=$(srp_guid)
	for bad in "id_ext=$guid" "id_ext=$guid,ioc_guid=$guid,dest=$SRP_IP0" "id_ext=$guid,ioc_guid=$guid,dest=$SRP_IP0:1,ch_count=0" \
		"id_ext=$guid,ioc_guid=$guid,dest=10.9.9.9:$SRP_PORT" nonsense=1; do
		! echo "$bad" > "$class/add_target" || return
	done 2> /dev/null
}
twice()
{
	local guid; guid=$(srp_guid)
	! echo "id_ext=$guid,ioc_guid=$guid,dest=$SRP_IP0:$SRP_PORT" > "$(srp_host_class)/add_target"
}
# Without a subnet manager there is no path record, and no connection by the IB CM.
by_ib_cm()
{
	local ko=$KFI_OUT/series/srp/$STEP/ib_srp_ibcm.ko guid

	guid=$(srp_guid)
	[ "$KFI_DEVICE" = tcp ] || [ ! -e "$ko" ] || insmod "$ko" || return
	! echo "id_ext=$guid,ioc_guid=$guid,dgid=fe800000000000000000000000000001,pkey=ffff,service_id=$guid" \
		> "$(srp_host_class)/add_target" || return
	! loaded ib_srp_ibcm || rmmod ib_srp_ibcm
}
# The module is in use while somebody has the disk open.
unload_logged_in() { login && fio_verify "$disk" 4 && srp_unload && wait_until srp_gone && srp_ported "$STEP"; }
link_del() { io_start && rdma link del "$1" && KFI_WAIT=60 wait_until srp_gone && io_stop; }
target_link_del()
{
	lose_soon && io_start && rdma link del "$1" && KFI_WAIT=60 wait_until srp_gone && io_stop
}

ktap_print_header
ktap_set_plan 32
ktap_here "step $STEP and a target on $KFI_DEVICE" setup
if [ "$STEP" = "$(srp_last)" ]; then
	ktap_test "needs neither the RDMA core nor the verbs provider" no_verbs ib_srp
else
	ktap_test_skip "needs neither the RDMA core nor the verbs provider" "only the last step"
fi
ktap_test "bad options are refused" bad_options
ktap_test "no connection by the IB CM" by_ib_cm
if [ "$KFI_DEVICE" = siw ]; then
	ktap_test_skip "an initiator that the target does not know" "ib_srpt frees receives that siw has not flushed yet"
else
	ktap_test "an initiator that the target does not know" refused
fi
ktap_here "login" login
ktap_test "a second login is refused" twice
ktap_test "$MIB MiB written, read, verified by CRC32C" fio_verify "$disk" $MIB
ktap_test "random reads" fio_iops "$disk" randread 4k 32 1
ktap_test "scatter lists that do not touch, and not aligned" many_segments
ktap_test "reset of the LUN" lun_reset
ktap_test "reset of the host: log in again" host_reset
ktap_here "reset of the LUN under I/O, then verify" reset_under_io_of --device
ktap_here "logout under I/O" logout_under_io
ktap_here "login with three channels" login ch_count=3
ktap_test "there are three" channels 3
ktap_test "verified I/O" fio_verify "$disk" $MIB
ktap_here "reset of the host under I/O, then verify" reset_under_io_of --host
ktap_here "target goes and comes back under I/O, then verify" target_comes_back
ktap_here "the target is lost after its time" target_is_lost
ktap_here "cmd_sg_entries=1" variant "" cmd_sg_entries=1
ktap_here "cmd_sg_entries=255, no immediate data" variant "" cmd_sg_entries=255 use_imm_data=N
ktap_here "indirect_sg_entries=2048" variant allow_ext_sg=1,max_sect=8192 indirect_sg_entries=2048 use_imm_data=N
ktap_here "register_always=N" variant "" register_always=N
ktap_here "never_register=Y" variant "" never_register=Y
ktap_here "a queue of four entries" variant queue_size=4
ktap_here "unload with a login" eval 'reload && unload_logged_in'
ktap_here "login" login
device_test "the initiator's device goes under I/O" link_del "$DEV1"
device_test "a new device: login and verify" eval 'port_up 1 && login && fio_verify "$disk" 4'
device_test "the target's device goes under I/O" target_link_del "$DEV0"
ktap_test "logout and unload" eval 'srp_logout && srp_unload'
ktap_finished
