# SPDX-License-Identifier: GPL-2.0
# For the tests that run in a guest; sourced. KTAP output in the manner of tools/testing/selftests/kselftest/ktap_helpers.sh,
# waiting for conditions, RDMA ports, an NVMe target. See Documentation/kfi/testing.rst.
# shellcheck shell=bash

KSFT_PASS=0 KSFT_FAIL=1 KSFT_SKIP=4
KFI_SCALE=${KFI_SCALE:-1}
# What every test may use: the two ends of a veth pair, with an RDMA device on each.
IP0=10.0.0.1 IP1=10.0.0.2
NQN=nqn.2026-01.org.kfi:t

# --- KTAP ----------------------------------------------------------------------------------------

ktap_number=0 ktap_failed=0
ktap_print_header() { echo "KTAP version 1"; }
ktap_set_plan() { echo "1..$1"; }
ktap_diag() { printf '%s\n' "$*" | sed 's/^/# /'; }
ktap_test_pass() { echo "ok $((++ktap_number)) $1"; }
ktap_test_skip() { echo "ok $((++ktap_number)) $1 # SKIP ${2:-}"; }
ktap_test_fail() { ktap_failed=1; echo "not ok $((++ktap_number)) $1"; }
ktap_finished() { exit $((ktap_failed ? KSFT_FAIL : KSFT_PASS)); }
ktap_skip_all() { ktap_print_header; echo "1..0 # SKIP $1"; exit $KSFT_SKIP; }

# ktap_test NAME COMMAND...: run COMMAND, show what it says only when it fails.
ktap_test()
{
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		ktap_test_pass "$name"
	else
		ktap_diag "$(tail -n 30 <<< "$said")"
		ktap_test_fail "$name"
		return 1
	fi
}

# ktap_here NAME COMMAND...: the same for a command that changes this shell's variables or background jobs.
ktap_here()
{
	local name=$1
	shift
	if "$@" > /tmp/ktap.out 2>&1; then
		ktap_test_pass "$name"
	else
		ktap_diag "$(tail -n 30 /tmp/ktap.out)"
		ktap_test_fail "$name"
		return 1
	fi
}

# --- waiting -------------------------------------------------------------------------------------

# wait_until COMMAND...: until COMMAND succeeds; fails after KFI_WAIT seconds (default 10, more on slow kernels).
wait_until()
{
	local end=$((SECONDS + ${KFI_WAIT:-10} * KFI_SCALE))

	until "$@" > /dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "waited in vain for: $*" >&2
			return 1
		fi
		sleep 0.02
	done
}

# --- modules -------------------------------------------------------------------------------------

loaded() { grep -q "^$1 " /proc/modules; }
refcount() { cat "/sys/module/$1/refcnt"; }
have_module() { modinfo -n "$1" > /dev/null 2>&1; }

# need_module NAME...: skip the whole test when the kernel or the work tree does not have one.
need_module()
{
	local m

	for m in "$@"; do
		have_module "$m" || ktap_skip_all "no module $m for $(uname -r)"
	done
}

# unloaded NAME...: unload each that is loaded; they may be in use for a moment longer.
unloaded()
{
	local m

	for m in "$@"; do
		loaded "$m" || continue
		wait_until modprobe -r "$m" || {
			grep "^$m " /proc/modules
			return 1
		}
	done
}

# said_by MODULE [PARAMETER...]: loads a module that prints its results, and shows them; returns what modprobe returns.
said_by()
{
	local rc=0

	dmesg -C
	modprobe "$@" || rc=$?
	dmesg | sed -n "s/^.*$1: //p"
	return $rc
}

# --- RDMA ports ----------------------------------------------------------------------------------

# driver_module: the module of the soft driver under test; with tcp there is none.
driver_module()
{
	case $KFI_DEVICE in
	rxe) echo rdma_rxe ;;
	siw) echo siw ;;
	tcp) echo kfi ;;
	esac
}
# kinds: what kfi_perf can do on the device under test.
kinds() { [ "$KFI_DEVICE" = tcp ] && echo kfi || echo kfi verbs; }
# provider_up: what carries connections over the device under test. With tcp kfi has to find out that no device does.
provider_up() { if [ "$KFI_DEVICE" = tcp ]; then modprobe kfi; else modprobe kfi_verbs; fi; }
DEV0=${KFI_DEVICE:-none}0 DEV1=${KFI_DEVICE:-none}1

