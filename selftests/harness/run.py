#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs kfi's tests in guests and prints one KTAP stream, the totals in the last line. Started by selftests/run, in the root."""

import argparse
import glob
import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
from guest import CONFIG, Guest, run_jobs
from klog import Log, Noise, bad_lines
import ktap

HERE = os.path.dirname(os.path.abspath(__file__))
SELFTESTS = os.path.dirname(HERE)


# A limit ends what hangs; it does not judge speed. A busy machine needs a multiple of what an idle one does.
SLACK = 2


# What a test may ask for: RDMA devices, or also TCP, where there is no device.
DEVICES = {"each": ["rxe", "siw"], "all": ["rxe", "siw", "tcp"], "none": []}


class Job:
    """One script with one device in one kernel."""

    def __init__(self, kernel, device, name, limit):
        self.kernel, self.device, self.name, self.limit = kernel, device, name, limit
        self.number = 0
        self.started = 0.0
        self.log = None

    def title(self):
        device = "" if self.device == "none" else f" {self.device}"
        return f"{self.kernel}{device} {self.name}"


def header(name):
    """The words of the line '# kfi-test: WORD=VALUE ...' of a script."""
    path = os.path.join(SELFTESTS, name.split(":")[0] + ".sh")
    if not os.path.exists(path):
        sys.exit(f"kfi: there is no test '{name}' ({path})")
    with open(path, encoding="utf-8") as f:
        for line in f:
            m = re.match(r"# kfi-test:\s*(.*)", line)
            if m:
                return dict(word.split("=", 1) for word in m.group(1).split())
    return None


def all_tests():
    names = sorted(os.path.basename(p)[:-3] for p in glob.glob(os.path.join(SELFTESTS, "*.sh")))
    found = [(n, header(n)) for n in names]
    return [n for n, h in sorted(((n, h) for n, h in found if h), key=lambda x: (int(x[1].get("order", 50)), x[0]))]


def plan(args):
    jobs = []
    named = bool(args.tests) and args.tests != ["all"]
    for kernel in args.kernel:
        for name in args.tests if named else all_tests():
            h = header(name) or {}
            kernels = h.get("kernels", "stock,uml,uml-debug").split(",")
            if not named and kernel.replace("-vng", "") not in kernels:
                continue
            limit = int(h.get("limit", 60)) * CONFIG[kernel]["scale"] * SLACK
            if os.environ.get("KFI_LONG"):
                limit = int(h.get("long", h.get("limit", 60))) * CONFIG[kernel]["scale"] * SLACK
            there = CONFIG[kernel].get("devices", args.device)
            devices = [d for d in args.device if d in there and d in DEVICES[h.get("devices", "each")]]
            if h.get("devices") == "none" or kernel == "host":
                devices = ["none"]
            cases = [name]
            if ":" not in name and "cases" in h:
                cases = [f"{name}:{c}" for c in h["cases"].split(",")]
            jobs += [Job(kernel, d, c, args.timeout or limit) for d in devices for c in cases]
    return jobs


