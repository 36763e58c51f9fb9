# SPDX-License-Identifier: GPL-2.0
"""Boots a guest, hands it a list of tests and follows what it says. A guest that hangs or dies is killed from here."""

import functools
import os
import queue
import signal
import subprocess
import threading
import time

CONFIG = {
    # scale: how much slower than native a test may be; boot: seconds until the first line must be there; devices: the only
    # ones that it has
    "uml": {"scale": 1, "boot": 90},
    "uml-debug": {"scale": 4, "boot": 240},
    "uml-noib": {"scale": 1, "boot": 90, "devices": ["tcp"]},
    "stock": {"scale": 6, "boot": 300},
    "stock-vng": {"scale": 6, "boot": 600},
    "host": {"scale": 1, "boot": 0},
}


@functools.lru_cache(maxsize=None)
def have_kvm(kernel):
    """Does KVM work here? A /dev/kvm alone says little: under some hypervisors QEMU aborts when it uses it, or the guest stops
    at an instruction that the host cannot emulate. So it is tried with the kernel itself, which without a root panics."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
        said = subprocess.run(["qemu-system-x86_64", "-accel", "kvm", "-cpu", "max", "-M", "q35", "-m", "512M", "-nodefaults",
                               "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", kernel,
                               "-append", "console=ttyS0 panic=-1"], check=False, timeout=15, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    except OSError:
        return False
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
    return b"Linux version" in said


class GuestDied(Exception):
    """The guest ended, or had to be ended, before it was done."""


class Guest:
    """One boot. KERNEL is a key of CONFIG, RUN_DIR a new folder below /cache that the guest can read."""

    def __init__(self, kernel, run_dir, env):
        self.kernel, self.run_dir, self.env = kernel, run_dir, env
        self.log_path = os.path.join(run_dir, "log")
        self.process = None
        self.lines = queue.Queue()

    def start(self, jobs):
        with open(os.path.join(self.run_dir, "list"), "w", encoding="utf-8") as f:
            for job in jobs:
                f.write(f"{job.number} {job.device} {job.limit} {job.name}\n")
        with open(os.path.join(self.run_dir, "env"), "w", encoding="utf-8") as f:
            for key, value in self.env.items():
                f.write(f"{key}='{value}'\n")
        # A PID namespace of its own: ending its first process ends everything in it. That is a shell, not the guest:
        # abort(3), with which User-Mode Linux ends a panic, has no effect on the first process of a namespace.
        prefix = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--", "sh", "-c", '"$@"; exit $?', "sh"]
        command, environ, log = self.command()
        # pylint: disable=consider-using-with
        with open(os.path.join(self.run_dir, "stderr"), "wb") as stderr:
            self.process = subprocess.Popen(
                prefix + command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=stderr, pass_fds=(log.fileno(),), env=environ, start_new_session=True)
        log.close()
        threading.Thread(target=self.read, daemon=True).start()

    def command(self):
        log = open(self.log_path, "wb")  # pylint: disable=consider-using-with
        environ = dict(os.environ)
        words = f"init=/kfi/selftests/harness/init kfi_run={self.run_dir}"
        if self.kernel.startswith("uml"):
            environ["TMPDIR"] = "/tmp"
            return ([f"/cache/{self.kernel}/linux", f"mem={os.environ.get('KFI_MEM', '2G')}",
                     "rootfstype=hostfs", "rootflags=/", "ro", f"uml_dir={self.run_dir}", "umid=guest",
                     f"con0=null,fd:{log.fileno()}", "con1=null,fd:1", "con=null", "ssl=null", "console=tty0",
                     "panic=-1", "oops=panic", "loglevel=8", *words.split(), "kfi_out=tty1"],
                    environ, log)
        release = self.env["KFI_RELEASE"]
        kernel = f"/boot/vmlinuz-{release}"
        if self.kernel == "stock-vng":
            return (["vng", "--run", kernel, "--disable-kvm", "--force-9p", "--cpus", "2", "--memory", "2G",
                     "--qemu-opts=-accel tcg,thread=multi -cpu max", "--",
                     f"kfi_run={self.run_dir} /kfi/selftests/harness/init"], environ, log)
        accel = ["-accel", "kvm"] if have_kvm(kernel) else []
        return (["qemu-system-x86_64", *accel, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2G",
                 "-M", "q35", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                 "-chardev", f"file,id=log,path=/dev/fd/{log.fileno()}", "-serial", "chardev:log",
                 "-serial", "stdio",
                 "-fsdev", "local,id=r,path=/,security_model=none,readonly=on,multidevs=remap",
                 "-device", "virtio-9p-pci,fsdev=r,mount_tag=rootfs",
                 "-kernel", kernel, "-initrd", os.path.join(self.run_dir, "initrd"),
                 "-append", f"console=ttyS0 loglevel=7 panic=-1 oops=panic net.ifnames=0 {words} kfi_out=ttyS1"],
                environ, log)

    def read(self):
        for raw in self.process.stdout:
            self.lines.put(raw.decode("utf-8", "replace").rstrip("\r\n"))
        self.lines.put(None)

    def line(self, seconds):
        """The guest's next line; GuestDied when there is none in time."""
        try:
            line = self.lines.get(timeout=max(seconds, 0.1))
        except queue.Empty:
            raise GuestDied("no sign of life in time") from None
        if line is None:
            raise GuestDied("the guest has ended")
        return line

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def wait_off(self, seconds):
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()


def run_jobs(guest, jobs, sink):
    """Run JOBS in GUEST, telling SINK. Returns the jobs that the guest did not get to."""
    by_number = {job.number: job for job in jobs}
    todo = list(jobs)
    config = CONFIG[guest.kernel]
    current, lines, leaks = None, [], None
    start = time.monotonic()
    deadline = start + config["boot"]
    booted = False
    try:
        guest.start(jobs)
        while True:
            line = guest.line(deadline - time.monotonic())
            word, *rest = line.split(" ") if line.startswith("@") else ("", )
            if word == "@log":
                with open(guest.log_path, "a", encoding="utf-8") as f:
                    f.write(line[5:] + "\n")
            elif word == "@boot":
                booted = True
                sink.booted(guest, time.monotonic() - start)
                deadline = time.monotonic() + 60 * config["scale"]
            elif word == "@begin":
                current, lines = by_number[int(rest[0])], []
                current.started = time.monotonic()
                sink.begin(current)
                # init ends the script itself at its limit and then clears up; this is for a guest that cannot.
                deadline = time.monotonic() + current.limit + 30 + 65 * config["scale"]
            elif word == "@end":
                todo.remove(current)
                sink.end(current, lines, int(rest[1]), int(rest[2]))
                current = None
                deadline = time.monotonic() + 120 * config["scale"]
            elif word in ("@leaks", "@noleaks"):
                leaks = [] if word == "@leaks" else None
                sink.leak_check(guest, word == "@leaks")
            elif word == "@halt":
                guest.wait_off(30)
                if leaks is not None:
                    sink.show(leaks)
                return todo
            elif current is not None:
                lines.append(line)
                sink.line(line)
            elif leaks is not None:
                leaks.append(line)
    except GuestDied as death:
        guest.kill()
        if current is None:
            current = todo[0] if todo else None
            reason = f"{death} ({'between tests' if booted else 'at boot'})"
        else:
            reason = str(death)
        if current is not None:
            todo.remove(current)
            sink.died(current, lines, reason)
        if not booted:
            for job in todo:
                sink.died(job, [], reason)
            todo = []
        return todo
    except BaseException:
        guest.kill()
        raise
