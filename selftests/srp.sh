# SPDX-License-Identifier: GPL-2.0
# For the tests of SRP; sourced behind lib.sh. A LIO target on IP0 with /dev/nullb0 behind it, and logins from IP1 by the
# RDMA CM. The modules of the port take the place of the kernel's own under the same names.
# shellcheck shell=bash

LIO=/sys/kernel/config/target
SRP_PORT=5555
SRP_IP0=$IP0 SRP_IP1=$IP1
# ib_srpt listens on the wildcard address of IPv6, where siw takes no connections of IPv4.
[ "$KFI_DEVICE" != siw ] || SRP_IP0='[fd00::1]' SRP_IP1='[fd00::2]'

# srp_net_up: for IPv6 what veth_up does for IPv4.
srp_net_up()
{
	[ "$KFI_DEVICE" = siw ] || return 0
	[ -z "$(ip -6 rule show pref 10)" ] || return 0
	ip addr add fd00::1/64 dev v0 nodad && ip addr add fd00::2/64 dev v1 nodad || return
	ip -6 rule add pref 1 iif v0 lookup local
	ip -6 rule add pref 2 iif v1 lookup local
	ip -6 rule add pref 10 from fd00::1 to fd00::2 lookup 101
	ip -6 rule add pref 11 from fd00::2 to fd00::1 lookup 102
	ip -6 rule add pref 1000 lookup local
	ip -6 rule del pref 0
	ip -6 route add fd00::2/128 dev v0 table 101 && ip -6 route add fd00::1/128 dev v1 table 102 || return
	ip neigh replace fd00::2 lladdr "$(cat /sys/class/net/v1/address)" dev v0 nud permanent &&
		ip neigh replace fd00::1 lladdr "$(cat /sys/class/net/v0/address)" dev v1 nud permanent
}

srp_net_down()
{
	local pref

	[ -n "$(ip -6 rule show pref 10)" ] || return 0
	ip -6 rule add pref 0 lookup local
	for pref in 1 2 10 11 1000; do ip -6 rule del pref $pref; done
}

# --- names ---------------------------------------------------------------------------------------