class Sink:
    """Takes what guests say; prints each test's KTAP in one piece, and counts. One for each thread that runs guests."""

    lock = threading.Lock()
    totals = ktap.Totals()
    done = 0
    noise = Noise(os.path.join(HERE, "noise"))
    live = True
    start = time.monotonic()

    def __init__(self):
        self.log = None
        self.boot_counted = False

    @staticmethod
    def say(text):
        with Sink.lock:
            print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def new_guest(self, guest):
        self.log = Log(guest.log_path)
        self.boot_counted = False

    def booted(self, guest, seconds):
        self.say(f"{guest.kernel}: booted in {seconds:.1f} s")
        bad = bad_lines(self.log.part(None), guest.kernel, self.noise)
        if bad:
            self.emit(f"{guest.kernel} boot", [], [ktap.Result("fail", "kernel log", bad[0][0])], bad)

    def begin(self, job):
        self.say(f"{job.title()} ...")
        if self.live:
            with self.lock:
                print(f"# {job.title()}", flush=True)

    def line(self, line):
        if self.live:
            with self.lock:
                print(f"    {line}", flush=True)

    def show(self, lines):
        with self.lock:
            for line in lines:
                print(line, flush=True)

    def end(self, job, lines, rc, cleaned):
        results = ktap.parse(lines, rc)
        if rc in (124, 137):
            results.append(ktap.Result("fail", "time", f"no end after {job.limit} s"))
        bad = []
        if self.log is not None:
            bad = bad_lines(self.log.part(job.number), job.kernel, self.noise)
            results.append(ktap.Result("fail", "kernel log", bad[0][0]) if bad
                           else ktap.Result("pass", "kernel log"))
            results.append(ktap.Result("fail", "modules unload", "something stayed behind") if cleaned
                           else ktap.Result("pass", "modules unload"))
        self.emit(job.title(), lines, results, bad, job)

    def died(self, job, lines, reason):
        bad = bad_lines(self.log.part(job.number), job.kernel, self.noise)
        results = [r for r in ktap.parse(lines, 0) if r.name != "plan"]
        results.append(ktap.Result("fail", "guest", reason))
        results += [ktap.Result("fail", "kernel log", report[0]) for report in bad[:1]]
        self.emit(job.title(), lines, results, [*bad, self.log.tail()], job)

    def leak_check(self, guest, found):
        self.emit(f"{guest.kernel} kmemleak", [], [ktap.Result("fail" if found else "pass", "no leak")], [])

    def emit(self, title, lines, results, reports, job=None):
        failed = any(r.state == "fail" for r in results)
        skipped = results and all(r.state == "skip" for r in results
                                  if r.name not in ("kernel log", "modules unload"))
        with self.lock:
            Sink.done += 1
            out = []
            if not self.live:
                out += [f"# {title}"] + [f"    {line}" for line in lines]
            for result in results:
                self.totals.add(title, result)
                if result.name in ("kernel log", "modules unload", "guest", "time", "plan", "exit"):
                    word = "not ok" if result.state == "fail" else "ok"
                    note = f" # {result.note}" if result.note else ""
                    out.append(f"    {word} - {result.name}{note}")
            for report in reports:
                out += [f"    # log: {line}" for line in report]
            word = "not ok" if failed else "ok"
            why = f" # SKIP {results[0].note}" if skipped and not failed else ""
            seconds = f" ({time.monotonic() - job.started:.0f} s)" if job and job.started else ""
            out.append(f"{word} {Sink.done} {title}{seconds}{why}")
            print("\n".join(out), flush=True)


def make_initrd(run_dir, release):
    """What the stock kernel, which has 9p as modules, needs to reach its root."""
    top = os.path.join(run_dir, "ird")
    for d in ("bin", "proc", "sys", "dev", "new"):
        os.makedirs(os.path.join(top, d))
    shutil.copy("/usr/bin/busybox", f"{top}/bin/busybox")
    modules = []
    for name in ("virtio_pci", "9pnet_virtio", "9p"):
        shown = subprocess.run(["modprobe", "-S", release, "--show-depends", name],
                               check=True, capture_output=True, text=True).stdout
        for line in shown.splitlines():
            if line.startswith("insmod "):
                path = line.split()[1]
                base = os.path.basename(path).split(".ko")[0] + ".ko"
                if base not in modules:
                    modules.append(base)
                    with open(f"{top}/{base}", "wb") as f:
                        tool = ["xz", "-dc", path] if path.endswith(".xz") else ["cat", path]
                        subprocess.run(tool, check=True, stdout=f)
    with open(f"{top}/init", "w", encoding="utf-8") as f:
        f.write("#!/bin/busybox sh\nb=/bin/busybox\n$b mount -t proc proc /proc\n$b mount -t devtmpfs dev /dev\n")
        f.writelines(f"$b insmod /{m}\n" for m in modules)
        f.write("for w in $($b cat /proc/cmdline); do case $w in init=*) i=${w#init=};; esac; done\n"
                "$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose rootfs /new || exec $b sh\n"
                "$b umount /proc\n$b mount --move /dev /new/dev\nexec $b switch_root /new $i\n")
    os.chmod(f"{top}/init", 0o755)
    with open(os.path.join(run_dir, "initrd"), "wb") as f:
        subprocess.run("find . | cpio -o -H newc --quiet", shell=True, check=True, cwd=top, stdout=f)
    shutil.rmtree(top)


