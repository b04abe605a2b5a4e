/* A million operations on timers leave the process as large as they found it. */
#include <check.h>
#include <msf_event.h>
#include <stdatomic.h>

#define TIMERS 1000
#define OPERATIONS 1000000
#define SLACK_KB 1024 /* what malloc and the sanitizers may keep for themselves */

/* ASAN keeps what was freed, 256 MB of it, unless it is told otherwise. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

static struct msf_event_base *base;
static struct msf_event_timer *timers[TIMERS], *ender;
static int calls;
static atomic_int done;

static void count(void *args)
{
    (void)args;
    calls++;
}

static void leave(void *args)
{
    (void)args;
    msf_event_base_loopexit(base);
}

static s32 count_and_keep(void *args)
{
    (void)args;
    return ++done != 100;
}

static long resident_kb(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    CHECK(file != NULL);
    if (file != NULL) {
        CHECK_EQ(fscanf(file, "%*s %ld", &pages), 1);
        fclose(file);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Starts, stops, frees, makes and fires; every so often the loop runs. */
static void operate(long operations)
{
    unsigned random = 1;

    for (long i = 0; i < operations; i++) {
        unsigned at;

        random = random * 1103515245 + 12345;
        at = (random >> 8) % TIMERS;
        switch (random >> 20 & 7) {
        case 0:
            msf_event_timer_stop(timers[at]);
            break;
        case 1:
            msf_event_timer_free(timers[at]);
            timers[at] = msf_event_timer_new(base, count, NULL);
            break;
        case 2:
            msf_event_timer_start(timers[at], random >> 24, 1);
            break;
        default:
            msf_event_timer_start(timers[at], random >> 20, 0);
        }
        if (i % 10000 == 9999) {
            msf_event_timer_start(ender, 1, 0);
            CHECK_EQ(msf_event_base_dispatch(base), 0);
        }
    }
}

static void operate_by_number(int times)
{
    for (int i = 0; i < times; i++) {
        done = 0;
        CHECK_EQ(msf_timer_add(1, 1, count_and_keep, NULL, LIMIT_TIMER, 3), 1);
        for (u32 id = 2; id < 1000; id++)
            CHECK_EQ(msf_timer_add(id, 3600000, count_and_keep, NULL, CYCLE_TIMER, 0), id);
        for (u32 id = 2; id < 1000; id++)
            CHECK_EQ(msf_timer_remove(id), 0);
        CHECK_WITHIN(20000, done == 3);
    }
}

int main(void)
{
    long before;

    base = msf_event_base_new();
    ender = msf_event_timer_new(base, leave, NULL);
    for (int i = 0; i < TIMERS; i++)
        timers[i] = msf_event_timer_new(base, count, NULL);
    CHECK_EQ(msf_timer_init(), 0);
    operate(OPERATIONS / 5);
    operate_by_number(20);
    before = resident_kb();
    operate(OPERATIONS);
    operate_by_number(100);
    CHECK(calls > 0);
    before = resident_kb() - before;
    if (before > SLACK_KB)
        fprintf(stderr, "%ld KB more\n", before);
    CHECK(before <= SLACK_KB);
    msf_timer_destroy();
    for (int i = 0; i < TIMERS; i++)
        msf_event_timer_free(timers[i]);
    msf_event_timer_free(ender);
    msf_event_base_free(base);
    return check_verdict();
}