# srp_port_id DEVICE: what ib_srp and ib_srpt call the first port of a device, 32 hexadecimal digits.
srp_port_id()
{
	local gid=/sys/class/infiniband/$1/ports/1/gids/0 dev mac

	if [ -e "$gid" ]; then
		tr -d : < "$gid"
		return
	fi
	# kfi over TCP: the first Ethernet address.
	for dev in $(grep -lx 1 /sys/class/net/*/type | sed 's|/type$||'); do
		echo "$(cat "$dev/ifindex") $(tr -d : < "$dev/address")"
	done | sort -n | head -n 1 | {
		read -r _ mac && echo "fe80000000000000${mac:0:6}ffff${mac:6}"
	}
}
# The devices of both sides; over TCP they are the same.
srp_device() { if [ "$KFI_DEVICE" = tcp ]; then echo tcp; else echo "$KFI_DEVICE$1"; fi; }
# srp_guid: of the target
srp_guid() { sed 's/^0x//' /sys/module/ib_srpt/parameters/srpt_service_guid; }
srp_tpg() { local name; name=0x$(srp_port_id "$(srp_device 0)"); echo "$LIO/srpt/$name/$name"; }

# --- target --------------------------------------------------------------------------------------

# srp_target_up [ATTRIBUTE=VALUE...]: a target with /dev/nullb0 as LUN 0; the attributes are those of the portal group. It is
# the kernel's own unless ib_srpt is loaded.
srp_target_up()
{
	local tpg a

	srp_net_up && modprobe target_core_iblock && { loaded ib_srpt || modprobe ib_srpt; } || return
	mkdir -p $LIO/core/iblock_1/disk || return
	echo udev_path=/dev/nullb0 > $LIO/core/iblock_1/disk/control || return
	echo 1 > $LIO/core/iblock_1/disk/enable || return
	tpg=$(srp_tpg)
	mkdir -p $LIO/srpt && mkdir -p "${tpg%/*}" && mkdir "$tpg" || return
	for a in "$@"; do
		echo "${a#*=}" > "$tpg/attrib/${a%%=*}" || return
	done
	mkdir "$tpg/lun/lun_0" && ln -s $LIO/core/iblock_1/disk "$tpg/lun/lun_0/disk" || return
	srp_acl_up && srp_target_visible
}

# Whether the target knows the initiator.
srp_acl_up()
{
	local tpg id name

	# The ID of the initiator: its extension, 0, and the last half of its port's name.
	tpg=$(srp_tpg) id=$(srp_port_id "$(srp_device 1)")
	name=0x0000000000000000${id:16}
	mkdir "$tpg/acls/$name" "$tpg/acls/$name/lun_0" && ln -s "$tpg/lun/lun_0" "$tpg/acls/$name/lun_0/lun_0"
}
srp_acl_down() # [PORTAL-GROUP]
{
	local acl

	for acl in "${1:-$(srp_tpg)}"/acls/*; do
		[ -d "$acl" ] || continue
		rm -f "$acl/lun_0/lun_0"
		rmdir "$acl/lun_0" "$acl" || return
	done
}

# The way in for initiators, and its end, which also ends the sessions.
srp_target_visible()
{
	echo 1 > "$(srp_tpg)/enable" && echo $SRP_PORT > $LIO/srpt/discovery_auth/rdma_cm_port
}
srp_target_hidden() { echo 0 > "$(srp_tpg)/enable"; }

srp_target_down()
{
	local tpg

	[ -d $LIO ] || return 0
	if [ -d $LIO/srpt ]; then
		echo 0 > $LIO/srpt/discovery_auth/rdma_cm_port
		for tpg in "$LIO"/srpt/0x*/0x*; do
			[ -d "$tpg" ] || continue
			echo 0 > "$tpg/enable"
			srp_acl_down "$tpg" || return
			rm -f "$tpg/lun/lun_0/disk"
			[ ! -d "$tpg/lun/lun_0" ] || rmdir "$tpg/lun/lun_0" || return
			rmdir "$tpg" "${tpg%/*}" || return
		done
		rmdir $LIO/srpt || return
	fi
	[ ! -d $LIO/core/iblock_1/disk ] || rmdir $LIO/core/iblock_1/disk $LIO/core/iblock_1
}

# --- initiator -----------------------------------------------------------------------------------

srp_host_class() { echo "/sys/class/infiniband_srp/srp-$(srp_device 1)-1"; }
srp_rports() { ls -d /sys/class/srp_remote_ports/port-* 2> /dev/null; }
srp_gone() { [ -z "$(srp_rports)" ]; }
# srp_host: number of the SCSI host of the only login
srp_host() { local rport; rport=$(srp_rports) && rport=${rport##*/port-} && echo "${rport%%:*}"; }
srp_state() { grep -q "^$1$" /sys/class/srp_remote_ports/port-*/state; }
# srp_set ATTRIBUTE VALUE: of the remote port
srp_set() { echo "$2" > "$(srp_rports)/$1"; }

srp_disk()
{
	local d

	for d in /sys/class/scsi_disk/"$(srp_host)":*/device/block/*; do
		[ -b "/dev/${d##*/}" ] && [ "$(cat "$d/size")" -gt 0 ] && echo "/dev/${d##*/}" && return
	done
	return 1
}

srp_channels() { cat "/sys/class/scsi_host/host$(srp_host)/ch_count"; }
srp_add_target() # [OPTION,...]
{
	local guid

	guid=$(srp_guid) &&
		echo "id_ext=$guid,ioc_guid=$guid,src=$SRP_IP1,dest=$SRP_IP0:$SRP_PORT${1:+,$1}" > "$(srp_host_class)/add_target"
}
# srp_login_once [OPTION,...]: prints the disk; fails, too, when there are fewer channels than were asked for.
srp_login_once()
{
	modprobe sd_mod && srp_add_target "$@" || return
	case ${1:-} in
	*ch_count=*) [[ $1, = *ch_count=$(srp_channels),* ]] || return ;;
	esac
	wait_until srp_disk && srp_disk
}

# srp_login [OPTION,...]: to the target on IP0; prints the disk. ib_srpt writes to the initiator as soon as it has accepted,
# with a length of zero; siw ends the connection when that comes together with the accept.
srp_login()
{
	local try

	for try in 1 2 3 4 5 6; do
		srp_login_once "$@" && return
		[ "$KFI_DEVICE" = siw ] || break
		echo "attempt $try failed" >&2
		srp_logout
	done
	return 1
}

# srp_logout: of all logins, and wait until they are gone.
srp_logout()
{
	local rport

	for rport in $(srp_rports); do
		echo 1 > "$rport/delete"
	done
	KFI_WAIT=60 wait_until srp_gone
}

# The initiator: the kernel's own, or that of a step of patches/srp.
srp_stock() { modprobe ib_srp "$@"; }
srp_ported() # STEP [PARAMETER...]
{
	modprobe scsi_transport_srp && modprobe sd_mod && series_insmod srp ib_srp "$@"
}
srp_last() { series_last srp; }
srp_unload() { removed ib_srp; }

# The target's module, before srp_target_up: the kernel's own, or that of a step of patches/srpt.
srp_target_stock() { modprobe ib_srpt "$@"; }
srp_target_ported() { modprobe target_core_mod && series_insmod srpt ib_srpt "$@"; } # STEP [PARAMETER...]
srp_target_last() { series_last srpt; }
srp_target_unload() { removed ib_srpt; }
srp_target_gone() { srp_target_down && srp_target_unload; }

# --- what the tests of either side do; their own login() sets $disk ---------------------------------

channels() { [ "$(srp_channels)" = "$1" ]; }
refused() { ! login initiator_ext=1; }
# no_verbs MODULE: it needs neither the RDMA core nor the verbs provider.
no_verbs() { ! grep -E '^(ib_core|ib_cm|rdma_cm|kfi_verbs) ' /proc/modules | grep -w "$1"; }

# Writes and reads 1 MiB from 256 pages that do not touch, by one call each, and data that begin in the middle of a page.
many_segments()
{
	python3 - "$disk" <<-'P'
	import mmap, os, sys

	def pages(mem):
	    view = memoryview(mem)
	    return [view[i:i + 4096] for i in range(0, len(mem), 8192)]

	out, back = (mmap.mmap(-1, 256 * 8192) for _ in range(2))
	for page in pages(out):
	    page[:] = os.urandom(4096)
	fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
	assert os.pwritev(fd, pages(out), 0) == 1 << 20
	assert os.preadv(fd, pages(back), 0) == 1 << 20
	assert all(a == b for a, b in zip(pages(out), pages(back))), "data differ"
	for length in (512, 4096, 7680, 65536, 196608):
	    here, there = (memoryview(m)[512:512 + length] for m in (out, back))
	    here[:] = os.urandom(length)
	    assert os.pwritev(fd, [here], 4096) == length
	    assert os.preadv(fd, [there], 4096) == length
	    assert here == there, "data differ"
	os.close(fd)
	P
}

# A reset of the LUN goes to the target as a task management function; one of the host logs in again, for which see srp_login.
lun_reset() { sg_reset --device "$disk" && fio_verify "$disk" 4; }
host_reset() { KFI_WAIT=60 wait_until sg_reset --host "$disk" && fio_verify "$disk" 4; }
# A command that the target forgets when it resets the LUN gets no answer: it ends when its time is over.
reset_under_io_of()
{
	echo $((3 * KFI_SCALE)) > "/sys/block/${disk##*/}/device/timeout" &&
		io_start && KFI_WAIT=60 wait_until sg_reset "$1" "$disk" && io_stop && fio_verify "$disk" $MIB
}
logout_under_io() { io_start && srp_logout && io_stop; }

# The target ends the session and takes no new one for a while; the initiator logs in again.
target_comes_back()
{
	srp_set reconnect_delay 1 && srp_set fast_io_fail_tmo 60 && io_start || return
	srp_target_hidden
	KFI_WAIT=30 wait_until srp_state blocked || return
	srp_target_visible || return
	KFI_WAIT=60 wait_until srp_state running || return
	io_stop && fio_verify "$disk" $MIB
}
# Nobody comes back: I/O fails soon, and the device goes.
lose_soon() { srp_set reconnect_delay off && srp_set fast_io_fail_tmo 1 && srp_set dev_loss_tmo $((4 * KFI_SCALE)); }
target_is_lost()
{
	lose_soon && io_start || return
	srp_target_hidden
	KFI_WAIT=60 wait_until srp_gone || return
	io_stop
	srp_target_visible
}

# --- the end of a test ---------------------------------------------------------------------------

# srp_cleanup: called by cleanup_all.
srp_cleanup()
{
	local rc=0 m

	srp_logout || rc=1
	unloaded ib_srp || { echo "module ib_srp does not unload"; rc=1; }
	srp_target_down || { echo "the SRP target does not go"; rc=1; }
	unloaded ib_srpt || { echo "module ib_srpt does not unload"; rc=1; }
	# They come with the first backstore.
	for m in target_core_file target_core_pscsi target_core_user; do
		unloaded $m || rc=1
	done
	srp_net_down
	return $rc
}