def run_host(jobs):
    """Tests without a guest: in the root itself."""
    sink = Sink()
    for job in jobs:
        sink.begin(job)
        job.started = time.monotonic()
        lines = []
        script, *args = job.name.split(":")
        with subprocess.Popen([os.path.join(SELFTESTS, script + ".sh"), *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              start_new_session=True) as p:
            timer = threading.Timer(job.limit, lambda q=p: os.killpg(q.pid, 9))
            timer.start()
            for line in p.stdout:
                lines.append(line.rstrip("\n"))
                sink.line(lines[-1])
            rc = p.wait()
            timer.cancel()
        sink.end(job, lines, 137 if rc == -9 else rc, 0)


BOOTS = itertools.count(1)


def run_kernel(kernel, jobs, env):
    sink = Sink()
    while jobs:
        run_dir = f"/cache/run/{env['KFI_OUT_ID']}/{kernel}-{next(BOOTS)}"
        shutil.rmtree(run_dir, ignore_errors=True)
        os.makedirs(run_dir)
        if kernel == "stock":
            make_initrd(run_dir, env["KFI_RELEASE"])
        guest = Guest(kernel, run_dir, env)
        sink.new_guest(guest)
        before = len(jobs)
        jobs = run_jobs(guest, jobs, sink)
        if len(jobs) == before:
            for job in jobs:
                sink.died(job, [], "the guest ended before this test")
            return


# Tests from which on two guests share those of one kernel: one would be busy long after all other guests.
SHARE = 50


def shared(jobs, guests):
    half = len(jobs) // 2 if guests > 1 and len(jobs) >= SHARE else 0
    return [jobs[half:], jobs[:half]]


def guest_env(args, kernel):
    family = kernel.replace("-vng", "")
    out = f"/cache/out/{args.out_id}/{family}"
    return {
        "KFI_KERNEL": kernel,
        "KFI_SCALE": CONFIG[kernel]["scale"],
        "KFI_LONG": os.environ.get("KFI_LONG", ""),
        "KFI_PAIRS": os.environ.get("KFI_PAIRS", ""),
        "KFI_SELFTESTS": SELFTESTS,
        "KFI_OUT": out,
        "KFI_OUT_ID": args.out_id,
        "KFI_MODULES": f"{out}/modules",
        "KFI_PATCHED": f"{out}-patched",
        "KFI_RELEASE": os.environ["KFI_KREL"],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", default=["uml"], type=lambda s: s.split(","))
    parser.add_argument("--device", default="all", choices=["rxe", "siw", "tcp", "both", "all"])
    parser.add_argument("--timeout", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out-id", required=True)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    args.device = {"all": DEVICES["all"], "both": DEVICES["each"]}.get(args.device, [args.device])
    for kernel in args.kernel:
        if kernel not in CONFIG:
            sys.exit(f"kfi: unknown kernel '{kernel}'; there are {', '.join(CONFIG)}")

    jobs = plan(args)
    for number, job in enumerate(jobs, 1):
        job.number = number
    if args.list:
        for job in jobs:
            print(job.title())
        return 0
    Sink.live = args.jobs == 1
    print(f"KTAP version 1\n1..{len(jobs)}", flush=True)

    lists = [(k, todo, guest_env(args, k)) for k in args.kernel for todo in shared([j for j in jobs if j.kernel == k], args.jobs)]
    gate = threading.Semaphore(min(args.jobs, 2))

    def work(kernel, todo, env):
        with gate:
            if kernel == "host":
                run_host(todo)
            else:
                run_kernel(kernel, todo, env)

    threads = [threading.Thread(target=work, args=item) for item in lists if item[1]]
    for t in threads:
        t.start()
        if args.jobs == 1:
            t.join()
    for t in threads:
        t.join()

    totals = Sink.totals
    for name, note in totals.skipped:
        print(f"# skipped: {name}{': ' + note if note else ''}")
    for name, note in totals.failed:
        print(f"# FAILED: {name}{': ' + note if note else ''}")
    print(f"# {time.monotonic() - Sink.start:.0f} s; logs of the guests: $KFI_CACHE/run/{args.out_id}/")
    print(totals.line(), flush=True)
    return 1 if totals.count["fail"] or not sum(totals.count.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
