#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported nvmet-rdma, all of its patches, under the stock initiator and the ported one: receives of each queue and shared
# ones, in-capsule data, discovery, and every way in which a connection can end while I/O is under way. Over TCP, without an
# RDMA device, there is only the ported initiator.
# kfi-test: limit=140 order=31 devices=all
. "$(dirname "$0")/lib.sh"

need_module nvme-fabrics nvme-rdma nvmet null_blk kfi_verbs "$(driver_module)"
STEP=${1:-$(target_last)}
[ -n "$STEP" ] || ktap_skip_all "there is no series patches/nvmet"
MIB=$((KFI_SCALE > 1 ? 4 : 16))
if [ "$KFI_DEVICE" = tcp ]; then hosts=(ported); else hosts=(stock ported); fi

connect() { disk=$(nvme_connect "$@") && fallen_back; }
setup() { ports_up && null_disk $MIB; }
start() # HOST [PARAMETER of the target...] -- [ATTRIBUTE=VALUE of the port...]
{
	local host=$1 parameters=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do parameters+=("$1"); shift; done
	[ $# -eq 0 ] || shift
	target_ported "$STEP" "${parameters[@]}" && target_up rdma /dev/nullb0 "$@" && driver_load host "$host"
}
stop() { nvme_end && host_unload && target_gone; }
# What the initiator mends by recovery is a failure here.
undisturbed() { ! dmesg | grep -E "starting error recovery|QID [0-9]+ timeout"; }
verify() { dmesg -C; connect -i 2 && fio_verify "$disk" $MIB && undisturbed; }

# The ways to end.
ends_by_disconnect() { connect -i 2 && io_start && nvme_end && io_stop; }
ends_by_reset() { connect -i 2 && reset_under_io $MIB && nvme_end; }
ends_by_port()
{
	connect -i 2 -c 1 -l 600 && io_start || return
	target_hidden
	rmdir /sys/kernel/config/nvmet/ports/1 || return
	KFI_WAIT=30 wait_until nvme_state connecting || return
	target_port rdma || return
	KFI_WAIT=30 wait_until nvme_state live && io_stop && fio_verify "$disk" $MIB && nvme_end
}
ends_by_unplug_here() { connect -i 2 && io_start && rdma link del "$DEV0" && nvme_end && io_stop; }
ends_by_unplug_there() { connect -i 2 && io_start && rdma link del "$DEV1" && wait_until nvme_gone && io_stop; }
ends_by_unload() { connect -i 2 && io_start && target_gone && nvme_end && io_stop; }
again() # NUMBER of the port
{
	target_gone && port_up "$1" && start "${hosts[0]}" && verify && nvme_end
}

ktap_print_header
ktap_set_plan $((10 + 8 * ${#hosts[@]}))
ktap_here "ports of $KFI_DEVICE" setup
for host in "${hosts[@]}"; do
	ktap_here "step $STEP, $host initiator" start $host
	ktap_test "discovery" nvme_discovered
	ktap_here "$MIB MiB verified" verify
	nvme_end
	ktap_here "disconnect under I/O" ends_by_disconnect
	ktap_here "reset three times under I/O, then verify" ends_by_reset
	ktap_here "unload" stop
	ktap_here "16 KiB of in-capsule data, verified" eval 'start $host -- param_inline_data_size=16384 && verify && stop'
	# Where receives cannot be shared the target says so and goes on without.
	ktap_here "shared receives, verified, disconnect under I/O" \
		eval 'start $host use_srq=1 srq_size=256 && verify && nvme_end && ends_by_disconnect && stop' ||
		stop
done
ktap_here "${hosts[0]} initiator again" start "${hosts[0]}"
if [ "$KFI_DEVICE" = siw ]; then
	ktap_test_skip "a port that is removed comes back under I/O, then verify" \
		"the stock initiator does not always reconnect over siw"
else
	ktap_here "a port that is removed comes back under I/O, then verify" ends_by_port
fi
device_test "the target's device goes under I/O" ends_by_unplug_here
device_test "a new device: connect and verify" again 0
device_test "the initiator's device goes under I/O" ends_by_unplug_there
device_test "a new device: connect and verify" again 1
ktap_here "the target is unloaded under I/O" ends_by_unload
ktap_test "no controller is left" wait_until nvme_gone
ktap_here "unload" stop
ktap_finished
