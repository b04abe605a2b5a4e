/* Threads: started with attributes, moved, named, made more or less urgent; the short names of pthread's locks. */
#include <limits.h>
#include <msf_os.h>
#include <msf_sem.h>
#include <msf_thread.h>
#include <stdatomic.h>

#include "apart.h"
#include "check.h"

#define FAR 60000 /* no machine of ours has so many processors */

static sem_t begun, go_on;
static s8 seen_name[MSF_THREAD_NAME_LEN];
static s32 seen_sched, seen_priority;
static u32 seen_cpu, seen_count;
static int seen_sigpipe;

static void *look(void *arg)
{
    sigset_t mask;

    CHECK_EQ(msf_thread_name_get(pthread_self(), seen_name, sizeof(seen_name)), 0);
    CHECK_EQ(msf_thread_sched_get(0, &seen_sched, &seen_priority), 0);
    seen_count = (u32)msf_cpu_list(MSF_PIN_INHERIT, 0, &seen_cpu, 1);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    seen_sigpipe = sigismember(&mask, SIGPIPE);
    msf_sem_post(&begun);
    return arg;
}

static void *result_of(pthread_t thread)
{
    void *result = NULL;

    CHECK_EQ(pthread_join(thread, &result), 0);
    return result;
}

static u32 a_processor(void)
{
    u32 cpu = 0;

    CHECK(msf_cpu_list(MSF_PIN_INHERIT, 0, &cpu, 1) > 0);
    return cpu;
}

static void a_thread_begins_as_it_was_to_be(void)
{
    struct msf_thread_attr attr = { .size = sizeof(attr), .name = "fifteen letters", .stack = 1 << 20,
                                    .pin = MSF_PIN_CPU, .sched = MSF_SCHED_BATCH, .priority = 15 };
    pthread_t thread;

    attr.place = a_processor();
    errno = 4711;
    CHECK_EQ(msf_thread_spawn(&attr, look, &attr, &thread), 0);
    CHECK_EQ(errno, 4711);
    CHECK(result_of(thread) == &attr);
    CHECK(strcmp(seen_name, "fifteen letters") == 0);
    CHECK_EQ(seen_sched, MSF_SCHED_BATCH);
    CHECK_EQ(seen_priority, 15);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen_cpu, attr.place);
    CHECK_EQ(seen_sigpipe, 1);
    msf_sem_wait(&begun, MSF_NO_WAIT);
}

static void without_attributes_it_is_like_its_starter(void)
{
    struct msf_thread_attr attr = { .size = sizeof(attr) };
    pthread_t thread;

    CHECK_EQ(msf_thread_spawn(&attr, look, NULL, &thread), 0);
    result_of(thread);
    CHECK_EQ(seen_sched, MSF_SCHED_OTHER);
    CHECK_EQ(seen_count, msf_cpu_list(MSF_PIN_INHERIT, 0, NULL, 0));
    CHECK_EQ(msf_thread_spawn(NULL, look, &attr, &thread), 0);
    CHECK(result_of(thread) == &attr);
    CHECK_EQ(pthread_spawn(&thread, look, NULL), 0);
    result_of(thread);
    CHECK_FAILS(msf_pthread_spawn(NULL, look, NULL), EINVAL);
    CHECK_FAILS(msf_pthread_spawn(&thread, NULL, NULL), EINVAL);
    while (msf_sem_wait(&begun, MSF_NO_WAIT) == 0)
        ;
}

static void nobody_joins_a_detached_thread(void)
{
    struct msf_thread_attr attr = { .size = sizeof(attr), .detached = 1 };

    CHECK_EQ(msf_thread_spawn(&attr, look, NULL, NULL), 0);
    CHECK_EQ(msf_sem_wait(&begun, 10000), 0);
}

static void *exits(void *arg)
{
    pthread_exit(arg);
    return NULL;
}

static void *waits(void *arg)
{
    msf_sem_post(&begun);
    msf_sem_wait(&go_on, MSF_WAIT_FOREVER);
    return arg;
}