# veth_up: two ends in one network namespace between which packets really travel; see "send-to-self" in testing.rst.
veth_up()
{
	ip link add v0 type veth peer name v1 || return
	for i in all v0 v1; do
		echo 0 > /proc/sys/net/ipv4/conf/$i/rp_filter
		echo 1 > /proc/sys/net/ipv4/conf/$i/accept_local
		echo 1 > /proc/sys/net/ipv4/conf/$i/arp_ignore
		echo 2 > /proc/sys/net/ipv4/conf/$i/arp_announce
	done
	ip addr add $IP0/24 dev v0
	ip addr add $IP1/24 dev v1
	ip link set v0 up
	ip link set v1 up
	ip rule add pref 1 iif v0 lookup local
	ip rule add pref 2 iif v1 lookup local
	ip rule add pref 10 from $IP0 to $IP1 lookup 101
	ip rule add pref 11 from $IP1 to $IP0 lookup 102
	ip rule add pref 1000 lookup local
	ip rule del pref 0
	ip route add $IP1/32 dev v0 src $IP0 table 101
	ip route add $IP0/32 dev v1 src $IP1 table 102
}

veth_down()
{
	ip link show dev v0 > /dev/null 2>&1 || return 0
	ip rule add pref 0 lookup local
	for pref in 1 2 10 11 1000; do ip rule del pref $pref; done
	ip link del v0
}

link_down() { ip link set v0 down; }
# link_up: the routes have gone with the link
link_up()
{
	ip link set v0 up && ip route replace $IP1/32 dev v0 src $IP0 table 101 &&
		ip route replace $IP0/32 dev v1 src $IP1 table 102
}

port_active() { grep -q ACTIVE "/sys/class/infiniband/$1/ports/1/state"; }

port_up() # NUMBER
{
	rdma link add "$KFI_DEVICE$1" type "$KFI_DEVICE" netdev "v$1" && wait_until port_active "$KFI_DEVICE$1"
}

# ports_up: RDMA devices of the kind under test on both ends; with tcp the ends alone.
ports_up()
{
	modprobe "$(driver_module)" && veth_up || return
	[ "$KFI_DEVICE" = tcp ] || { port_up 0 && port_up 1; }
}

ports_down()
{
	local d

	for d in /sys/class/infiniband/*; do
		[ -e "$d" ] && rdma link del "${d##*/}"
	done
	veth_down
}

# crossed BYTES MIB: most of MIB has arrived at v1 since rx_bytes was BYTES.
rx_bytes() { cat /sys/class/net/v1/statistics/rx_bytes; }
crossed() { [ $(($(rx_bytes) - $1)) -gt $(($2 * 900000)) ]; }

# --- ported drivers --------------------------------------------------------------------------------

# series_last SERIES: number of the last step of patches/SERIES; nothing when there is no such series.
series_last() { grep -cE '^[^#[:space:]]' "$KFI_SELFTESTS/../patches/$1/series" 2>/dev/null; }
# series_insmod SERIES MODULE STEP [PARAMETER...]: the module of a step; scripts/series says where it is. Loads what insmod does
# not: all steps but the last need rdma_cm; over TCP only the last one runs.
series_insmod()
{
	local ko=$KFI_OUT/series/$1/$3/$2.ko
	shift 3

	{ [ "$KFI_DEVICE" = tcp ] || modprobe rdma_cm; } && provider_up && insmod "$ko" "$@"
}
# driver_load SIDE WHICH: the kernel's own driver when WHICH is stock, or else the last step of its port. SIDE is host or target for NVMe, and the
# prefix of the functions of iscsi.sh and srp.sh: iser, isert, srp, srp_target.
driver_load() { if [ "$2" = stock ]; then "$1_stock"; else "$1_ported" "$("$1_last")"; fi; }
# removed MODULE: it may be in use for a moment longer.
removed() { ! loaded "$1" || wait_until rmmod "$1"; }

