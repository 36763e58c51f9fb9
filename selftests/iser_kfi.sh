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

bytes() { cat /sys/class/net/v1/statistics/rx_bytes; }
crossed() { [ $(($(bytes) - $1)) -gt $((MIB * 900000)) ]; }
login() { disk=$(iscsi_login "$@") && fallen_back; }
target()
{
	if [ "$PEER" = ported ]; then isert_ported "$(isert_last)"; else isert_stock; fi && iscsi_target_up /dev/nullb0
}
setup() { iser_ported "$STEP" && ports_up && iscsi_route && null_disk $MIB && target && iscsid_up; }
reload() { iscsi_end && iser_unload && iser_ported "$STEP" "$@"; }
no_verbs() { ! grep -E '^(ib_core|rdma_cm|kfi_verbs) ' /proc/modules | grep ib_iser; }
parameter() { [ "$(cat "/sys/module/ib_iser/parameters/$1")" = "$2" ]; }

# agreed ImmediateData InitialR2T FirstBurstLength: with the target allowing all of it; Y or N, Y or N, bytes
agreed()
{
	local immediate=No r2t=No

	[ "$1" = N ] || immediate=Yes
	[ "$2" = N ] || r2t=Yes
	iscsi_end
	login "session.iscsi.ImmediateData=$immediate" "session.iscsi.InitialR2T=$r2t" \
		"session.iscsi.FirstBurstLength=$3" || return
	[ "$(iscsi_session immediate_data) $(iscsi_session initial_r2t)" = \
		"$([ "$1" = N ] && echo 0 || echo 1) $([ "$2" = N ] && echo 0 || echo 1)" ] || {
		echo "immediate_data $(iscsi_session immediate_data), initial_r2t $(iscsi_session initial_r2t)"
		return 1
	}
	fio_verify "$disk" $MIB
}
# One command of 512 KiB after the other, from pages that lie apart: as many regions as fit.
large()
{
	python3 - "$disk" <<-'P'
	import mmap, os, sys

	def pages(mem):
	    view = memoryview(mem)
	    return [view[i:i + 4096] for i in range(0, len(mem), 8192)]

	def done():
	    with open(f"/sys/block/{os.path.basename(sys.argv[1])}/stat") as stat:
	        numbers = [int(n) for n in stat.read().split()]
	        return numbers[0], numbers[2], numbers[4], numbers[6]

	out, back = (mmap.mmap(-1, 512 * 8192) for _ in range(2))
	for page in pages(out):
	    page[:] = os.urandom(4096)
	fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
	before = done()
	assert os.pwritev(fd, pages(out), 0) == 2 << 20
	assert os.preadv(fd, pages(back), 0) == 2 << 20
	reads, read, writes, written = (b - a for a, b in zip(before, done()))
	print(f"{reads} reads, {writes} writes")
	assert all(a == b for a, b in zip(pages(out), pages(back))), "data differ"
	os.close(fd)
	assert read == written == 4096 and reads < 64 and writes < 64, "not in large commands"
	P
}
reset_lun()
{
	io_start || return
	for _ in 1 2 3; do
		sg_reset --device "$disk" || return
	done
	io_stop && fio_verify "$disk" $MIB
}
logout_under_io() { io_start && iscsi_end && io_stop; }
# The session comes back by itself, and the commands that were under way with it.
back() { KFI_WAIT=60 wait_until iscsi_state LOGGED_IN && KFI_WAIT=60 wait_until iscsi_disk; }
failed() { ! iscsi_state LOGGED_IN; }
target_comes_back()
{
	io_start || return
	iscsi_target_enable 0
	KFI_WAIT=30 wait_until failed || return
	iscsi_target_iser 0 && iscsi_target_iser 1 && iscsi_target_enable 1 && back || return
	io_stop
	fio_verify "$disk" $MIB
}
nobody_listens() { iscsi_target_iser 0 && ! iscsi_node --login && iscsi_gone && iscsi_target_iser 1; }
busy() { ! rmmod ib_iser && iscsi_state LOGGED_IN; }
device_comes_back()
{
	io_start || return
	rdma link del "$1" || return
	KFI_WAIT=30 wait_until failed || return
	port_up "${1: -1}" || return
	# A target does not listen again by itself.
	[ "$1" != "$TARGET_DEVICE" ] || { iscsi_target_iser 0 && iscsi_target_iser 1; } || return
	back && io_stop && fio_verify "$disk" $MIB
}
logout_without_device()
{
	io_start || return
	rdma link del "$INITIATOR_DEVICE" || return
	KFI_WAIT=30 wait_until failed || return
	iscsi_end && io_stop && port_up 1
}

ktap_print_header
ktap_set_plan 24
ktap_here "step $STEP and a target on $KFI_DEVICE" setup
ktap_test "discovery" iscsi_discovered
if [ "$STEP" = "$(iser_last)" ]; then
	ktap_test "needs neither the RDMA core nor the verbs provider" no_verbs
else
	ktap_test_skip "needs neither the RDMA core nor the verbs provider" "only the last step"
fi
ktap_here "login" login
before=$(bytes)
ktap_test "$MIB MiB written, read, verified by CRC32C" fio_verify "$disk" $MIB
ktap_test "the data crossed the veth pair" crossed "$before"
ktap_test "random reads" fio_iops "$disk" randread 4k 32 1
ktap_test "512 segments in one call" large
iscsi_end > /dev/null
iscsi_target_set InitialR2T=No ImmediateData=Yes FirstBurstLength=65536
ktap_here "immediate data only, verify" agreed Y Y 65536
ktap_here "unsolicited data of 64 KiB, verify" agreed Y N 65536
ktap_here "a first burst of 4 KiB, verify" agreed Y N 4096
ktap_here "unsolicited data, none of it immediate, verify" agreed N N 16384
ktap_here "neither, verify" agreed N Y 65536
# A deep queue of unsolicited data is more than a target of LIO has receives for, and connections break down: stock ones, too.
iscsi_end > /dev/null
iscsi_target_set InitialR2T=Yes
ktap_here "always_register=N: login, verify" eval 'reload always_register=N && parameter always_register N && login && fio_verify "$disk" $MIB'
ktap_here "max_sectors=256: login, verify" eval 'reload max_sectors=256 && login && fio_verify "$disk" $MIB'
ktap_here "reset the LUN three times under I/O, then verify" eval 'reload && login && reset_lun'
ktap_here "log out under I/O" logout_under_io
ktap_here "target goes and comes back under I/O, then verify" eval 'login && target_comes_back'
ktap_test "the module is in use" busy
ktap_here "nobody listens: login fails" eval 'iscsi_end; nobody_listens'
device_test "the initiator's device goes under I/O and comes back, then verify" eval 'login && device_comes_back $INITIATOR_DEVICE'
device_test "log out without the device" eval 'logout_without_device'
device_test "the target's device goes under I/O and comes back, then verify" eval 'login && device_comes_back $TARGET_DEVICE'
ktap_here "log out and unload" eval 'iscsi_end && iser_unload'
ktap_finished
