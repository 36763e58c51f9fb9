#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Command line of the module kfi_perf. Documentation/kfi/perf.rst is the guide.

usage()
{
	cat <<-U
	Usage: kfi_perf.sh server ADDRESS [OPTION...]     until it is interrupted
	       kfi_perf.sh client ADDRESS [OPTION...]     one run, prints its result
	       kfi_perf.sh compare ADDRESS [OPTION...]    both, on this host: ratios

	ADDRESS is an IP address of an RDMA port, of this host for a server.

	  --port N          port of the server (7001; 7002 over raw verbs, 7003 over sockets)
	  --transport T     kfi (default), verbs or sock: the same loops over raw verbs
	                    or a raw TCP socket
	  --provider NAME   the only kfi provider to use
	  --src ADDRESS     the client's own address
	  --loop L          pingpong (default), rate, read, write
	  --size BYTES      of a message or transfer (64), 1048576 at most
	  --depth N         operations outstanding (1)
	  --iterations N    for each connection (10000)
	  --poll P          softirq (default), workqueue, unbound, direct
	  --verify          check the data
	  --latency         keep the time of each iteration: quantiles
	  --conns N         connections at the same time (1)
	  --cycles N        so often: connect, run, close (1)
	  --pairs N         compare: runs of each kind (5)

	compare prints a line for each loop, "perf.DEVICE.LOOP OURS THEIRS RATIO UNIT":
	medians of interleaved runs through kfi and over raw verbs, and their ratio.
	U
}

die() { echo "kfi_perf.sh: $*" >&2; exit 1; }

PERF=/sys/kernel/config/kfi_perf
case ${1:-} in
-h|--help) usage; exit 0 ;;
server|client|compare) mode=$1 ;;
*) usage >&2; exit 2 ;;
esac
addr=${2:-}
[ -n "$addr" ] || { usage >&2; exit 2; }
shift 2

# What the module is told, apart from what each mode sets itself.
declare -A set=([transport]=kfi [loop]=pingpong [size]=64 [depth]=1 [iterations]=10000 [poll]=softirq)
port='' pairs=5
while [ $# -gt 0 ]; do
	case $1 in
	--verify|--latency) set[${1#--}]=1 ;;
	--port|--pairs) printf -v "${1#--}" %s "${2:?}"; shift ;;
	--transport|--provider|--src|--loop|--size|--depth|--iterations|--poll|--conns|--cycles)
		set[${1#--}]=${2:?}; shift ;;
	-h|--help) usage; exit 0 ;;
	*) die "unknown option '$1'; see --help" ;;
	esac
	shift
done

[ -d $PERF ] || modprobe kfi_perf || die "no module kfi_perf"
[ -d $PERF ] || mount -t configfs none /sys/kernel/config 2>/dev/null
[ -d $PERF ] || die "no directory $PERF: configfs is needed"

dirs=()
cleanup()
{
	local dir

	for dir in "${dirs[@]}"; do
		[ -d "$PERF/$dir" ] || continue
		echo 0 > "$PERF/$dir/run"
		rmdir "$PERF/$dir"
	done
}
trap cleanup EXIT

endpoint() { case $addr in *:*) echo "[$addr]:$1" ;; *) echo "$addr:$1" ;; esac; }
port_of() { case $1 in kfi) echo "${port:-7001}" ;; sock) echo "${port:-7003}" ;; *) echo "${port:-7002}" ;; esac; }

# test_new NAME ROLE TRANSPORT: a test with everything that was asked for.
test_new()
{
	local name=$1 role=$2 transport=$3 key

	mkdir "$PERF/$name" || die "cannot make $PERF/$name; is another one running?"
	dirs+=("$name")
	set[transport]=$transport
	for key in "${!set[@]}"; do
		[ "$role:$key" = server:src ] && continue
		[ "$role:$key:${set[$key]}" = server:poll:direct ] && continue
		echo "${set[$key]}" > "$PERF/$name/$key" || die "the module does not take --$key ${set[$key]}"
	done
	echo "$role" > "$PERF/$name/role"
	endpoint "$(port_of "$transport")" > "$PERF/$name/addr" || die "$addr is no IP address"
}

test_end() { echo 0 > "$PERF/$1/run"; rmdir "$PERF/$1"; }
value() { sed -n "s/^$1=//p"; }

server()
{
	test_new "server$$" server "${set[transport]}"
	echo 1 > "$PERF/server$$/run" || die "cannot listen on $addr"
	trap 'exit 0' INT TERM
	echo "serving on $(endpoint "$(port_of "${set[transport]}")") over ${set[transport]}; interrupt to end"
	# Until a signal comes.
	while :; do sleep 3600 & wait $!; done
}

client()
{
	local rc=0

	test_new "client$$" client "${set[transport]}"
	echo 1 > "$PERF/client$$/run" || rc=1
	cat "$PERF/client$$/result"
	return $rc
}

# one TRANSPORT: a run; prints operations in a second.
one()
{
	test_new "client$$" client "$1"
	echo 1 > "$PERF/client$$/run" || die "the run over $1 failed: $(value error < "$PERF/client$$/result")"
	value ops_per_s < "$PERF/client$$/result"
	test_end "client$$"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# device: the name of the RDMA device that has the address.
device()
{
	local d

	for d in /sys/class/infiniband/*; do
		ip -o addr show to "$addr" 2>/dev/null | awk '{ print $2 }' |
			grep -qxF "$(cat "$d"/ports/1/gid_attrs/ndevs/0 2>/dev/null)" && echo "${d##*/}" && return
	done
	echo "$addr"
}

LOOPS="pingpong_64 pingpong 64 1 us
rate_64 rate 64 64 ops/s
read_4k read 4096 16 ops/s
write_4k write 4096 16 ops/s
write_1m write 1048576 4 ops/s
read_64k read 65536 8 ops/s"

compare()
{
	local name what size depth unit n first ours theirs dev

	dev=$(device)
	# Of one(), which is a subshell: its end does not end the test.
	dirs+=("client$$")
	test_new "skfi$$" server kfi
	test_new "sverbs$$" server verbs
	for n in skfi$$ sverbs$$; do
		echo 1 > "$PERF/$n/run" || die "cannot listen on $addr"
	done
	while read -r name what size depth unit; do
		set[loop]=$what set[size]=$size set[depth]=$depth
		# About half a second for each run.
		set[iterations]=500
		first=$(one verbs) || exit
		set[iterations]=$((first / 2 + 100))
		ours='' theirs=''
		for n in $(seq "$pairs"); do
			if [ $((n % 2)) -eq 0 ]; then
				ours+="$(one kfi)"$'\n'; theirs+="$(one verbs)"$'\n'
			else
				theirs+="$(one verbs)"$'\n'; ours+="$(one kfi)"$'\n'
			fi
		done
		awk -v name="perf.$dev.$name" -v ours="$(median <<< "${ours%$'\n'}")" \
			-v theirs="$(median <<< "${theirs%$'\n'}")" -v unit="$unit" '
			function show(ops) { return unit == "us" ? 1e6 / ops : ops }
			BEGIN { o = show(ours); t = show(theirs); printf "%s %.2f %.2f %.3f %s\n", name, o, t, o / t, unit }'
	done <<< "$LOOPS"
}

$mode
