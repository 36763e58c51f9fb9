#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported nvme-rdma, all of its patches: discovery, queues of all kinds, both ways to register memory, inline data, more
# segments than a command takes, and every way in which a connection can end while I/O is under way. The target is the
# kernel's own; over TCP, without an RDMA device, it is the ported one.
# kfi-test: limit=100 order=30 devices=all
. "$(dirname "$0")/lib.sh"

need_module nvme-fabrics nvmet-rdma null_blk kfi_verbs "$(driver_module)"
STEP=${1:-$(host_last)}
[ -n "$STEP" ] || ktap_skip_all "there is no series patches/nvme-host"
MIB=$((KFI_SCALE > 1 ? 8 : 32))

connect() { disk=$(nvme_connect "$@") && fallen_back; }
# shellcheck disable=SC2120 # by eval, too
target() { { [ "$KFI_DEVICE" != tcp ] || loaded nvmet_rdma || target_ported "$(target_last)"; } && target_up rdma /dev/nullb0 "$@"; }
setup() { host_ported "$STEP" && ports_up && null_disk $MIB && target; }
reload() { nvme_end; host_unload && host_ported "$STEP" "$@"; }

polled() { [ "$(cat "/sys/block/${disk##*/}/queue/io_poll")" = 1 ]; }
poll_io()
{
	fio --name=poll --filename="$disk" --direct=1 --ioengine=io_uring --hipri=1 --iodepth=8 --rw=randwrite \
		--bsrange=4k-128k --size="${MIB}M" --verify=crc32c --do_verify=1 --verify_fatal=1 --minimal
}

no_verbs() { ! grep -E '^(ib_core|rdma_cm|kfi_verbs) ' /proc/modules | grep nvme_rdma; }

disconnect_under_io() { io_start && nvme_end && io_stop; }
target_comes_back()
{
	io_start || return
	target_hidden
	KFI_WAIT=30 wait_until nvme_state connecting || return
	target_visible
	KFI_WAIT=30 wait_until nvme_state live || return
	io_stop
	fio_verify "$disk" $MIB
}
# Nothing passes the wire: the target misses the keep-alive and ends the controller, the initiator connects again.
wire_cut() { tc qdisc add dev v0 root netem loss 100% && tc qdisc add dev v1 root netem loss 100%; }
wire_back() { tc qdisc del dev v0 root; tc qdisc del dev v1 root; }
expired() { dmesg | grep -q "keep-alive timer .* expired"; }
keep_alive_expires()
{
	nvme_end
	connect -i 1 -c 1 -k $((2 * KFI_SCALE)) || return
	dmesg -C
	wire_cut || return
	KFI_WAIT=30 wait_until expired && KFI_WAIT=30 wait_until nvme_state connecting
	rc=$?
	wire_back
	[ $rc -eq 0 ] && KFI_WAIT=60 wait_until nvme_state live && fio_verify "$disk" 4
}
controller_is_lost()
{
	nvme_end
	connect -i 1 -c 1 -l 3 && io_start || return
	target_hidden
	KFI_WAIT=30 wait_until nvme_gone
	rc=$?
	target_visible
	io_stop
	[ $rc -eq 0 ]
}
unload_connected() { connect -i 2 && host_unload && wait_until nvme_gone && host_ported "$STEP"; }
link_del() { io_start && rdma link del "$1" && wait_until nvme_gone && io_stop; }

ktap_print_header
ktap_set_plan 31
ktap_here "step $STEP and a target on $KFI_DEVICE" setup
ktap_test "discovery" nvme_discovered
if [ "$STEP" = "$(host_last)" ]; then
	ktap_test "needs neither the RDMA core nor the verbs provider" no_verbs
else
	ktap_test_skip "needs neither the RDMA core nor the verbs provider" "only the last step"
fi
ktap_here "connect" connect -i 2
ktap_test "$MIB MiB written, read, verified by CRC32C" fio_verify "$disk" $MIB
ktap_test "random reads" fio_iops "$disk" randread 4k 32 1
# Commands take 256 at most.
ktap_test "512 segments in one call" scattered 0 2
ktap_here "disconnect under I/O" disconnect_under_io
ktap_here "queues for reads, writes and polling, of 16 entries" connect -i 2 -W 1 -P 1 -Q 16
ktap_test "verified I/O" fio_verify "$disk" $MIB
ktap_test "disconnect" nvme_end
ktap_here "connect with poll queues" connect -i 1 -P 1
ktap_test "the disk polls" polled
ktap_test "verified I/O by polling" poll_io
ktap_here "register_always=N" reload register_always=N
ktap_here "connect" connect -i 1
ktap_test "verified I/O" fio_verify "$disk" $MIB
ktap_here "target with 16 KiB of inline data" eval 'reload && target_down && target param_inline_data_size=16384'
ktap_here "connect" connect -i 1
ktap_test "verified I/O" fio_verify "$disk" $MIB
ktap_here "reset three times under I/O, then verify" reset_under_io $MIB
ktap_here "target goes and comes back under I/O, then verify" eval 'nvme_end; connect -i 1 -c 1 && target_comes_back'
ktap_here "the controller is lost after its time" controller_is_lost
if modprobe sch_netem; then
	ktap_here "no keep-alive: the connection ends, comes back, verify" keep_alive_expires
else
	ktap_test_skip "no keep-alive: the connection ends, comes back, verify" "no module sch_netem"
fi
ktap_here "unload with a controller connected" eval 'nvme_end; unload_connected'
ktap_here "connect" connect -i 1
device_test "the initiator's device goes under I/O" link_del "$DEV1"
device_test "a new device: connect and verify" eval 'port_up 1 && connect -i 1 && fio_verify "$disk" 4'
device_test "the target's device goes under I/O" eval 'io_start && rdma link del "$DEV0" && nvme_end && io_stop'
ktap_test "no controller is left" nvme_end
ktap_here "unload" host_unload
ktap_finished