static void a_thread_may_exit_and_be_cancelled(void)
{
    struct msf_thread_attr attr = { .size = sizeof(attr), .name = "leaves" };
    pthread_t thread;

    CHECK_EQ(msf_thread_spawn(&attr, exits, &attr, &thread), 0);
    CHECK(result_of(thread) == &attr);
    CHECK_EQ(msf_thread_spawn(&attr, waits, &attr, &thread), 0);
    CHECK_EQ(msf_sem_wait(&begun, 10000), 0);
    CHECK_EQ(pthread_cancel(thread), 0);
    CHECK(result_of(thread) == PTHREAD_CANCELED);
}

static void *must_not_run(void *arg)
{
    CHECK(arg == NULL && "this thread was not to begin");
    return NULL;
}

/* Spawns with attr changed by one assignment. */
#define SPAWNED(change) (attr = usual, (change), msf_thread_spawn(&attr, must_not_run, &attr, &thread))

static void what_cannot_be_is_told_and_does_not_begin(void)
{
    const struct msf_thread_attr usual = { .size = sizeof(usual) };
    struct msf_thread_attr attr;
    pthread_t thread;

    CHECK_FAILS((attr = usual, msf_thread_spawn(&attr, NULL, NULL, &thread)), EINVAL);
    CHECK_FAILS(msf_thread_spawn(&usual, must_not_run, &attr, NULL), EINVAL);
    CHECK_FAILS(SPAWNED(attr.size = 0), EINVAL);
    CHECK_FAILS(SPAWNED(attr.pin = MSF_PIN_EACH), EINVAL);
    CHECK_FAILS(SPAWNED(attr.pin = -1), EINVAL);
    CHECK_FAILS(SPAWNED((attr.pin = MSF_PIN_CPU, attr.place = FAR)), EINVAL);
    CHECK_FAILS(SPAWNED((attr.pin = MSF_PIN_CORE, attr.place = FAR)), EINVAL);
    CHECK_FAILS(SPAWNED((attr.pin = MSF_PIN_NODE, attr.place = FAR)), EINVAL);
    CHECK_FAILS(SPAWNED(attr.stack = 1), EINVAL);
    CHECK_FAILS(SPAWNED(attr.sched = 6), EINVAL);
    CHECK_FAILS(SPAWNED((attr.sched = MSF_SCHED_OTHER, attr.priority = 20)), EINVAL);
    CHECK_FAILS(SPAWNED((attr.sched = MSF_SCHED_RR, attr.priority = 0)), EINVAL);
    CHECK_FAILS((attr = usual, attr.name = "sixteen letters!", msf_thread_spawn(&attr, must_not_run, &attr, &thread)),
                ERANGE);
}

static void threads_are_moved(void)
{
    u32 cpus[1024], count = (u32)msf_cpu_list(MSF_PIN_INHERIT, 0, cpus, 1024), all[1024], last;
    struct msf_cpu place = { .size = sizeof(place) };

    CHECK(0 < count && count <= 1024);
    last = cpus[count - 1];
    CHECK_EQ(msf_cpu_describe(last, &place), 0);
    CHECK_EQ(msf_thread_pin(0, MSF_PIN_CPU, last), 0);
    CHECK_EQ(msf_cpu_list(MSF_PIN_INHERIT, 0, all, 1024), 1);
    CHECK_EQ(all[0], last);
    CHECK_EQ(msf_get_current_cpu(), last);
    CHECK_EQ(msf_thread_pin(0, MSF_PIN_CORE, place.core), 0);
    CHECK_EQ(msf_thread_pin(0, MSF_PIN_NODE, place.node), 0);
    CHECK_EQ(msf_thread_pin(0, MSF_PIN_ANYWHERE, 0), 0);
    CHECK_EQ(msf_thread_pin((pid_t)msf_gettid(), MSF_PIN_CPU, cpus[0]), 0);
    CHECK_EQ(msf_thread_pin_cpus(0, cpus, count), 0);
    CHECK_EQ(msf_cpu_list(MSF_PIN_INHERIT, 0, all, 1024), count);
    CHECK(memcmp(all, cpus, count * sizeof(*cpus)) == 0);

    cpus[0] = FAR;
    CHECK_FAILS(msf_thread_pin(0, MSF_PIN_CPU, FAR), EINVAL);
    CHECK_FAILS(msf_thread_pin(0, MSF_PIN_INHERIT, 0), EINVAL);
    CHECK_FAILS(msf_thread_pin(INT_MAX, MSF_PIN_CPU, last), ESRCH);
    CHECK_FAILS(msf_thread_pin_cpus(0, cpus, 1), EINVAL);
    CHECK_FAILS(msf_thread_pin_cpus(0, NULL, 1), EINVAL);
    CHECK_FAILS(msf_thread_pin_cpus(0, cpus, 0), EINVAL);
    CHECK_FAILS(msf_thread_pin_cpus(INT_MAX, &last, 1), ESRCH);
}

