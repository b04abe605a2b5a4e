/* Signals and ends of children on an event base. */
#define _GNU_SOURCE
#include <check.h>
#include <msf_source.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct heard {
    struct msf_event_base *base;
    struct msf_source *source;
    s32 times, last, status;
    pid_t pid;
};

static volatile sig_atomic_t handled;

static void handler(int signo)
{
    (void)signo;
    handled++;
}

static void hear(s32 signo, void *arg)
{
    struct heard *heard = arg;

    heard->times++;
    heard->last = signo;
}

static void hear_and_free(s32 signo, void *arg)
{
    struct heard *heard = arg;

    hear(signo, arg);
    msf_source_free(heard->source);
    heard->source = NULL;
}

static void hear_and_stop(s32 signo, void *arg)
{
    struct heard *heard = arg;

    hear(signo, arg);
    CHECK_EQ(msf_source_stop(heard->base, heard->source), 0);
}

static void (*action_of(int signo))(int)
{
    struct sigaction now;

    CHECK_EQ(sigaction(signo, NULL, &now), 0);
    return now.sa_handler;
}

/* One pass, which is over at once when nothing is ready. */
static void turn(struct msf_event_base *base)
{
    msf_event_base_signal(base);
    CHECK_EQ(msf_event_base_wait(base), 0);
}

static void arguments_are_checked(void)
{
    struct msf_event_base *base = msf_event_base_new(), *other = msf_event_base_new();
    struct msf_source *source = msf_source_new_signal(SIGUSR1, hear, NULL);
    struct rlimit before, none;

    CHECK_NULL(msf_source_new_signal(SIGUSR1, NULL, NULL), EINVAL);
    CHECK_NULL(msf_source_new_signal(SIGKILL, hear, NULL), EINVAL);
    CHECK_NULL(msf_source_new_signal(SIGSTOP, hear, NULL), EINVAL);
    CHECK_NULL(msf_source_new_signal(SIGSEGV, hear, NULL), EINVAL);
    CHECK_NULL(msf_source_new_signal(0, hear, NULL), EINVAL);
    CHECK_NULL(msf_source_new_signal(65, hear, NULL), EINVAL);
    CHECK_FAILS(msf_source_start(NULL, source), EINVAL);
    CHECK_FAILS(msf_source_start(base, NULL), EINVAL);
    CHECK_FAILS(msf_source_stop(base, NULL), EINVAL);
    CHECK_FAILS(msf_source_stop(base, source), ENOENT);
    CHECK_EQ(msf_source_start(base, source), 0);
    CHECK_EQ(msf_source_start(base, source), 0);
    CHECK_FAILS(msf_source_start(other, source), EINVAL);
    CHECK_EQ(msf_source_stop(base, source), 0);
    CHECK_FAILS(msf_source_watch(source, "/", IN_CREATE), EINVAL);
    CHECK_FAILS(msf_source_unwatch(source, 1), EINVAL);
    msf_source_free(source);
    msf_source_free(NULL);
    msf_event_base_free(base);
    msf_event_base_free(other);

    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    CHECK_NULL(msf_source_new_signal(SIGUSR1, hear, NULL), EMFILE);
    CHECK(action_of(SIGUSR1) == SIG_DFL);
    setrlimit(RLIMIT_NOFILE, &before);
}