# verified_on_the_wire MIB: two tests: verified I/O on so much of $disk, and that the data were not short-cut.
verified_on_the_wire()
{
	local before
	before=$(rx_bytes)
	ktap_test "$1 MiB written, read, verified by CRC32C" fio_verify "$disk" "$1"
	ktap_test "the data crossed the veth pair" crossed "$before" "$1"
}

# --- NVMe over fabrics ---------------------------------------------------------------------------

# target_up TRANSPORT DEVICE [ATTRIBUTE=VALUE...]: a target, listening on IP0, with DEVICE as its only namespace; the
# attributes are those of the port, param_inline_data_size=16384. It is the kernel's own unless the transport is loaded.
target_up()
{
	local t=/sys/kernel/config/nvmet transport=$1 device=$2
	shift 2

	modprobe "nvmet-$transport" || return
	mkdir -p $t/subsystems/$NQN/namespaces/1 || return
	echo 1 > $t/subsystems/$NQN/attr_allow_any_host
	echo "$device" > $t/subsystems/$NQN/namespaces/1/device_path || return
	echo 1 > $t/subsystems/$NQN/namespaces/1/enable || return
	target_port "$transport" "$@"
}

# target_port TRANSPORT [ATTRIBUTE=VALUE...]: only its port.
target_port()
{
	local t=/sys/kernel/config/nvmet a

	mkdir -p $t/ports/1 || return
	for a in addr_trtype="$1" addr_adrfam=ipv4 addr_traddr=$IP0 addr_trsvcid=4420 "${@:2}"; do
		echo "${a#*=}" > "$t/ports/1/${a%%=*}" || return
	done
	target_visible
}

# The way in for initiators, and its end.
target_visible() { ln -s /sys/kernel/config/nvmet/subsystems/$NQN /sys/kernel/config/nvmet/ports/1/subsystems/$NQN; }
target_hidden() { rm -f /sys/kernel/config/nvmet/ports/1/subsystems/$NQN; }

target_down()
{
	local t=/sys/kernel/config/nvmet

	[ -d $t/subsystems/$NQN ] || return 0
	target_hidden
	rmdir $t/ports/1
	echo 0 > $t/subsystems/$NQN/namespaces/1/enable
	rmdir $t/subsystems/$NQN/namespaces/1 $t/subsystems/$NQN
}