static void threads_have_names(void)
{
    s8 name[MSF_THREAD_NAME_LEN] = "";

    CHECK_EQ(msf_thread_name_set(pthread_self(), "first"), 0);
    CHECK_EQ(msf_thread_name_get(pthread_self(), name, sizeof(name)), 0);
    CHECK(strcmp(name, "first") == 0);
    CHECK_EQ(msf_thread_name("a name that is cut off"), 0);
    CHECK_EQ(msf_thread_name_get(pthread_self(), name, sizeof(name)), 0);
    CHECK(strcmp(name, "a name that is ") == 0);
    CHECK_FAILS(msf_thread_name_set(pthread_self(), NULL), EINVAL);
    CHECK_FAILS(msf_thread_name_set(pthread_self(), "sixteen letters!"), ERANGE);
    CHECK_FAILS(msf_thread_name_get(pthread_self(), NULL, 16), EINVAL);
    CHECK_FAILS(msf_thread_name_get(pthread_self(), name, 3), ERANGE);
}

static void *changes_its_class(void *arg)
{
    static const struct { s32 sched, priority; } classes[] = {
        { MSF_SCHED_BATCH, 16 }, { MSF_SCHED_OTHER, 17 }, { MSF_SCHED_IDLE, 0 }, { MSF_SCHED_FIFO, 1 }, { MSF_SCHED_RR, 99 },
    };
    s32 sched = 0, priority = 0;

    for (size_t i = 0; i < _ARRAY_SIZE(classes); i++) {
        if (msf_thread_sched_set(0, classes[i].sched, classes[i].priority) == 0) {
            CHECK_EQ(msf_thread_sched_get((pid_t)msf_gettid(), &sched, &priority), 0);
            CHECK_EQ(sched, classes[i].sched);
            CHECK_EQ(priority, classes[i].priority);
        } else {
            CHECK(classes[i].sched >= MSF_SCHED_FIFO && errno == EPERM); /* real time is for the privileged */
        }
    }
    CHECK_FAILS(msf_thread_sched_set(0, MSF_SCHED_INHERIT, 0), EINVAL);
    CHECK_FAILS(msf_thread_sched_set(0, MSF_SCHED_FIFO, 100), EINVAL);
    CHECK_FAILS(msf_thread_sched_set(0, MSF_SCHED_BATCH, 300), EINVAL);
    CHECK_FAILS(msf_thread_sched_set(INT_MAX, MSF_SCHED_IDLE, 0), ESRCH);
    CHECK_FAILS(msf_thread_sched_set(-1, MSF_SCHED_IDLE, 0), ESRCH);
    CHECK_FAILS(msf_thread_sched_get(-1, &sched, &priority), ESRCH);
    CHECK_FAILS(msf_thread_sched_get(INT_MAX, &sched, &priority), ESRCH);
    CHECK_FAILS(msf_thread_sched_get(0, NULL, &priority), EINVAL);
    return arg;
}

