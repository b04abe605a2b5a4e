/* The process's timers by number are the parent's: a child has none until it asks for them. */
/* no qemu: qemu-user aborts when the child of a process with threads starts a thread */
#include <check.h>
#include <msf_event.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define LONG 20000

static atomic_int calls;

static s32 keep(void *arg)
{
    CHECK(arg == &calls);
    calls++;
    return -1;
}

int main(void)
{
    int status = 0;
    pid_t child;

    CHECK_EQ(msf_timer_init(), 0);
    CHECK_EQ(msf_timer_add(9, 3600000, keep, &calls, CYCLE_TIMER, 0), 9);
    child = fork();
    if (child == 0) {
        check_failures = 0;
        CHECK_FAILS(msf_timer_remove(9), ESRCH);
        CHECK_EQ(msf_timer_init(), 0);
        CHECK_FAILS(msf_timer_remove(9), ENOENT);
        calls = 0;
        CHECK_EQ(msf_timer_add(9, 1, keep, &calls, LIMIT_TIMER, 1), 9);
        CHECK_WITHIN(LONG, calls == 1);
        msf_timer_destroy();
        _exit(check_verdict());
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(msf_timer_remove(9), 0);
    msf_timer_destroy();
    return check_verdict();
}
