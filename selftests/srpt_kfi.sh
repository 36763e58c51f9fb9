#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported ib_srpt, all of its patches, under the stock initiator and the ported one: channels, scatter lists, resets, shared
# receives, and every way in which a connection can end while I/O is under way. Over TCP, without an RDMA device, there is only
# the ported initiator.
# kfi-test: kernels=uml limit=240 order=36 devices=all
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/srp.sh"

need_module ib_srp target_core_iblock sd_mod null_blk kfi_verbs "$(driver_module)"
STEP=${1:-$(srp_target_last)}
[ -n "$STEP" ] || ktap_skip_all "there is no series patches/srpt"
MIB=$((KFI_SCALE > 1 ? 8 : 32))
hosts=(stock ported)
# The stock initiator, when it goes under I/O, uses memory that it has freed: KASAN sees what patches/srp/0006 mends.
if [ "$KFI_DEVICE" = tcp ] || [ "$KFI_SCALE" -gt 1 ]; then hosts=(ported); fi

login() { disk=$(srp_login "$@"); }
setup() { ports_up && null_disk $MIB; }
target() { srp_target_ported "$STEP" && srp_target_up "$@"; }
start() { target && driver_load srp "$1"; }
stop() { srp_logout && srp_unload && srp_target_gone; }
verify() { fio_verify "$disk" $MIB; }
again() { login && fallen_back && verify; }
three_channels() { srp_logout && login ch_count=3 && channels 3 && verify; }
unknown() { srp_logout && refused && again; }
# In the place of start: other attributes
shared() { target use_srq=1 srp_sq_size=1024 && driver_load srp "${hosts[0]}" && again; }
busy() { ! rmmod ib_srpt && srp_state running; }
# set_attr ATTRIBUTE=VALUE: of the portal group
set_attr() { echo "${1#*=}" > "$(srp_tpg)/attrib/${1%%=*}"; }

# The initiator logs in again by itself: it is told to wait for that.
patient() { srp_set reconnect_delay 1 && srp_set fast_io_fail_tmo 60; }
back() { KFI_WAIT=60 wait_until srp_state running && io_stop && verify; }
# To use shared receives or not ends all sessions.
receives_change()
{
	patient && io_start && set_attr use_srq=1 && KFI_WAIT=30 wait_until srp_state blocked && back &&
		srp_logout && set_attr use_srq=0 && again
}
# The initiator is forgotten: its session ends, and it cannot come back before it is known again.
acl_goes()
{
	lose_soon && io_start && srp_acl_down || return
	KFI_WAIT=60 wait_until srp_gone || return
	io_stop
	! srp_login_once && srp_acl_up && again
}
# A session does not need the port that it came through.
listener_moves()
{
	io_start && echo $((SRP_PORT + 1)) > $LIO/srpt/discovery_auth/rdma_cm_port || return
	wait_until io_more_served $(($(io_served) + 100)) || return
	io_stop && srp_logout && ! srp_login_once && srp_logout || return
	echo $SRP_PORT > $LIO/srpt/discovery_auth/rdma_cm_port && again
}
# Logins while the port comes and goes end somehow, and leave nothing behind.
logins_race()
{
	local i waits

	srp_logout || return
	for i in 1 2 3 4 5 6 7 8 9 10; do
		srp_add_target 2> /dev/null &
		waits=$!
		srp_target_hidden
		srp_target_visible
		[ $((i % 2)) -eq 0 ] || srp_target_hidden
		wait "$waits"
		srp_logout && srp_target_visible || return
	done
	again
}
unplug_there() { lose_soon && io_start && rdma link del "$DEV1" && KFI_WAIT=60 wait_until srp_gone && io_stop; }
# Without its device a port can be had no more, but be removed.
unplug_here()
{
	local tpg

	tpg=$(srp_tpg)
	lose_soon && io_start && rdma link del "$DEV0" && KFI_WAIT=60 wait_until srp_gone && io_stop || return
	! echo 1 > "$tpg/attrib/use_srq" && echo 1 > "$tpg/enable" && srp_target_down
}
unload_under_io() { lose_soon && io_start && srp_target_gone && KFI_WAIT=60 wait_until srp_gone && io_stop; }

ktap_print_header
ktap_set_plan $((12 + 13 * ${#hosts[@]}))
ktap_here "ports of $KFI_DEVICE" setup
for host in "${hosts[@]}"; do
	ktap_here "step $STEP, $host initiator" start "$host"
	ktap_here "login" login
	verified_on_the_wire $MIB
	ktap_test "scatter lists that do not touch, and not aligned" many_segments
	ktap_test "the module is in use" busy
	ktap_test "reset of the LUN" lun_reset
	ktap_test "reset of the host: log in again" host_reset
	ktap_here "reset of the LUN under I/O, then verify" reset_under_io_of --device
	ktap_here "three channels, verify" three_channels
	ktap_here "an initiator that is not known is refused" unknown
	ktap_here "shared receives come under I/O, then verify, and go" receives_change
	ktap_here "log out under I/O, unload" eval 'logout_under_io && stop'
done
ktap_here "${hosts[0]} initiator, shared receives, a smaller send queue" shared
if [ "$STEP" = "$(srp_target_last)" ]; then
	ktap_test "needs neither the RDMA core nor the verbs provider" no_verbs ib_srpt
else
	ktap_test_skip "needs neither the RDMA core nor the verbs provider" "only the last step"
fi
ktap_here "target goes and comes back under I/O, then verify" target_comes_back
ktap_here "the port that is listened on changes under I/O, then verify" listener_moves
ktap_here "the ACL goes under I/O and comes back, then verify" acl_goes
ktap_here "the target is lost after its time" target_is_lost
ktap_here "logins race with the end of the port, then verify" logins_race
device_test "the initiator's device goes under I/O" unplug_there
device_test "a new device: login and verify" eval 'port_up 1 && again'
device_test "the target's device goes under I/O, and the target with it" unplug_here
ktap_here "the target is unloaded under I/O" \
	eval '{ [ "$KFI_DEVICE" = tcp ] || { srp_logout && port_up 0 && srp_target_up && again; }; } && unload_under_io'
ktap_finished
