#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Verified I/O through both ported NVMe drivers while the fabric breaks again and again, at random: the controller is reset, the
# link goes down, packets are lost, the target disappears, its port or its device is taken away, or the initiator's device. In
# each round one half of the disk is written and verified across the fault; the other half, written once, is read at its end.
# kfi-test: kernels=none limit=240 long=2800 devices=all
. "$(dirname "$0")/lib.sh"

need_module nvme-fabrics nvmet null_blk kfi_verbs "$(driver_module)"
[ -n "$KFI_LONG" ] && time=2400 || time=60
time=${1:-$time}
MIB=$((KFI_SCALE > 1 ? 8 : 32))
export KFI_WAIT=60
seed=${2:-$RANDOM}
RANDOM=$seed

faults=(reset wire_cut hidden port_removed)
[ "$KFI_DEVICE" = tcp ] || faults+=(target_unplugged initiator_unplugged)
# rxe does not recover when its connection manager sends while the network device is down, as a disconnect does: the QP that all
# connections share stays in the error state, and answers nobody. Over rxe wire_cut is what is left of a flap.
[ "$KFI_DEVICE" = rxe ] || faults+=(link_flap)

setup()
{
	ports_up && null_disk $((2 * MIB)) && modprobe sch_netem &&
		target_ported "$(target_last)" && target_up rdma /dev/nullb0 && host_ported "$(host_last)"
}
connect() { disk=$(nvme_connect -i 2 -c 1 -l 3600 -k $((2 * KFI_SCALE))) && fallen_back; }

# half WHICH ARGUMENT...: the work of fio on one half of the disk
half()
{
	local which=$1
	shift
	fio --name="half$which" --filename="$disk" --direct=1 --ioengine=io_uring --iodepth=16 --offset="$((which * MIB))M" \
		--size="${MIB}M" --verify=crc32c --verify_fatal=1 --verify_state_save=0 --minimal "$@" > "/tmp/half$which.out" 2>&1
}
keep_written() { half 0 --rw=write --bs=16k --do_verify=0; }
keep_intact() { half 0 --rw=write --bs=16k --verify_only=1 || { tail -n 5 /tmp/half0.out; return 1; }; }
live() { nvme_state live; }
a_while() { sleep "$((RANDOM % 2)).$((RANDOM % 10))"; }

reset() { echo 1 > "$(echo /sys/class/nvme/nvme*/reset_controller)"; }
link_flap() { link_down && a_while && link_up; }
wire_cut()
{
	tc qdisc add dev v0 root netem loss $((30 + RANDOM % 71))% || return
	a_while
	tc qdisc del dev v0 root
}
hidden() { target_hidden; a_while; target_visible; }
port_gone() { target_hidden && rmdir /sys/kernel/config/nvmet/ports/1; }
port_removed() { port_gone && a_while && target_port rdma; }
target_unplugged() { rdma link del "$DEV0" && port_gone && port_up 0 && target_port rdma; }
initiator_unplugged() { rdma link del "$DEV1" && wait_until nvme_gone && port_up 1; }

# one_round FAULT: nothing is lost, nothing is wrong. When the initiator's own device goes, so does the disk; reads of a disk that
# is gone end at once as at its end, which fio takes for data, so there it only writes.
one_round()
{
	local fault=$1 start rc=0 io how=(--do_verify=1)

	start=$(io_served)
	[ "$fault" != initiator_unplugged ] || how=(--do_verify=0 --time_based --runtime=600)
	half 1 --rw=randwrite --bsrange=4k-128k --bs_unaligned=0 "${how[@]}" &
	io=$!
	wait_until io_more_served $((start + RANDOM % 100)) || return
	"$fault" || return
	if [ "$fault" = initiator_unplugged ]; then
		wait $io && { echo "I/O went on without a device"; return 1; }
		connect || return
	else
		wait $io || rc=1
		[ $rc -eq 0 ] || { tail -n 5 /tmp/half1.out; return 1; }
		wait_until live || return
	fi
	keep_intact
}
rounds() # of one fault after the other, chosen at random
{
	local fault end=$((SECONDS + time)) n=0

	while [ $SECONDS -lt $end ]; do
		fault=${faults[RANDOM % ${#faults[@]}]}
		echo "$fault" >> /tmp/soak.done
		one_round "$fault" || { echo "round $n, $fault (seed $seed)"; return 1; }
		n=$((n + 1))
	done
}
stop() { nvme_end && host_unload && target_gone; }

ktap_print_header
ktap_set_plan 4
ktap_here "both ported drivers over $KFI_DEVICE" setup
ktap_here "connect, write" eval 'connect && keep_written'
rm -f /tmp/soak.done
ktap_here "$time s of faults under verified I/O" rounds
ktap_diag "seed $seed; $(sort /tmp/soak.done | uniq -c | awk '{ printf "%s%d x %s", (NR > 1 ? ", " : ""), $1, $2 }')"
ktap_here "unload" stop
ktap_finished
