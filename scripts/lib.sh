# SPDX-License-Identifier: GPL-2.0
# Shared by the scripts of this folder and by the test harness; sourced, not run.
# shellcheck shell=bash

set -euo pipefail

KFI_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# Everything that is slow to make lives here, outside the work tree.
if [ -n "${KFI_INSIDE:-}" ]; then
	KFI_CACHE=/cache
	KFI_ROOT=
else
	KFI_CACHE=${KFI_CACHE:-/var/cache/kfi}
	KFI_ROOT=$KFI_CACHE/root		# Debian 13: toolchain and guest root
fi
KFI_SUITE=${KFI_SUITE:-trixie}
KFI_MIRROR=${KFI_MIRROR:-http://deb.debian.org/debian}
KFI_SECURITY=${KFI_SECURITY:-http://security.debian.org/debian-security}
KFI_JOBS=${KFI_JOBS:-$(nproc)}
# The work tree and the cache appear under these names inside the root.
KFI_IN_TOP=/kfi
KFI_IN_CACHE=/cache
export KFI_TOP KFI_CACHE KFI_ROOT

say()	{ printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die()	{ printf 'kfi: %s\n' "$*" >&2; exit 1; }

# need_root: everything below needs mount(2) and chroot(2).
need_root()
{
	[ "$(id -u)" -eq 0 ] ||
		die "this needs root (packages, chroot, mounts); run it again as root or with sudo."
}

# need_space GIB: refuse before anything is built, not in the middle of it.
need_space()
{
	local dir=$KFI_CACHE free

	while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
	free=$(df --output=avail -BG "$dir" | tail -n 1 | tr -dc 0-9)
	[ "$free" -ge "$1" ] ||
		die "$dir has $free GiB free and $1 GiB are needed; free some space or set KFI_CACHE to a folder on a larger disk."
}

# stamp_ok NAME KEY: the step NAME was finished for exactly these inputs.
stamp_ok() { [ "$(cat "$KFI_CACHE/stamps/$1" 2>/dev/null)" = "$2" ]; }
stamp_set() { mkdir -p "$KFI_CACHE/stamps"; printf '%s\n' "$2" > "$KFI_CACHE/stamps/$1"; }

# progress LOG: its last line that tells how far a step is: what make or apt does, not a compiler's warning.
progress()
{
	tail -n 400 "$1" | tr -d '\r' |
		grep -E '^(  [A-Z]+( L| P| \[M\])? |Get:|Setting up |Unpacking |Preparing |I: |make)' | tail -n 1 | cut -c1-90
}

# step NAME KEY TEXT COMMAND...: run COMMAND once for each KEY, show how long it took, keep its log.
step()
{
	local name=$1 key=$2 text=$3 log start rc=0 pid hint=
	shift 3

	stamp_ok "$name" "$key" && return 0
	log=$KFI_CACHE/logs/$name.log
	mkdir -p "$KFI_CACHE/logs"
	say "$text ..."
	start=$SECONDS
	rm -f "$KFI_CACHE/stamps/$name"
	( "$@" ) > "$log" 2>&1 </dev/null 8>&- &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		for _ in $(seq 30); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 1
		done
		kill -0 "$pid" 2>/dev/null &&
			say "    $name: $((SECONDS - start)) s, $(progress "$log" || :)"
	done
	wait "$pid" || rc=$?
	if [ "$rc" -ne 0 ]; then
		tail -n 25 "$log" >&2
		case $name in
		host|root|sources|packages)
			hint=" If the archive cannot be reached: set http_proxy, or KFI_MIRROR to a mirror that can (now $KFI_MIRROR)." ;;
		esac
		grep -q 'No space left on device' "$log" &&
			hint=" The disk of $KFI_CACHE is full: free some space, or set KFI_CACHE to a folder on a larger disk."
		die "step '$name' failed (exit $rc); its whole log is $log.$hint Run the same command again to resume."
	fi
	stamp_set "$name" "$key"
	say "    $name: done in $((SECONDS - start)) s"
}

# in_root COMMAND...: run COMMAND in the Debian 13 root with the work tree at /kfi and the cache at /cache.
# The mounts live in a private mount namespace, so nothing is left behind.
in_root()
{
	# The tests' programs run inside already.
	if [ -n "${KFI_INSIDE:-}" ]; then
		"$@"
		return
	fi
	unshare --mount --propagation private -- bash -euc '
		root=$1 top=$2 cache=$3; shift 3
		mkdir -p "$root/kfi" "$root/cache" "$root/proc" "$root/sys" "$root/dev"
		mount --bind "$top" "$root/kfi"
		mount --bind "$cache" "$root/cache"
		mount -t proc proc "$root/proc"
		mount --rbind /sys "$root/sys"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/tmp"
		cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || :
		exec env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive INITRD=No \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" \
			KFI_JOBS="${KFI_JOBS:-2}" \
			chroot "$root" "$@"
	' in_root "$KFI_ROOT" "$KFI_TOP" "$KFI_CACHE" "$@"
}

# Facts about the kernels that set-up has chosen; written by scripts/setup.
load_facts()
{
	[ -f "$KFI_CACHE/facts" ] || die "not set up yet; run scripts/setup first."
	# shellcheck disable=SC1091
	. "$KFI_CACHE/facts"
}

# Where the modules of this work tree are built for KERNEL (stock, uml, uml-debug, uml-noib): one folder for each work tree, so
# that two checkouts do not disturb each other.
kfi_out()
{
	printf 'out/%s/%s' "${KFI_OUT_ID:-$(printf '%s' "$KFI_TOP" | sha256sum | cut -c1-8)}" "$1"
}

# module_tree KERNEL: a /lib/modules/<release> of the kernel's own modules and those of this work tree, for the guests;
# $KFI_CACHE/<kfi_out>/modules leads to it.
module_tree()
{
	local kernel=$1 out base rel tree key siw=
	out=$(kfi_out "$kernel")
	case $kernel in
	stock) base=/lib/modules/$KREL ;;
	*) base=$KFI_IN_CACHE/mod/$kernel/lib/modules/$(ls "$KFI_CACHE/mod/$kernel/lib/modules") ;;
	esac
	rel=$(basename "$base")
	tree=$KFI_CACHE/$out/tree/lib/modules/$rel
	[ "$kernel" = uml-noib ] || siw=mod/$kernel/siw
	[ -z "$siw" ] || [ -f "$KFI_CACHE/$siw/siw.ko" ] || die "siw is not built for $kernel yet; run scripts/setup."
	key=$(cd "$KFI_CACHE" && find "$out" "mod/$kernel" -name '*.ko' -not -path '*/tree/*' -not -path '*/series/*' -printf '%p %s %T@\n' |
		sort | sha256sum)
	[ "$(cat "$KFI_CACHE/$out/tree/key" 2>/dev/null)" = "$key $base" ] && return
	rm -rf "$KFI_CACHE/$out/tree"
	mkdir -p "$tree/updates"
	in_root sh -euc '
		base=$1 tree=$2 out=$3 siw=$4
		ln -s "$base/kernel" "$tree/kernel"
		cp "$base"/modules.builtin* "$base/modules.order" "$tree/"
		find "$out" $siw -name "*.ko" -not -path "*/tree/*" -not -path "*/series/*" -exec ln -st "$tree/updates" {} +
		depmod -b "$out/tree" "$(basename "$base")"
		# The guest mounts over /lib/modules and keeps what was there in /run/modules; see harness/init.
		case $base in /lib/*) ln -sfn "/run/modules/${base##*/}/kernel" "$tree/kernel" ;; esac
	' module_tree "$base" "$KFI_IN_CACHE/$out/tree/lib/modules/$rel" "$KFI_IN_CACHE/$out" \
		"${siw:+$KFI_IN_CACHE/$siw}"
	ln -sfn "tree/lib/modules/$rel" "$KFI_CACHE/$out/modules"
	printf '%s\n' "$key $base" > "$KFI_CACHE/$out/tree/key"
}