static void every_source_hears_and_the_handler_of_the_program_too(void)
{
    struct heard one = { .base = msf_event_base_new() }, two = { .base = msf_event_base_new() };
    struct sigaction mine = { .sa_handler = handler, .sa_flags = SA_RESTART };

    handled = 0;
    sigaction(SIGUSR1, &mine, NULL);
    one.source = msf_source_new_signal(SIGUSR1, hear, &one);
    two.source = msf_source_new_signal(SIGUSR1, hear, &two);
    CHECK_EQ(msf_source_start(one.base, one.source), 0);
    CHECK_EQ(msf_source_start(two.base, two.source), 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    for (int i = 0; i < 3; i++) {
        turn(one.base);
        turn(two.base);
    }
    CHECK_EQ(handled, 2);
    CHECK_EQ(one.times, 2);
    CHECK_EQ(two.times, 2);
    CHECK_EQ(one.last, SIGUSR1);

    /* Stopped it still listens, and tells later. */
    CHECK_EQ(msf_source_stop(one.base, one.source), 0);
    raise(SIGUSR1);
    turn(one.base);
    CHECK_EQ(one.times, 2);
    CHECK_EQ(msf_source_start(one.base, one.source), 0);
    turn(one.base);
    CHECK_EQ(one.times, 3);

    msf_source_free(one.source);
    CHECK(action_of(SIGUSR1) != handler);
    msf_source_free(two.source);
    CHECK(action_of(SIGUSR1) == handler);
    raise(SIGUSR1);
    CHECK_EQ(handled, 4);
    signal(SIGUSR1, SIG_DFL);
    msf_event_base_free(one.base);
    msf_event_base_free(two.base);
}

static void callback_may_stop_and_free_its_own_source(void)
{
    struct heard heard = { .base = msf_event_base_new() };

    heard.source = msf_source_new_signal(SIGUSR2, hear_and_stop, &heard);
    CHECK_EQ(msf_source_start(heard.base, heard.source), 0);
    raise(SIGUSR2);
    raise(SIGUSR2);
    turn(heard.base);
    turn(heard.base);
    CHECK_EQ(heard.times, 1);
    CHECK_EQ(msf_source_start(heard.base, heard.source), 0);
    turn(heard.base);
    CHECK_EQ(heard.times, 2);
    msf_source_free(heard.source);
    heard.source = msf_source_new_signal(SIGUSR2, hear_and_free, &heard);
    CHECK_EQ(msf_source_start(heard.base, heard.source), 0);
    raise(SIGUSR2);
    turn(heard.base);
    CHECK_EQ(heard.times, 3);
    CHECK(heard.source == NULL);
    CHECK(action_of(SIGUSR2) == SIG_DFL);
    msf_event_base_free(heard.base);
}

static void forked_child_has_what_was_there_and_no_mask_of_ours(void)
{
    struct heard heard = { .base = msf_event_base_new() };
    sigset_t mask;
    s32 status;
    pid_t pid;

    heard.source = msf_source_new_signal(SIGTERM, hear, &heard);
    CHECK_EQ(msf_source_start(heard.base, heard.source), 0);
    pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_BLOCK, NULL, &mask);
        if (sigismember(&mask, SIGTERM))
            _exit(1);
        raise(SIGTERM);
        _exit(2);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    turn(heard.base);
    CHECK_EQ(heard.times, 0);

    /* A child may have sources of its own. */
    pid = fork();
    if (pid == 0) {
        struct heard own = { .base = msf_event_base_new() };

        own.source = msf_source_new_signal(SIGTERM, hear, &own);
        msf_source_start(own.base, own.source);
        msf_source_free(heard.source);
        raise(SIGTERM);
        turn(own.base);
        _exit(own.times == 1 && heard.times == 0 ? 0 : 3);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    turn(heard.base);
    CHECK_EQ(heard.times, 0);
    msf_source_free(heard.source);
    CHECK(action_of(SIGTERM) == SIG_DFL);
    msf_event_base_free(heard.base);
}

static void note_end(pid_t pid, s32 status, void *arg)
{
    struct heard *heard = arg;

    heard->times++;
    heard->pid = pid;
    heard->status = status;
}

static void note_end_and_free(pid_t pid, s32 status, void *arg)
{
    note_end(pid, status, arg);
    msf_source_free(((struct heard *)arg)->source);
}

static pid_t child_that_ends_when_told(s32 *end_it, s32 code)
{
    s32 ends[2];
    char byte;
    pid_t pid;

    CHECK_EQ(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        close(ends[1]);
        if (read(ends[0], &byte, 1) < 0)
            _exit(99);
        _exit(code);
    }
    close(ends[0]);
    *end_it = ends[1];
    return pid;
}

static void await_end(struct heard *heard)
{
    while (heard->times == 0 && msf_event_base_wait(heard->base) == 0)
        ;
}

static void end_of_a_child_is_told_with_its_status(void)
{
    struct heard heard = { .base = msf_event_base_new() };
    s32 end_it, other_end, status;
    pid_t pid = child_that_ends_when_told(&end_it, 7), other = child_that_ends_when_told(&other_end, 8);
    siginfo_t info;

    heard.source = msf_source_new_child(pid, note_end, &heard);
    CHECK(heard.source != NULL);
    CHECK_EQ(msf_source_start(heard.base, heard.source), 0);
    turn(heard.base);
    CHECK_EQ(heard.times, 0);
    close(other_end);
    close(end_it);
    await_end(&heard);
    CHECK_EQ(heard.pid, pid);
    CHECK(WIFEXITED(heard.status) && WEXITSTATUS(heard.status) == 7);
    CHECK_EQ(kill(pid, 0), -1); /* collected */
    CHECK_FAILS(msf_source_start(heard.base, heard.source), EINVAL);
    turn(heard.base);
    CHECK_EQ(heard.times, 1);
    msf_source_free(heard.source);
    CHECK_EQ(waitpid(other, &status, 0), other); /* left alone */
    CHECK_EQ(WEXITSTATUS(status), 8);

    /* One that has ended already, by a signal; freed in the callback. */
    heard.times = 0;
    pid = child_that_ends_when_told(&end_it, 0);
    kill(pid, SIGKILL);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    heard.source = msf_source_new_child(pid, note_end_and_free, &heard);
    CHECK_EQ(msf_source_start(heard.base, heard.source), 0);
    await_end(&heard);
    CHECK(WIFSIGNALED(heard.status) && WTERMSIG(heard.status) == SIGKILL);
    close(end_it);

    /* One that somebody else collects. */
    heard.times = 0;
    pid = child_that_ends_when_told(&end_it, 0);
    heard.source = msf_source_new_child(pid, note_end, &heard);
    close(end_it);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(msf_source_start(heard.base, heard.source), 0);
    await_end(&heard);
    CHECK_EQ(heard.status, -1);
    msf_source_free(heard.source);
    msf_event_base_free(heard.base);

    CHECK_NULL(msf_source_new_child(getppid(), note_end, NULL), ECHILD);
    CHECK_NULL(msf_source_new_child(0, note_end, NULL), EINVAL);
    CHECK_NULL(msf_source_new_child(getpid(), NULL, NULL), EINVAL);
}

static void child_without_a_descriptor_left(void)
{
    struct rlimit before, none;
    s32 end_it, status;
    pid_t pid = child_that_ends_when_told(&end_it, 0);

    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    CHECK_NULL(msf_source_new_child(pid, note_end, NULL), EMFILE);
    setrlimit(RLIMIT_NOFILE, &before);
    close(end_it);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
}

int main(void)
{
    arguments_are_checked();
    every_source_hears_and_the_handler_of_the_program_too();
    callback_may_stop_and_free_its_own_source();
    forked_child_has_what_was_there_and_no_mask_of_ours();
    end_of_a_child_is_told_with_its_status();
    child_without_a_descriptor_left();
    return check_verdict();
}
