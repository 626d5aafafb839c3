/* What is forbidden fails, and what a server does works; each in a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/thread.h"
#include "check.h"
#include "server/server.h"

/* The exit status of a process that enters the sandbox and runs `inside`; 99 if it cannot enter. */
static int run(int (*inside)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(tl_sandbox_enter(NULL) == TALLY_OK ? inside() : 99);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool is_built_in(void)
{
    return strcmp(tl_sandbox_name(), "none") != 0;
}

static bool is_refused(long rc)
{
    return rc == -1 && errno == EPERM;
}

/* Returns the number of the first call that is not refused. As root most of them would work. */
static int try_forbidden(void)
{
    static const long numbers[] = {
        SYS_ptrace,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_mount,
        SYS_umount2,
        SYS_chroot,
        SYS_unshare,
        SYS_setns,
        SYS_bpf,
        SYS_perf_event_open,
        SYS_userfaultfd,
        SYS_io_uring_setup,
        SYS_kexec_load,
        SYS_init_module,
        SYS_finit_module,
        SYS_delete_module,
        SYS_keyctl,
        SYS_add_key,
        SYS_request_key,
        SYS_setuid,
        SYS_setgid,
        SYS_setresuid,
        SYS_setresgid,
        SYS_setgroups,
        SYS_capset,
        SYS_reboot,
        SYS_swapon,
        SYS_swapoff,
        SYS_acct,
        SYS_settimeofday,
        SYS_sethostname,
        SYS_personality,
        SYS_mknodat,
        SYS_execveat,
        SYS_open_by_handle_at,
        SYS_syslog,
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(numbers); i++) {
        errno = 0;
        if (!is_refused(syscall(numbers[i], -1, -1, -1, -1, -1, -1))) {
            return (int)i + 1;
        }
    }
    char *const none[] = { NULL };
    return is_refused(execve("/bin/true", none, none)) ? 0 : 98;
}

static void *do_nothing(void *ctx)
{
    return ctx;
}

/* Returns the number of the first thing that fails. */
static int work(void)
{
    pthread_t thread;
    struct timex timex = { .modes = 0 };
    int pair[2];
    if (tl_thread_start(&thread, "test", do_nothing, NULL) != TALLY_OK) {
        return 1;
    }
    tl_thread_join(thread);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || send(pair[0], "x", 1, 0) != 1) {
        return 2;
    }
    if (adjtimex(&timex) < 0 || access("/", F_OK) != 0 || kill(getpid(), 0) != 0) {
        return 3;
    }
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 4;
}

static void *try_one(void *ctx)
{
    bool *refused = ctx;
    *refused = is_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    return NULL;
}

static int try_in_a_thread(void)
{
    pthread_t thread;
    bool refused = false;
    if (tl_thread_start(&thread, "test", try_one, &refused) != TALLY_OK) {
        return 2;
    }
    tl_thread_join(thread);
    return refused ? 0 : 1;
}

static void what_a_server_never_needs_is_refused(void **state)
{
    (void)state;
    if (is_built_in()) {
        assert_int_equal(run(try_forbidden), 0);
        assert_int_equal(run(try_in_a_thread), 0);
    }
}

static void what_it_needs_works(void **state)
{
    (void)state;
    if (is_built_in()) {
        assert_int_equal(run(work), 0);
    }
}

static void without_it_that_is_said(void **state)
{
    (void)state;
    if (!is_built_in()) {
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(tl_sandbox_enter(&err), TALLY_ENOTSUP);
        assert_true(err.message[0] != '\0');
    }
}

static int become_somebody(void)
{
    if (tl_user_become("nobody", NULL) != TALLY_OK) {
        return 1;
    }
    if (setuid(0) == 0 || geteuid() == 0 || getgid() == 0) {
        return 2;
    }
    gid_t groups[64];
    int count = getgroups(64, groups);
    for (int i = 0; i < count; i++) {
        if (groups[i] == 0) {
            return 3;
        }
    }
    return count < 0 ? 4 : 0;
}

static void root_is_given_up_for_good(void **state)
{
    (void)state;
    struct tally_error err = TALLY_ERROR_INIT;
    if (geteuid() != 0) {
        check_status(tl_user_become("nobody", &err), TALLY_EINVAL);
        return;
    }
    check_status(tl_user_become("no such user", &err), TALLY_EINVAL);
    check_status(tl_user_become("root", &err), TALLY_EINVAL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(become_somebody());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_server_never_needs_is_refused),
        cmocka_unit_test(what_it_needs_works),
        cmocka_unit_test(without_it_that_is_said),
        cmocka_unit_test(root_is_given_up_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
