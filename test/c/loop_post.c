/* Jobs posted to bases and loops: who runs them, in which order, and what happens to those that are not run. */
#define _GNU_SOURCE
#include <check.h>
#include <msf_loop.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

static int runs, drops, last, out_of_order;
static struct msf_event_base *base;
static struct msf_loop *worker;

static void count(void *arg)
{
    (void)arg;
    __atomic_add_fetch(&runs, 1, __ATOMIC_RELEASE);
}

static void count_drop(void *arg)
{
    (void)arg;
    __atomic_add_fetch(&drops, 1, __ATOMIC_RELEASE);
}

static int ran(void)
{
    return __atomic_load_n(&runs, __ATOMIC_ACQUIRE);
}

static void in_order(void *arg)
{
    int number = (int)(intptr_t)arg;

    if (number != last + 1)
        out_of_order++;
    last = number;
    count(NULL);
}

static void leave(void *arg)
{
    (void)arg;
    msf_event_base_loopexit(base);
}

static void stop_this(void *arg)
{
    (void)arg;
    msf_loop_stop(msf_loop_current());
}

static s32 post_patiently(void (*run)(void *), void *arg)
{
    s32 code;

    while ((code = msf_event_base_post(base, run, NULL, arg)) == -1 && errno == EAGAIN)
        sched_yield();
    return code;
}

static void *post_ten_thousand(void *arg)
{
    (void)arg;
    for (int number = 1; number <= 10000; number++)
        CHECK_EQ(post_patiently(in_order, (void *)(intptr_t)number), 0);
    CHECK_EQ(post_patiently(leave, NULL), 0);
    return NULL;
}

static void any_thread_posts_to_a_base_that_somebody_dispatches(void)
{
    pthread_t poster;

    runs = last = 0;
    base = msf_event_base_new();
    CHECK_FAILS(msf_event_base_post(NULL, count, NULL, NULL), EINVAL);
    CHECK_FAILS(msf_event_base_post(base, NULL, count_drop, NULL), EINVAL);
    CHECK_EQ(pthread_create(&poster, NULL, post_ten_thousand, NULL), 0);
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    pthread_join(poster, NULL);
    CHECK_EQ(runs, 10000);
    CHECK_EQ(out_of_order, 0);
    msf_event_base_free(base);
}

static void full_mailbox_refuses_and_touches_nothing(void)
{
    int accepted = 0;

    runs = drops = 0;
    base = msf_event_base_new();
    errno = 77;
    while (accepted < 5000 && msf_event_base_post(base, count, count_drop, NULL) == 0)
        accepted++;
    CHECK_EQ(errno, EAGAIN);
    CHECK_EQ(accepted, 1024);
    CHECK_FAILS(msf_event_base_post(base, count, count_drop, NULL), EAGAIN);
    CHECK_EQ(drops, 0);
    CHECK_EQ(msf_event_base_wait(base), 0);
    CHECK_EQ(runs, 1024);
    CHECK_EQ(msf_event_base_post(base, count, count_drop, NULL), 0);
    CHECK_EQ(msf_event_base_post(base, count, NULL, NULL), 0);
    msf_event_base_free(base); /* with two in it */
    CHECK_EQ(runs, 1024);
    CHECK_EQ(drops, 1);
}

static void tell_current(void *arg)
{
    *(struct msf_loop **)arg = msf_loop_current();
    count(NULL);
}

static void tell_cpu(void *arg)
{
    *(u32 *)arg = (u32)sched_getcpu();
    count(NULL);
}

static u32 last_cpu(void)
{
    cpu_set_t ours;
    u32 cpu = CPU_SETSIZE - 1;

    CHECK_EQ(sched_getaffinity(0, sizeof ours, &ours), 0);
    while (cpu > 0 && !CPU_ISSET(cpu, &ours))
        cpu--;
    return cpu;
}

static void post_again(void *arg)
{
    CHECK_EQ(msf_loop_post(msf_loop_current(), count, NULL, arg), 0);
}

