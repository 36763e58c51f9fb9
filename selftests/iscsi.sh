# SPDX-License-Identifier: GPL-2.0
# What the tests of the iSER drivers have in common, sourced behind lib.sh: a LIO target on IP0, iscsid and iscsiadm, and the
# modules of either side, the kernel's own or those of a step of patches/iser and patches/isert.
# shellcheck shell=bash

# The kind of sessions, and what a target is for: iser or tcp.
ISCSI_KIND=${ISCSI_KIND:-iser}
IQN=iqn.2026-01.org.kfi:t INITIATOR=iqn.2026-01.org.kfi:i
ISCSI_PORTAL=$IP0:3260
TARGET=/sys/kernel/config/target
TPG=$TARGET/iscsi/$IQN/tpgt_1
NP=$TPG/np/$ISCSI_PORTAL

# need_iscsi: skip the whole test when something of it is missing.
need_iscsi()
{
	local program

	need_module ib_iser ib_isert iscsi_target_mod target_core_iblock null_blk kfi_verbs "$(driver_module)"
	for program in iscsid iscsiadm; do
		command -v $program > /dev/null || ktap_skip_all "no $program"
	done
}
# siw listens on TCP ports, and so does the iSCSI target, on the same one, before iSER can be enabled for it.
NO_ISER_ON_SIW="siw and iSCSI over TCP cannot listen on one port"
need_iser_port() { [ "$KFI_DEVICE" != siw ] || ktap_skip_all "$NO_ISER_ON_SIW"; }

# --- the modules ---------------------------------------------------------------------------------

iser_last() { series_last iser; }
isert_last() { series_last isert; }
iser_stock() { modprobe ib_iser "$@"; }
iser_ported() { modprobe libiscsi && series_insmod iser ib_iser "$@"; } # STEP [PARAMETER...]
iser_unload() { removed ib_iser; }
isert_stock() { modprobe ib_isert "$@"; }
isert_ported() { modprobe iscsi_target_mod && series_insmod isert ib_isert "$@"; } # STEP [PARAMETER...]
# Where the response to a logout fails, for the initiator has gone already, the target waits for 15 s before it lets the connection go.
isert_unload() { KFI_WAIT=30 removed ib_isert; }

# --- the target ----------------------------------------------------------------------------------

# iscsi_target_up DEVICE [PARAMETER=VALUE...]: a target on ISCSI_PORTAL, with DEVICE as its only LUN, for everybody. The
# parameters are those of iSCSI, InitialR2T=No. iSER is the kernel's own unless ib_isert is loaded.
iscsi_target_up()
{
	local disk=$TARGET/core/iblock_0/disk device=$1
	shift

	modprobe target_core_iblock && modprobe iscsi_target_mod || return
	mkdir -p $disk && echo "udev_path=$device" > $disk/control && echo 1 > $disk/enable || return
	mkdir -p "$TPG/lun/lun_0" && ln -s $disk "$TPG/lun/lun_0/disk" || return
	echo 0 > "$TPG/attrib/authentication" && echo 1 > "$TPG/attrib/generate_node_acls" &&
		echo 0 > "$TPG/attrib/demo_mode_write_protect" || return
	iscsi_target_set "$@" && mkdir "$NP" || return
	[ "$ISCSI_KIND" = tcp ] || iscsi_target_iser 1 || return
	iscsi_target_enable 1
}
# iscsi_target_set PARAMETER=VALUE...: for logins from now on.
iscsi_target_set()
{
	local word

	for word in "$@"; do
		echo "${word#*=}" > "$TPG/param/${word%%=*}" || return
	done
}
# iSER on the portal, and the target as a whole, whose end ends all its sessions: 1 or 0.
iscsi_target_iser() { echo "$1" > "$NP/iser"; }
iscsi_target_enable() { echo "$1" > "$TPG/enable"; }

