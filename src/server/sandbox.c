/* A filter of system calls (seccomp(2)): what a server never needs is refused with EPERM. */
#include <errno.h>

#include <seccomp.h>

#include "server/server.h"

/* To look into other processes; to change what is mounted, loaded or in force; to become somebody else;
 * to run programs; to leave by ways that a filter does not see. */
static const char *const forbidden[] = {
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "pidfd_getfd",
    "perf_event_open",
    "lookup_dcookie",
    "process_madvise",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "mount_setattr",
    "unshare",
    "setns",
    "quotactl",
    "quotactl_fd",
    "open_by_handle_at",
    "fanotify_init",
    "mknod",
    "mknodat",
    "bpf",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "syslog",
    "settimeofday",
    "clock_settime",
    "stime",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vm86",
    "vm86old",
    "personality",
    "uselib",
    "vhangup",
    "nfsservctl",
    "add_key",
    "request_key",
    "keyctl",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "capset",
    "execve",
    "execveat",
};

static tally_status fill(scmp_filter_ctx filter)
{
    /* Calls of another architecture have other numbers. A tree of comparisons is shorter than a list. */
    if (seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM)) != 0 ||
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0) {
        return TALLY_EIO;
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(forbidden); i++) {
        int number = seccomp_syscall_resolve_name(forbidden[i]);
        /* One that this architecture has not needs no rule. */
        if (number >= 0 && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0) != 0) {
            return TALLY_EIO;
        }
    }
    return TALLY_OK;
}

const char *tl_sandbox_name(void)
{
    return "seccomp";
}

tally_status tl_sandbox_enter(struct tally_error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a filter of system calls");
    }
    tally_status status = fill(filter);
    int rc = status == TALLY_OK ? seccomp_load(filter) : -EINVAL; /* sets no_new_privs as well */
    seccomp_release(filter);
    return rc == 0 ? TALLY_OK
                   : tl_fail_errno(err, TALLY_EIO, -rc, "the filter of system calls is refused");
}