static void loop_has_a_thread_of_its_own(void)
{
    struct msf_loop_options options = { .size = sizeof options, .flags = MSF_LOOP_PIN, .mailbox = 2, .name = "worker" };
    struct msf_loop *seen = NULL;
    u32 cpu = 0;

    /* The number the system has for it, also where we may not use the first one. */
    options.cpu = last_cpu();
    runs = 0;
    worker = msf_loop_new(&options);
    CHECK(worker != NULL);
    CHECK_NULL(msf_loop_current(), ENOENT);
    CHECK_EQ(msf_loop_post(worker, tell_current, NULL, &seen), 0);
    CHECK_WITHIN(5000, ran() == 1);
    CHECK(seen == worker);
    CHECK_EQ(msf_loop_post(worker, tell_cpu, NULL, &cpu), 0);
    CHECK_WITHIN(5000, ran() == 2);
    CHECK_EQ(cpu, options.cpu);
    runs = 1;
    CHECK_EQ(msf_loop_post(worker, post_again, NULL, NULL), 0);
    CHECK_WITHIN(5000, ran() == 2);
    CHECK_FAILS(msf_loop_post(NULL, count, NULL, NULL), EINVAL);
    CHECK_FAILS(msf_loop_post(worker, NULL, NULL, NULL), EINVAL);
    CHECK_FAILS(msf_loop_join(NULL), EINVAL);
    CHECK_FAILS(msf_loop_stop(NULL), EINVAL);
    CHECK_EQ(msf_loop_stop(worker), 0);
    CHECK_EQ(msf_loop_join(worker), 0);
    CHECK_FAILS(msf_loop_join(worker), EINVAL);
    CHECK_FAILS(msf_loop_post(worker, count, count_drop, NULL), ESHUTDOWN);
    CHECK_FAILS(msf_event_base_post(msf_loop_base(worker), count, NULL, NULL), ESHUTDOWN);
    msf_loop_free(worker);
    msf_loop_free(NULL);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_the_gate(void *arg)
{
    count(arg);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void what_waits_when_a_loop_ends_is_dropped(void)
{
    struct msf_loop_options options = { .size = sizeof options, .mailbox = 2 };

    runs = drops = 0;
    worker = msf_loop_new(&options);
    pthread_mutex_lock(&gate);
    CHECK_EQ(msf_loop_post(worker, wait_at_the_gate, NULL, NULL), 0);
    CHECK_WITHIN(5000, ran() == 1);
    CHECK_EQ(msf_loop_post(worker, count, count_drop, NULL), 0);
    CHECK_EQ(msf_loop_post(worker, count, count_drop, NULL), 0);
    CHECK_FAILS(msf_loop_post(worker, count, count_drop, NULL), EAGAIN);
    CHECK_EQ(msf_loop_stop(worker), 0);
    pthread_mutex_unlock(&gate);
    CHECK_EQ(msf_loop_join(worker), 0);
    CHECK_EQ(runs, 1);
    CHECK_EQ(drops, 2);
    msf_loop_free(worker);

    /* A job that stops the loop lets everything before it run. */
    runs = drops = 0;
    worker = msf_loop_new(NULL);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(msf_loop_post(worker, count, count_drop, NULL), 0);
    CHECK_EQ(msf_loop_post(worker, stop_this, NULL, NULL), 0);
    CHECK_EQ(msf_loop_join(worker), 0);
    CHECK_EQ(runs, 100);
    CHECK_EQ(drops, 0);
    msf_loop_free(worker);
}

static void join_yourself_and_free_yourself(void *arg)
{
    CHECK_FAILS(msf_loop_join(arg), EDEADLK);
    msf_loop_free(arg);
    CHECK_NULL(msf_loop_current(), ENOENT);
    count(NULL);
}

static void loop_may_be_freed_by_its_own_job(void)
{
    runs = 0;
    worker = msf_loop_new(NULL);
    CHECK_EQ(msf_loop_post(worker, join_yourself_and_free_yourself, NULL, worker), 0);
    CHECK_WITHIN(5000, ran() == 1);
}

static void read_and_stop(void *arg)
{
    char byte;

    if (read(*(s32 *)arg, &byte, 1) == 1)
        count(NULL);
    stop_this(NULL);
}

static void base_of_a_loop_takes_events(void)
{
    struct msf_event *event;
    s32 ends[2];

    runs = 0;
    CHECK_EQ(pipe(ends), 0);
    worker = msf_loop_new(NULL);
    CHECK_NULL(msf_loop_base(NULL), EINVAL);
    event = msf_event_new(ends[0], read_and_stop, NULL, NULL, &ends[0]);
    CHECK_EQ(msf_event_add(msf_loop_base(worker), event), 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(msf_loop_join(worker), 0);
    CHECK_EQ(runs, 1);
    msf_loop_free(worker);
    msf_event_free(event);
    close(ends[0]);
    close(ends[1]);
}

static void *post_a_stop(void *arg)
{
    CHECK_EQ(msf_loop_post(arg, stop_this, NULL, NULL), 0);
    return NULL;
}

static void adopted_base_is_the_loop_of_its_thread(void)
{
    pthread_t poster;

    base = msf_event_base_new();
    CHECK_NULL(msf_loop_adopt(NULL), EINVAL);
    worker = msf_loop_adopt(base);
    CHECK(worker != NULL && msf_loop_current() == worker && msf_loop_base(worker) == base);
    CHECK_NULL(msf_loop_adopt(base), EBUSY);
    CHECK_FAILS(msf_loop_join(worker), EDEADLK);
    CHECK_EQ(pthread_create(&poster, NULL, post_a_stop, worker), 0);
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    pthread_join(poster, NULL);
    msf_loop_free(worker);
    CHECK_NULL(msf_loop_current(), ENOENT);
    msf_event_base_free(base);
}

static void *join_adopted(void *arg)
{
    CHECK_FAILS(msf_loop_join(arg), EINVAL);
    return NULL;
}

static void adopted_base_has_no_thread_to_wait_for(void)
{
    pthread_t other;

    base = msf_event_base_new();
    worker = msf_loop_adopt(base);
    CHECK_EQ(pthread_create(&other, NULL, join_adopted, worker), 0);
    pthread_join(other, NULL);
    msf_loop_free(worker);
    msf_event_base_free(base);
}

static void group_hands_out_its_loops(void)
{
    struct msf_loop_options options = { .size = sizeof options, .flags = MSF_LOOP_PIN, .name = "g" };
    struct msf_loop_group *group = msf_loop_group_new(3, &options), *per_cpu = msf_loop_group_new(0, NULL);
    struct msf_loop *first = msf_loop_group_next(group), *second = msf_loop_group_next(group);
    cpu_set_t ours;

    runs = 0;
    CHECK_EQ(msf_loop_group_count(group), 3);
    CHECK_EQ(sched_getaffinity(0, sizeof ours, &ours), 0);
    CHECK_EQ(msf_loop_group_count(per_cpu), CPU_COUNT(&ours));
    CHECK(first == msf_loop_group_at(group, 0) && second == msf_loop_group_at(group, 1));
    CHECK(msf_loop_group_next(group) != second && msf_loop_group_next(group) == first);
    CHECK(msf_loop_group_for(group, 42) == msf_loop_group_for(group, 42));
    for (u32 i = 0; i < 3; i++)
        CHECK_EQ(msf_loop_post(msf_loop_group_at(group, i), count, NULL, NULL), 0);
    CHECK_WITHIN(5000, ran() == 3);
    msf_loop_free(first); /* the group's: stays */
    CHECK_EQ(msf_loop_post(first, count, NULL, NULL), 0);
    CHECK_WITHIN(5000, ran() == 4);
    CHECK_FAILS(msf_loop_group_count(NULL), EINVAL);
    CHECK_NULL(msf_loop_group_at(NULL, 0), EINVAL);
    CHECK_NULL(msf_loop_group_at(group, 3), EINVAL);
    CHECK_NULL(msf_loop_group_next(NULL), EINVAL);
    CHECK_NULL(msf_loop_group_for(NULL, 1), EINVAL);
    msf_loop_group_free(group);
    msf_loop_group_free(per_cpu);
    msf_loop_group_free(NULL);
}

static void options_are_checked_and_descriptors_may_run_out(void)
{
    struct msf_loop_options options = { .size = 4 };
    struct rlimit before, none;

    CHECK_NULL(msf_loop_new(&options), EINVAL);
    CHECK_NULL(msf_loop_group_new(1, &options), EINVAL);
    options.size = sizeof options;
    options.flags = 2;
    CHECK_NULL(msf_loop_new(&options), EINVAL);
    options.flags = MSF_LOOP_PIN;
    options.cpu = 1000000;
    CHECK_NULL(msf_loop_new(&options), EINVAL);
    options.flags = 0;
    options.mailbox = (1u << 24) + 1;
    CHECK_NULL(msf_loop_new(&options), EINVAL);
    CHECK_NULL(msf_loop_group_new(1000000, NULL), EINVAL);

    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    CHECK_NULL(msf_loop_new(NULL), EMFILE);
    CHECK_NULL(msf_loop_group_new(2, NULL), EMFILE);
    CHECK_NULL(msf_event_base_new(), EMFILE);
    setrlimit(RLIMIT_NOFILE, &before);
}

int main(void)
{
    any_thread_posts_to_a_base_that_somebody_dispatches();
    full_mailbox_refuses_and_touches_nothing();
    loop_has_a_thread_of_its_own();
    what_waits_when_a_loop_ends_is_dropped();
    loop_may_be_freed_by_its_own_job();
    base_of_a_loop_takes_events();
    adopted_base_is_the_loop_of_its_thread();
    adopted_base_has_no_thread_to_wait_for();
    group_hands_out_its_loops();
    options_are_checked_and_descriptors_may_run_out();
    return check_verdict();
}
