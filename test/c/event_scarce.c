/* Too few descriptors, too little memory: what cannot be made says so and leaves nothing behind; then floods and storms. */
/* no qemu: its own descriptors are counted, and RLIMIT_AS is its own memory, too */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_event.h>
#include <msf_loop.h>
#include <msf_shmem.h>
#include <msf_source.h>

#include "check.h"

static void told(s32 signo, void *arg)
{
    (void)signo;
    ++*(atomic_int *)arg;
}

static void ended(pid_t pid, s32 status, void *arg)
{
    (void)pid;
    *(atomic_int *)arg = status;
}

static void changed(s32 wd, u32 mask, u32 cookie, const s8 *name, void *arg)
{
    (void)cookie;
    (void)name;
    if (wd == -1 && (mask & IN_Q_OVERFLOW) != 0)
        ++*(atomic_int *)arg;
}

static void nothing(void *arg)
{
    (void)arg;
}

static int open_descriptors(int *highest)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    *highest = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder)) {
            count++;
            if (atoi(entry->d_name) > *highest)
                *highest = atoi(entry->d_name);
        }
    closedir(folder);
    return count;
}

static atomic_int count;
static pid_t child;

static int make_base(void)
{
    struct msf_event_base *base = msf_event_base_new();
    if (base == NULL)
        return -1;
    msf_event_base_free(base);
    return 0;
}

static int make_loop(void)
{
    struct msf_loop *loop = msf_loop_new(NULL);
    if (loop == NULL)
        return -1;
    msf_loop_free(loop);
    return 0;
}

static int make_group(void)
{
    struct msf_loop_group *group = msf_loop_group_new(4, NULL);
    if (group == NULL)
        return -1;
    msf_loop_group_free(group);
    return 0;
}

static int ended_source(struct msf_source *source)
{
    if (source == NULL)
        return -1;
    msf_source_free(source);
    return 0;
}

static int make_signal(void)
{
    return ended_source(msf_source_new_signal(SIGUSR2, told, &count));
}

static int make_child(void)
{
    return ended_source(msf_source_new_child(child, ended, &count));
}

static int make_inotify(void)
{
    return ended_source(msf_source_new_inotify(changed, &count));
}

static int make_ring(void)
{
    struct msf_shmring_config config = { sizeof(config), 0, 4096, 0, 0 };
    struct msf_shm *shm = msf_shm_new("scarce", msf_shmring_size(&config));
    struct msf_shmring *producer = NULL, *consumer = NULL;
    if (shm != NULL && msf_shmring_format(shm, &config) == 0 && (producer = msf_shmring_producer(shm, -1, -1)) != NULL)
        consumer = msf_shmring_consumer(shm, -1, -1);
    int error = errno, made = consumer != NULL;
    msf_shmring_close(consumer);
    msf_shmring_close(producer);
    msf_shm_close(shm);
    errno = error;
    return made ? 0 : -1;
}

static int make_segment(void)
{
    char name[64];
    snprintf(name, sizeof(name), "msf-scarce-%d", (int)getpid());
    struct msf_shm *shm = msf_shm_create(name, 4096, 0600);
    if (shm == NULL)
        return -1;
    msf_shm_close(shm);
    CHECK_EQ(msf_shm_unlink(name), 0);
    return 0;
}

static int make_timer(void)
{
    int code = msf_timer_init();
    if (code == 0)
        msf_timer_destroy();
    return code;
}

static const struct {
    const char *name;
    int (*make)(void);
} makers[] = {
    { "base", make_base },     { "loop", make_loop },       { "group", make_group }, { "signal", make_signal },
    { "child", make_child },   { "inotify", make_inotify }, { "ring", make_ring },   { "segment", make_segment },
    { "timer", make_timer },
};

enum { MAKERS = sizeof(makers) / sizeof(makers[0]), FREE = 24 };