nvme_disk()
{
	local d

	for d in /sys/class/nvme-subsystem/*/nvme*n1 /sys/class/nvme/nvme*/nvme*n1; do
		[ -b "/dev/${d##*/}" ] && [ "$(cat "/sys/block/${d##*/}/size")" -gt 0 ] && echo "/dev/${d##*/}" && return
	done
	return 1
}

# nvme_connect [ARGUMENT...]: from IP1 to the target at IP0, by the transport NVME_TRTYPE (rdma); prints the disk.
nvme_connect()
{
	nvme connect -t "${NVME_TRTYPE:-rdma}" -a $IP0 -w $IP1 -s 4420 -n $NQN \
		--hostnqn nqn.2014-08.org.nvmexpress:uuid:6c1f4c2e-0c2b-4d0e-8f3a-6f1f6b0f3c11 \
		--hostid 6c1f4c2e-0c2b-4d0e-8f3a-6f1f6b0f3c11 "$@" > /tmp/nvme.out 2>&1 || { cat /tmp/nvme.out >&2; return 1; }
	wait_until nvme_disk && nvme_disk
}

nvme_disconnect() { nvme disconnect -n $NQN > /dev/null 2>&1; }
nvme_gone() { ! ls -d /sys/class/nvme/nvme* > /dev/null 2>&1; }
# nvme_end: disconnect, and wait until the controllers are gone.
nvme_end() { nvme_disconnect; wait_until nvme_gone; }
nvme_state() { grep -q "$1" /sys/class/nvme/nvme*/state; }
nvme_discovered()
{
	nvme discover -t rdma -a $IP0 -w $IP1 -s 4420 > /tmp/discover.out 2>&1
	grep -q "subnqn: *$NQN" /tmp/discover.out || { cat /tmp/discover.out; return 1; }
}


# The initiator: the kernel's own, or that of a step of patches/nvme-host.
host_stock() { modprobe nvme-rdma "$@"; }
host_ported() { modprobe nvme-fabrics && series_insmod nvme-host nvme-rdma "$@"; } # STEP [PARAMETER...]
host_last() { series_last nvme-host; }
host_unload() { removed nvme_rdma; }

# The target's transport, before target_up: the kernel's own, or that of a step of patches/nvmet.
target_stock() { modprobe nvmet-rdma "$@"; }
target_ported() { modprobe nvmet && series_insmod nvmet nvmet-rdma "$@"; } # STEP [PARAMETER...]
target_last() { series_last nvmet; }
target_unload() { removed nvmet_rdma; }
target_gone() { target_down && target_unload; }

# nvme_load ULP HOST TARGET: a target on /dev/nullb0 and an initiator, not connected. ULP: nvme-rdma or nvme-tcp; HOST and
# TARGET: stock, or kfi for the last step of the port.
nvme_load()
{
	local ulp=$1 host=$2 target=$3

	case $ulp in
	nvme-rdma) driver_load target "$target" ;;
	*) modprobe "nvmet-${ulp#nvme-}" ;;
	esac && target_up "${ulp#nvme-}" /dev/nullb0 || return
	case $ulp in
	nvme-rdma) driver_load host "$host" ;;
	*) modprobe "$ulp" ;;
	esac
}

# nvme_unload: disconnect, and undo nvme_load.
nvme_unload()
{
	local module

	nvme_end && host_unload && target_gone || return
	for module in nvme_tcp nvmet_tcp; do
		removed $module || return
	done
}