# kernel_make KERNEL: the arguments of make(1) that name a kernel's build tree, one a line, as seen in the root.
kernel_make()
{
	case $1 in
	stock) printf '%s\n' -C "$KFI_IN_CACHE/stock" CC=x86_64-linux-gnu-gcc-14 ;;
	uml|uml-debug|uml-noib) printf '%s\n' -C "$KFI_IN_CACHE/$1" ARCH=um LLVM=1 \
		KCFLAGS=-Wno-null-pointer-arithmetic ;;	# the kernel's own asm-generic/io.h
	*) die "unknown kernel '$1'; there are stock, uml, uml-debug and uml-noib" ;;
	esac
}

# source_files NAME...: files of the work tree with these names (wildcards allowed), relative to it, without builds' output.
source_files()
{
	local name expr=(-false)

	for name in "$@"; do expr+=(-o -name "$name"); done
	( cd "$KFI_TOP" && find . \( -name .git -o -path ./build -o -name '*_generated.*' -o -name __pycache__ \) -prune -o \
		-type f \( "${expr[@]}" \) -printf '%P\n' | sort )
}

# --- series of patches -----------------------------------------------------------------------------

# series_steps SERIES KERNEL [TEST...]: what tests (default: all that are meant for KERNEL) want of a series: each of its steps
# ("each"), the last one (""), or nothing (fails). Its file "tests" names them; the first *_steps is the one that takes each.
series_steps()
{
	local series=$1 kernel=$2 own t rc=1
	shift 2

	[ -f "$series/tests" ] || return
	own=$(tr -s '[:space:]' '\n' < "$series/tests" | grep -m 1 '_steps$')
	if [ $# -eq 0 ] || [ "$*" = all ]; then
		for t in $(cat "$series/tests"); do
			# Without a word on kernels a test is meant for all but uml-noib.
			sed -n '/^# kfi-test:/{ /kernels=/!s/$/ kernels=stock,uml,uml-debug/; p }' "$KFI_TOP/selftests/$t.sh" |
				grep -qE "kernels=([a-z-]+,)*$kernel(,| |\$)" || continue
			rc=0
			[ "$t" != "$own" ] || { echo each; break; }
		done
		return $rc
	fi
	for t in "$@"; do
		case ${t%%:*} in
		demo|bench|nvme_soak) [[ $series != */nvme* ]] || rc=0 ;;
		bench_iser) [[ $series != */iser* ]] || rc=0 ;;
		bench_srp) [[ $series != */srp* ]] || rc=0 ;;
		*)
			grep -qw "${t%%:*}" "$series/tests" || continue
			case $t in "$own"|*:*) echo each; return 0 ;; esac
			rc=0
			;;
		esac
	done
	return $rc
}