/* With 0, 1, 2 ... descriptors left each of them fails with EMFILE until it succeeds, and nothing is left open. */
static void few_descriptors(void)
{
    struct rlimit before;

    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    for (size_t which = 0; which < MAKERS; which++) {
        int made = 0, highest, after;

        /* What is made once for the whole process is made now. */
        CHECK_EQ(makers[which].make(), 0);
        for (int few = 0; few < FREE; few++) {
            int open = open_descriptors(&highest);
            /* Holes below the highest one would be descriptors, too. */
            int holes = highest + 1 - open;
            struct rlimit tight = { (rlim_t)(highest + 1 + few), before.rlim_max };
            int fillers[64], filled = 0;
            while (filled < holes && filled < 64)
                fillers[filled++] = dup(2);
            setrlimit(RLIMIT_NOFILE, &tight);
            errno = 0;
            int code = makers[which].make(), error = errno;
            setrlimit(RLIMIT_NOFILE, &before);
            while (filled > 0)
                close(fillers[--filled]);
            if (code == 0)
                made++;
            if (code != 0 && (code != -1 || error != EMFILE || made > 0)) {
                fprintf(stderr, "%s with %d descriptors left: %d, %s\n", makers[which].name, few, code, strerror(error));
                check_failures++;
            }
            int now = open_descriptors(&after);
            if (now != open) {
                fprintf(stderr, "%s with %d descriptors left: %d are open, not %d\n", makers[which].name, few, now, open);
                check_failures++;
            }
        }
        if (made == 0) {
            fprintf(stderr, "%s: %d descriptors are not enough\n", makers[which].name, FREE - 1);
            check_failures++;
        }
    }
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

static void *loops_until(void *base)
{
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    return NULL;
}

static void a_child_that_somebody_else_collects(void)
{
    struct msf_event_base *base = msf_event_base_new();
    pthread_t thread;
    atomic_int status = 12345;

    for (int round = 0; round < 20; round++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(3);
        struct msf_source *source = msf_source_new_child(pid, ended, &status);
        CHECK(source != NULL);
        CHECK_EQ(waitpid(pid, NULL, 0), pid);
        status = 12345;
        CHECK_EQ(msf_source_start(base, source), 0);
        CHECK_EQ(pthread_create(&thread, NULL, loops_until, base), 0);
        CHECK_WITHIN(10000, status != 12345);
        CHECK_EQ(status, -1);
        msf_event_base_loopexit(base);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        msf_source_free(source);
    }
    msf_event_base_free(base);
}

static void a_storm_of_signals(void)
{
    struct msf_event_base *base = msf_event_base_new();
    atomic_int many = 0;
    struct msf_source *source = msf_source_new_signal(SIGUSR1, told, &many);
    pthread_t thread;

    CHECK_EQ(msf_source_start(base, source), 0);
    CHECK_EQ(pthread_create(&thread, NULL, loops_until, base), 0);
    for (int round = 0; round < 200000; round++)
        kill(getpid(), SIGUSR1);
    CHECK_WITHIN(10000, many > 0);
    /* The last one is not lost in the flood. */
    int before = many;
    for (int told_now = before - 1; told_now != many; check_pause())
        told_now = many;
    before = many;
    kill(getpid(), SIGUSR1);
    CHECK_WITHIN(10000, many > before);
    msf_event_base_loopexit(base);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    msf_source_free(source);
    msf_event_base_free(base);
}

static void a_queue_of_changes_that_overflows(void)
{
    char folder[] = "/tmp/msf-scarce-XXXXXX", path[64];
    struct msf_event_base *base = msf_event_base_new();
    atomic_int overflows = 0;
    struct msf_source *source = msf_source_new_inotify(changed, &overflows);
    pthread_t thread;

    CHECK(mkdtemp(folder) != NULL);
    CHECK(msf_source_watch(source, folder, IN_CREATE | IN_DELETE) > 0);
    CHECK_EQ(msf_source_start(base, source), 0);
    for (int round = 0; round < 17000; round++) {
        snprintf(path, sizeof(path), "%s/%d", folder, round % 2);
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        unlink(path);
    }
    CHECK_EQ(pthread_create(&thread, NULL, loops_until, base), 0);
    CHECK_WITHIN(20000, overflows == 1);
    msf_event_base_loopexit(base);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    msf_source_free(source);
    msf_event_base_free(base);
    CHECK_EQ(rmdir(folder), 0);
}

static atomic_int ran, dropped;

static void run_it(void *arg)
{
    (void)arg;
    ran++;
}

static void drop_it(void *arg)
{
    (void)arg;
    dropped++;
}

static atomic_int posted, flooding;

static void *flood(void *loop)
{
    while (flooding) {
        if (msf_loop_post(loop, run_it, drop_it, NULL) == 0)
            posted++;
        else if (errno == ESHUTDOWN)
            break;
        else
            CHECK_EQ(errno, EAGAIN);
    }
    return NULL;
}

/* Whatever was accepted is run or dropped, once, although the loop ends in the middle of the flood. */
static void a_flood_of_jobs_over_the_end_of_a_loop(void)
{
    for (int round = 0; round < 100; round++) {
        struct msf_loop *loop = msf_loop_new(NULL);
        pthread_t threads[4];

        ran = dropped = posted = 0;
        flooding = 1;
        for (int which = 0; which < 4; which++)
            CHECK_EQ(pthread_create(&threads[which], NULL, flood, loop), 0);
        CHECK_WITHIN(10000, ran > 10);
        CHECK_EQ(msf_loop_stop(loop), 0);
        for (int which = 0; which < 4; which++)
            CHECK_EQ(pthread_join(threads[which], NULL), 0);
        CHECK_EQ(msf_loop_join(loop), 0);
        CHECK_FAILS(msf_loop_post(loop, run_it, drop_it, NULL), ESHUTDOWN);
        msf_loop_free(loop);
        CHECK_EQ(ran + dropped, posted);
    }
}

struct suicide {
    struct msf_event_timer *timer;
    atomic_int calls;
};

static void frees_itself(void *arg)
{
    struct suicide *suicide = arg;
    suicide->calls++;
    CHECK_EQ(msf_event_timer_start(suicide->timer, 1, 1), 0);
    msf_event_timer_free(suicide->timer);
}

static void *frees(void *timer)
{
    msf_event_timer_free(timer);
    return NULL;
}

static void timers_that_are_freed_by_all_and_at_any_time(void)
{
    enum { TIMERS = 50 };
    for (int round = 0; round < 20; round++) {
        struct msf_event_base *base = msf_event_base_new();
        struct suicide suicides[TIMERS];
        struct msf_event_timer *left[TIMERS];
        pthread_t thread, freers[TIMERS];

        for (int which = 0; which < TIMERS; which++) {
            suicides[which].calls = 0;
            suicides[which].timer = msf_event_timer_new(base, frees_itself, &suicides[which]);
            left[which] = msf_event_timer_new(base, nothing, NULL);
            CHECK_EQ(msf_event_timer_start(suicides[which].timer, (u64)(which % 3), 1), 0);
            CHECK_EQ(msf_event_timer_start(left[which], (u64)(which % 2), 1), 0);
        }
        CHECK_EQ(pthread_create(&thread, NULL, loops_until, base), 0);
        for (int which = 0; which < TIMERS / 2; which++)
            CHECK_EQ(pthread_create(&freers[which], NULL, frees, left[which]), 0);
        for (int which = 0; which < TIMERS; which++) {
            CHECK_WITHIN(10000, suicides[which].calls > 0);
            CHECK_EQ(suicides[which].calls, 1);
        }
        for (int which = 0; which < TIMERS / 2; which++)
            CHECK_EQ(pthread_join(freers[which], NULL), 0);
        /* The base goes while the others are armed; they are freed when it is gone. */
        msf_event_base_free(base);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        for (int which = TIMERS / 2; which < TIMERS; which++) {
            CHECK(msf_event_timer_start(left[which], 1, 1) == -1);
            msf_event_timer_free(left[which]);
        }
    }
}

int main(void)
{
    few_descriptors();
    a_child_that_somebody_else_collects();
    a_storm_of_signals();
    a_queue_of_changes_that_overflows();
    a_flood_of_jobs_over_the_end_of_a_loop();
    timers_that_are_freed_by_all_and_at_any_time();
    return check_failures != 0;
}