# device_test NAME COMMAND...: a test that takes a device away
device_test()
{
	if [ "$KFI_DEVICE" = tcp ]; then ktap_test_skip "$1" "there is no device that could go"; else ktap_here "$@"; fi
}
# fallen_back: when the device under test is tcp there is no RDMA device, and kfi has taken TCP on both sides
fallen_back()
{
	[ "$KFI_DEVICE" = tcp ] || return 0
	! ls -d /sys/class/infiniband/* 2> /dev/null || return
	grep -q '^tcp .*resolutions=[1-9].* listeners=[1-9]' /sys/kernel/debug/kfi/providers ||
		{ cat /sys/kernel/debug/kfi/providers >&2; return 1; }
}

# null_disk BYTES_IN_MIB: a disk in memory that keeps what is written, for verification; 0: one that keeps nothing.
null_disk()
{
	local c=/sys/kernel/config/nullb/nullb0

	modprobe null_blk nr_devices=0 || return
	mkdir $c || return
	if [ "$1" -gt 0 ]; then
		echo 1 > $c/memory_backed
		echo "$1" > $c/size
	else
		echo 4096 > $c/size
	fi
	echo 512 > $c/blocksize
	echo 1 > $c/power
	wait_until test -b /dev/nullb0
}

null_disk_gone()
{
	local c=/sys/kernel/config/nullb/nullb0

	[ ! -d $c ] || rmdir $c
}

# fio_verify DISK MIB: write all of it in mixed sizes, read it back, compare CRC32C of each block.
fio_verify()
{
	fio --name=verify --filename="$1" --direct=1 --ioengine=io_uring --iodepth=16 --rw=randwrite \
		--bsrange=4k-128k --bs_unaligned=0 --size="$2M" --verify=crc32c --do_verify=1 --verify_fatal=1 \
		--group_reporting --minimal > /tmp/fio.out 2>&1 || { tail -n 20 /tmp/fio.out >&2; return 1; }
}

# fio_iops DISK RW BLOCKSIZE DEPTH SECONDS: operations per second; fails on any I/O error.
fio_iops()
{
	fio --name=iops --filename="$1" --direct=1 --ioengine=io_uring --rw="$2" --bs="$3" --iodepth="$4" \
		--iodepth_batch_submit=16 --iodepth_batch_complete_min=1 --iodepth_batch_complete_max=16 \
		--time_based --runtime="$5" --size=100% --norandommap --randrepeat=1 --minimal > /tmp/fio.out 2>/tmp/fio.err ||
		{ cat /tmp/fio.err /tmp/fio.out >&2; return 1; }
	# Terse format 3: field 8 is read IOPS, field 49 write IOPS.
	awk -F';' '/^3;/ { print int($8 + $49) }' /tmp/fio.out
}

# scattered OFFSET [LEAST [MOST]]: 2 MiB of $disk in one call, from 512 pieces of memory that lie apart, OFFSET into a page;
# written, read and compared. It takes at least and at most so many commands each way.
scattered()
{
	python3 - "$disk" "$1" "${2:-1}" "${3:-1048576}" <<-'P'
	import mmap, os, sys

	def pieces(mem):
	    start = int(sys.argv[2])
	    view = memoryview(mem)
	    return [view[i:i + 4096] for i in range(start, start + 512 * 8192, 8192)]

	def done():
	    with open(f"/sys/block/{os.path.basename(sys.argv[1])}/stat") as stat:
	        numbers = [int(n) for n in stat.read().split()]
	        return numbers[0], numbers[2], numbers[4], numbers[6]

	out, back = (mmap.mmap(-1, 513 * 8192) for _ in range(2))
	for piece in pieces(out):
	    piece[:] = os.urandom(4096)
	fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
	before = done()
	assert os.pwritev(fd, pieces(out), 0) == 2 << 20
	assert os.preadv(fd, pieces(back), 0) == 2 << 20
	reads, read, writes, written = (b - a for a, b in zip(before, done()))
	print(f"{reads} reads, {writes} writes")
	assert all(a == b for a, b in zip(pieces(out), pieces(back))), "data differ"
	os.close(fd)
	least, most = map(int, sys.argv[3:])
	assert read == written == 4096 and least <= min(reads, writes) and max(reads, writes) <= most, "in other commands"
	P
}

# io_start: background I/O on $disk, running when this returns, until io_stop. Its errors are what the test is about, so they do
# not matter. It is one process, and its kind of I/O lets no process go before the kernel has completed all of its commands: io_stop
# kills it, and succeeds when nothing was lost. What fio does about a disk that is gone has no part in that.
io_served() { awk '{ print $1 + $5 }' /sys/block/nullb0/stat; }
io_more_served() { [ "$(io_served)" -gt "$1" ]; }
io_start()
{
	local before
	before=$(io_served)
	fio --name=bg --filename="$disk" --thread --direct=1 --ioengine=libaio --iodepth=32 --rw=randrw --bsrange=4k-128k \
		--time_based --runtime=600 --size=100% --norandommap --continue_on_error=all --minimal > /tmp/bg.out 2>&1 &
	io=$!
	wait_until io_more_served $((before + 100))
}
io_ended() { ! kill -0 "$io" 2>/dev/null; }
io_stop()
{
	kill -KILL "$io" 2>/dev/null
	KFI_WAIT=30 wait_until io_ended || { cat "/proc/$io/task"/*/{comm,stack}; return 1; }
}

# reset_under_io MIB: reset the only controller three times under I/O, then verify so much of $disk.
reset_under_io()
{
	io_start || return
	for _ in 1 2 3; do
		echo 1 > "$(echo /sys/class/nvme/nvme*/reset_controller)" || return
	done
	io_stop && fio_verify "$disk" "$1"
}

# --- kfi_perf ------------------------------------------------------------------------------------

PERF=/sys/kernel/config/kfi_perf