# LIO frees a portal group, and the ACLs that it made for it, without waiting for sessions whose last connection has just ended.
iscsi_target_idle() { [ "$(cat "$TARGET/iscsi/$IQN/fabric_statistics/iscsi_instance/sessions")" = 0 ]; }
iscsi_target_down()
{
	[ ! -d "$TPG" ] || {
		iscsi_target_enable 0
		KFI_WAIT=30 wait_until iscsi_target_idle || return
		[ ! -d "$NP" ] || rmdir "$NP"
		rm -f "$TPG/lun/lun_0/disk"
		[ ! -d "$TPG/lun/lun_0" ] || rmdir "$TPG/lun/lun_0"
		rmdir "$TPG" "$TARGET/iscsi/$IQN" "$TARGET/iscsi"
	} || return
	[ ! -d $TARGET/core/iblock_0 ] || rmdir $TARGET/core/iblock_0/disk $TARGET/core/iblock_0
}

# --- the initiator -------------------------------------------------------------------------------

# iSER gives rdma_cm no local address, so packets to the target need a route of their own to leave by v1: see veth_up.
iscsi_route() { ip rule add pref 12 to $IP0 lookup 102; }

# iscsid_up: with files of its own; the root is read-only, and shared.
iscsid_up()
{
	local dir

	modprobe -a scsi_transport_iscsi sd_mod || return
	for dir in /etc/iscsi /var/lib/iscsi; do
		[ ! -d $dir ] || mount -t tmpfs tmpfs $dir || return
	done
	mkdir -p /run/lock/iscsi
	echo "InitiatorName=$INITIATOR" > /etc/iscsi/initiatorname.iscsi
	# Times in seconds; a session is tried again for long enough, and what does not answer is given up soon.
	cat > /etc/iscsi/iscsid.conf <<-C
	node.startup = manual
	node.leading_login = No
	node.session.auth.authmethod = None
	node.session.scan = auto
	node.session.initial_login_retry_max = 2
	node.session.timeo.replacement_timeout = $((60 * KFI_SCALE))
	node.session.err_timeo.abort_timeout = $((5 * KFI_SCALE))
	node.session.err_timeo.lu_reset_timeout = $((10 * KFI_SCALE))
	node.session.err_timeo.tgt_reset_timeout = $((10 * KFI_SCALE))
	node.conn[0].timeo.login_timeout = $((5 * KFI_SCALE))
	node.conn[0].timeo.logout_timeout = $((5 * KFI_SCALE))
	node.conn[0].timeo.noop_out_interval = 2
	node.conn[0].timeo.noop_out_timeout = $((5 * KFI_SCALE))
	C
	iscsid -f -c /etc/iscsi/iscsid.conf -i /etc/iscsi/initiatorname.iscsi > /tmp/iscsid.log 2>&1 < /dev/null &
	echo $! > /tmp/iscsid.pid
	wait_until iscsid_listens
}
iscsid_listens() { grep -q ISCSIADM_ABSTRACT_NAMESPACE /proc/net/unix; }
iscsid_gone() { ! kill -0 "$(cat /tmp/iscsid.pid)" 2> /dev/null; }
iscsid_down()
{
	local dir

	if [ -f /tmp/iscsid.pid ]; then
		kill "$(cat /tmp/iscsid.pid)" 2> /dev/null
		wait_until iscsid_gone || return
		rm /tmp/iscsid.pid
	fi
	for dir in /etc/iscsi /var/lib/iscsi; do
		! mountpoint -q $dir || umount $dir || return
	done
}