static void classes_are_set_and_told(void)
{
    pthread_t thread;

    CHECK_EQ(msf_pthread_spawn(&thread, changes_its_class, NULL), 0);
    result_of(thread);
}

/* What only the privileged may do, seen by a child that is not. */
static int the_unprivileged_are_refused(int was_root)
{
    const struct msf_thread_attr usual = { .size = sizeof(usual) };
    struct msf_thread_attr attr;
    struct rlimit none = { 0, 0 };
    u32 cpu = a_processor();
    pthread_t thread;

    CHECK_FAILS((attr = usual, attr.sched = MSF_SCHED_FIFO, attr.priority = 1,
                 msf_thread_spawn(&attr, must_not_run, &attr, &thread)), EPERM);
    CHECK_FAILS((attr = usual, attr.sched = MSF_SCHED_OTHER, attr.priority = -5,
                 msf_thread_spawn(&attr, must_not_run, &attr, &thread)), EACCES);
    CHECK_FAILS(msf_thread_sched_set(0, MSF_SCHED_RR, 1), EPERM);
    CHECK_FAILS(msf_thread_sched_set(0, MSF_SCHED_BATCH, -5), EACCES);
    if (was_root) {
        CHECK_FAILS(msf_thread_pin(getppid(), MSF_PIN_CPU, cpu), EPERM);
        CHECK_FAILS(msf_thread_pin_cpus(getppid(), &cpu, 1), EPERM);
        setrlimit(RLIMIT_NPROC, &none);
        CHECK_FAILS((attr = usual, msf_thread_spawn(&attr, must_not_run, &attr, &thread)), EAGAIN);
        CHECK_FAILS(msf_pthread_spawn(&thread, must_not_run, &attr), EAGAIN);
    }
    return check_verdict();
}

static pthread_spinlock_t spin;
static pthread_mutex_t mutex;
static pthread_cond_t changed;
static long counted;
static int ready;

static void *counts(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        msf_spin_lock(&spin);
        counted++;
        msf_spin_unlock(&spin);
    }
    msf_mutex_lock(&mutex);
    ready++;
    msf_cond_signal(&changed);
    msf_mutex_unlock(&mutex);
    msf_sched_yield();
    return arg;
}

static void the_short_names_are_pthreads_locks(void)
{
    pthread_t threads[2];

    CHECK_EQ(msf_spin_init(&spin), 0);
    CHECK_EQ(msf_mutex_init(&mutex), 0);
    CHECK_EQ(msf_cond_init(&changed), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(msf_pthread_spawn(&threads[i], counts, NULL), 0);
    msf_mutex_lock(&mutex);
    while (ready < 2)
        msf_cond_wait(&changed, &mutex);
    msf_mutex_unlock(&mutex);
    CHECK_EQ(counted, 20000);
    for (int i = 0; i < 2; i++)
        result_of(threads[i]);
    CHECK_EQ(msf_cond_broadcast(&changed), 0);
    CHECK_EQ(msf_cond_destroy(&changed), 0);
    CHECK_EQ(msf_mutex_destroy(&mutex), 0);
    CHECK_EQ(msf_spin_destroy(&spin), 0);
    CHECK_EQ(msf_getpid(), getpid());
    CHECK_EQ(msf_gettid(), getpid());
}

int main(void)
{
    msf_sem_init(&begun);
    msf_sem_init(&go_on);
    a_thread_begins_as_it_was_to_be();
    without_attributes_it_is_like_its_starter();
    nobody_joins_a_detached_thread();
    a_thread_may_exit_and_be_cancelled();
    what_cannot_be_is_told_and_does_not_begin();
    threads_are_moved();
    threads_have_names();
    classes_are_set_and_told();
    CHECK_EQ(apart_unprivileged(the_unprivileged_are_refused), 0);
    the_short_names_are_pthreads_locks();
    return check_verdict();
}