# perf_set DIR KEY=VALUE...: parameters of one test; Documentation/kfi/perf.rst lists them.
perf_set()
{
	local dir=$1 word
	shift

	for word in "$@"; do
		echo "${word#*=}" > "$PERF/$dir/${word%%=*}" || { echo "cannot set $word" >&2; return 1; }
	done
}
# A KIND is a transport, or tcp: kfi over the TCP provider. Each has a port of its own.
perf_kind() { if [ "$1" = tcp ]; then echo transport=kfi provider=tcp; else echo "transport=$1"; fi; }
perf_port() { case $1 in kfi) echo 7001 ;; verbs) echo 7002 ;; sock) echo 7003 ;; tcp) echo 7004 ;; esac; }
# perf_serve KIND [KEY=VALUE...]: a server at IP0 until perf_end.
perf_serve()
{
	local kind=$1
	shift

	# shellcheck disable=SC2046 # words
	mkdir -p "$PERF/server-$kind" &&
		perf_set "server-$kind" $(perf_kind "$kind") role=server addr="$IP0:$(perf_port "$kind")" "$@" run=1
}
# perf_new NAME KIND [KEY=VALUE...]: a client at IP1; perf_set NAME run=1 runs it to its end.
perf_new()
{
	local name=$1 kind=$2
	shift 2

	# shellcheck disable=SC2046 # words
	mkdir -p "$PERF/$name" &&
		perf_set "$name" $(perf_kind "$kind") role=client addr="$IP0:$(perf_port "$kind")" src="$IP1" "$@"
}
# perf_run KIND KEY=VALUE...: one run of a client; leaves its result in /tmp/perf.result
perf_run()
{
	local rc=0

	rm -f /tmp/perf.result
	perf_new client "$@" && perf_set client run=1 || rc=1
	cat $PERF/client/result > /tmp/perf.result 2>/dev/null
	rmdir $PERF/client || rc=1
	[ $rc -eq 0 ] || cat /tmp/perf.result >&2
	return $rc
}
# lends BYTES COMMAND...: so many are sent over TCP without copying them while COMMAND runs.
lent_bytes() { sed -n 's/^lent_bytes //p' /sys/kernel/debug/kfi/tcp; }
lends()
{
	local before wanted=$1 lent
	before=$(lent_bytes)
	shift
	"$@" || return
	lent=$(($(lent_bytes) - before))
	[ "$lent" = "$wanted" ] || { echo "$lent bytes are lent, not $wanted: $*"; return 1; }
}
# peers_hold: connections of tcp_peer.py to the kfi server, on which nothing happens. peers_let_go ends them.
peers_hold()
{
	mkfifo /tmp/hold || return
	python3 "$KFI_SELFTESTS/tcp_peer.py" $IP0 "$(perf_port kfi)" $IP1 hold < /tmp/hold > /tmp/hold.out &
	held=$!
	exec 8> /tmp/hold
	wait_until grep -q held /tmp/hold.out
}
peers_let_go() { exec 8>&-; wait "$held"; rm /tmp/hold; }
# perf_sound: the data of the run are right, all of its operations completed, once.
perf_sound()
{
	[ "$(perf_value error)" = 0 ] && [ "$(perf_value crc_ok)" != 0 ] && [ "$(perf_value mismatches)" = 0 ] &&
		[ "$(perf_value errors)" = 0 ] && [ "$(perf_value posted)" = "$(perf_value completed)" ] ||
		{ cat /tmp/perf.result >&2; return 1; }
}
perf_value() { sed -n "s/^$1=//p" "${2:-/tmp/perf.result}"; }
# perf_stop NAME: ends a server
perf_stop() { echo 0 > "$PERF/$1/run"; rmdir "$PERF/$1"; }
# perf_end: servers and clients that are left.
perf_end()
{
	local dir rc=0

	for dir in $PERF/*/; do
		[ -d "$dir" ] || continue
		perf_stop "$(basename "$dir")" || rc=1
	done
	return $rc
}

# --- benchmarks ----------------------------------------------------------------------------------

# Pairs of runs, and how long each of them takes, in milliseconds.
BENCH_PAIRS=${KFI_PAIRS:-5} BENCH_MS=700
# name, loop, size, depth
BENCH_LOOPS="pingpong_64 pingpong 64 1
rate_64 rate 64 64
read_4k read 4096 16
write_4k write 4096 16
write_1m write 1048576 4
read_64k read 65536 8"

bench_median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : 0 }'; }
# bench_rate KIND KEY=VALUE...: operations per second of one run
bench_rate() { perf_run "$@" && perf_value ops_per_s; }
# bench_turn NUMBER COMMAND...: each of the commands once, every other time from the last one on, so that a drift of the machine
# hits all alike.
bench_turn()
{
	local number=$1 order command
	shift

	order=("$@")
	[ $((number % 2)) -eq 0 ] || mapfile -t order < <(printf '%s\n' "$@" | tac)
	for command in "${order[@]}"; do
		# shellcheck disable=SC2086 # words
		$command || return
	done
}
# bench_pairs NAME OURS THEIRS KEY=VALUE...: runs of two kinds in turn; what they reach goes to /tmp/NAME.ours and .theirs.
bench_pairs()
{
	local name=$1 ours=$2 theirs=$3 n first run
	shift 3

	rm -f "/tmp/$name.ours" "/tmp/$name.theirs"
	first=$(bench_rate "$theirs" "$@" iterations=200) || return
	run=("$@" iterations=$((first * BENCH_MS / 1000 + 10)))
	ours() { bench_rate "$ours" "${run[@]}" >> "/tmp/$name.ours"; }
	theirs() { bench_rate "$theirs" "${run[@]}" >> "/tmp/$name.theirs"; }
	for n in $(seq "$BENCH_PAIRS"); do
		bench_turn "$n" ours theirs || return
	done
}
# bench_line PREFIX NAME [UNIT [OURS [THEIRS]]]: the medians of /tmp/NAME.OURS and .THEIRS and their ratio. A latency that was
# measured as a rate is shown as the time of one operation: less is better.
bench_line()
{
	awk -v n="$1.$2" -v u="${3:-ops/s}" -v o="$(bench_median "/tmp/$2.${4:-ours}")" \
		-v t="$(bench_median "/tmp/$2.${5:-theirs}")" 'BEGIN {
			if (n ~ /\.(pingpong|latency)_/ && u ~ /^(ops\/s|IOPS)$/ && o && t)
				printf "#| %s %.3f %.3f %.3f us\n", n, 1e6 / o, 1e6 / t, t / o
			else
				printf "#| %s %s %s %.3f %s\n", n, o, t, t ? o / t : 0, u
		}'
}
# bench_all PREFIX OURS THEIRS: all loops, a test each
bench_all()
{
	local name what size depth

	while read -r name what size depth; do
		ktap_here "$1: $name" bench_pairs "$name" "$2" "$3" loop="$what" size="$size" depth="$depth"
		bench_line "$1" "$name"
	done <<< "$BENCH_LOOPS"
}

# --- the end of a test ---------------------------------------------------------------------------

# What a test must leave as it was: it decides how the packets of the tests behind it travel.
net_state() { ip -o addr show dev lo | awk '{ print $3, $4 }'; ip rule; ip -6 rule; }

# cleanup_all: whatever a test has left; prints what could not be undone, and fails then. Run by harness/init.
cleanup_all()
{
	local rc=0

	nvme disconnect-all > /dev/null 2>&1
	wait_until nvme_gone || rc=1
	perf_end || { echo "kfi_perf does not end"; rc=1; }
	target_down || rc=1
	# shellcheck source=selftests/srp.sh
	. "$KFI_SELFTESTS/srp.sh"
	srp_cleanup || rc=1
	# shellcheck source=selftests/iscsi.sh
	. "$KFI_SELFTESTS/iscsi.sh"
	iscsi_cleanup || rc=1
	ports_down || rc=1
	ip addr flush dev lo scope global
	null_disk_gone || rc=1
	net_state | diff /tmp/net_state - || { echo "addresses or rules are not what they were"; rc=1; }
	for m in kfi_test kfi_perf kfi_sample nvme_rdma nvme_tcp nvmet_rdma nvmet_tcp nvme_fabrics nvmet null_blk rdma_rxe siw \
		kfi_verbs kfi; do
		unloaded $m || { echo "module $m does not unload"; rc=1; }
	done
	return $rc
}