iscsi_node() { iscsiadm -m node -T "$IQN" -p "$ISCSI_PORTAL" "$@"; }
# iscsi_login [NAME=VALUE...]: a session; the names are those of iscsid.conf behind "node.". Prints the disk.
iscsi_login()
{
	local word iface=$ISCSI_KIND

	[ "$iface" != tcp ] || iface=default
	{
		iscsi_node -I "$iface" -o new || return
		for word in "$@"; do
			iscsi_node -o update -n "node.${word%%=*}" -v "${word#*=}" || return
		done
		iscsi_node --login || { cat /tmp/iscsid.log; return 1; }
	} >&2
	wait_until iscsi_disk && iscsi_disk
}
iscsi_disk()
{
	local d

	for d in /sys/class/iscsi_session/session*/device/target*/*:*:*:*/block/*; do
		[ -b "/dev/${d##*/}" ] && [ "$(cat "$d/size")" -gt 0 ] && echo "/dev/${d##*/}" && return
	done
	return 1
}
iscsi_gone() { ! ls -d /sys/class/iscsi_session/session* > /dev/null 2>&1; }
# iscsi_end: log out, and wait until the sessions are gone.
iscsi_end() { iscsi_gone || { iscsiadm -m session -u; wait_until iscsi_gone; }; }
# iscsi_session NAME: what was agreed upon: initial_r2t, first_burst_len ...
iscsi_session() { cat /sys/class/iscsi_session/session*/"$1"; }
iscsi_state() { grep -q "^$1" /sys/class/iscsi_session/session*/state; }
iscsi_discovered()
{
	iscsiadm -m discovery -t sendtargets -p "$ISCSI_PORTAL" -I iser -o nonpersistent > /tmp/discover.out 2>&1
	grep -q "$IQN" /tmp/discover.out || { cat /tmp/discover.out /tmp/iscsid.log; return 1; }
}
# On the stock kernel, with two CPUs, one in some thirty discoveries gets no answer, with stock drivers at both ends, too. iscsiadm
# crashes after that, and leaves a session that nobody can end.
iscsi_discovery_test()
{
	if [ "$(nproc)" -gt 1 ]; then
		ktap_test_skip "discovery" "with two CPUs it hangs now and then, with the stock drivers, too, and iscsiadm crashes"
	else
		ktap_test "discovery" iscsi_discovered
	fi
}

# --- what both ends are put through --------------------------------------------------------------

# iscsi_agreed IMMEDIATE R2T BURST: log in anew with ImmediateData and InitialR2T (Yes or No) and FirstBurstLength, which the
# target has to allow. Sets disk.
iscsi_agreed()
{
	local agreed

	iscsi_end
	disk=$(iscsi_login "session.iscsi.ImmediateData=$1" "session.iscsi.InitialR2T=$2" \
		"session.iscsi.FirstBurstLength=$3") || return
	agreed="$(iscsi_session immediate_data) $(iscsi_session initial_r2t)"
	[ "$(sed 's/Yes/1/g; s/No/0/g' <<< "$1 $2")" = "$agreed" ] || { echo "immediate_data, initial_r2t: $agreed"; return 1; }
}

# iscsi_reset_lun MIB: three times under I/O, then verify so much of $disk.
iscsi_reset_lun()
{
	io_start || return
	for _ in 1 2 3; do
		sg_reset --device "$disk" || return
	done
	io_stop && fio_verify "$disk" "$1"
}

# The session comes back by itself, and with it the commands that were under way.
iscsi_failed() { ! iscsi_state LOGGED_IN; }
iscsi_back() { KFI_WAIT=60 wait_until iscsi_state LOGGED_IN && KFI_WAIT=60 wait_until iscsi_disk; }

# --- the end of a test ---------------------------------------------------------------------------

# iscsi_cleanup: whatever a test has left; for cleanup_all.
iscsi_cleanup()
{
	local rc=0 m

	iscsi_end > /dev/null 2>&1 || { echo "an iSCSI session does not end"; rc=1; }
	iscsid_down || { echo "iscsid does not end"; rc=1; }
	iscsi_target_down || { echo "the iSCSI target does not go"; rc=1; }
	! ip rule show pref 12 | grep -q . || ip rule del pref 12
	# The target core loads the modules of all its kinds of disks.
	for m in ib_iser iscsi_tcp libiscsi_tcp libiscsi scsi_transport_iscsi ib_isert iscsi_target_mod target_core_iblock target_core_file \
		target_core_pscsi target_core_user target_core_mod; do
		unloaded $m || { echo "module $m does not unload"; rc=1; }
	done
	return $rc
}
