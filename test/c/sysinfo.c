/*
 * What the machine and its processes use, against what the system says by other ways.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <msf_sysinfo.h>

#include "check.h"

static u64 sum(const struct msf_cpu_times *times)
{
    return times->user_ms + times->nice_ms + times->system_ms + times->idle_ms + times->iowait_ms + times->irq_ms +
           times->softirq_ms + times->steal_ms;
}

static void processors(void)
{
    struct msf_cpu_times all = { .size = sizeof(all) }, each[256], again = { .size = sizeof(again) };
    s32 count, at;

    errno = 4711;
    CHECK_EQ(msf_sysinfo_cpu(MSF_CPU_ALL, &all), 0);
    CHECK_EQ(errno, 4711);
    CHECK_EQ(all.size, sizeof(all));
    CHECK(all.cpu == MSF_CPU_ALL);
    CHECK(sum(&all) > 0);
    each[0].size = sizeof(each[0]);
    count = msf_sysinfo_cpus(each, 256);
    CHECK_EQ(count, sysconf(_SC_NPROCESSORS_ONLN));
    CHECK_EQ(msf_sysinfo_cpus(NULL, 0), count);
    for (at = 0; at < count && at < 256; at++) {
        CHECK_EQ(each[at].size, sizeof(each[at]));
        CHECK(at == 0 || each[at].cpu > each[at - 1].cpu);
        CHECK_EQ(msf_sysinfo_cpu(each[at].cpu, &again), 0);
        CHECK_EQ(again.cpu, each[at].cpu);
        CHECK(sum(&again) >= sum(&each[at]));
    }
    CHECK_FAILS(msf_sysinfo_cpu(1000000, &all), ENOENT);
    CHECK_FAILS(msf_sysinfo_cpu(0, NULL), EINVAL);
    CHECK_FAILS(msf_sysinfo_cpus(NULL, 1), EINVAL);
    all.size = 7;
    CHECK_FAILS(msf_sysinfo_cpu(MSF_CPU_ALL, &all), EINVAL);
}

static void between_two_looks(void)
{
    struct msf_cpu_times before = { .size = sizeof(before) }, after;

    before.user_ms = 100;
    before.idle_ms = 1000;
    after = before;
    CHECK_EQ(msf_cpu_usage(&before, &after), 0);
    after.user_ms += 30;
    after.system_ms += 10;
    after.idle_ms += 50;
    after.iowait_ms += 10;
    CHECK_EQ(msf_cpu_usage(&before, &after), 400);
    after.guest_ms += 30; /* is part of user_ms already */
    CHECK_EQ(msf_cpu_usage(&before, &after), 400);
    CHECK_FAILS(msf_cpu_usage(NULL, &after), EINVAL);
    CHECK_FAILS(msf_cpu_usage(&before, NULL), EINVAL);
}

/* Not sysconf: an emulator of a smaller machine says there what fits into its numbers. */
static u64 total_of_meminfo(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    unsigned long long kib = 0;

    CHECK(file && fscanf(file, "MemTotal: %llu kB", &kib) == 1);
    sfclose(file);
    return (u64)kib * 1024;
}

static void memory(void)
{
    struct msf_memory_usage usage = { .size = sizeof(usage) };

    CHECK_EQ(msf_sysinfo_memory(&usage), 0);
    CHECK(usage.total == total_of_meminfo());
    CHECK(usage.available <= usage.total && usage.free <= usage.total && usage.cached <= usage.total);
    CHECK(usage.used_permille <= 1000);
    CHECK(usage.swap_free <= usage.swap_total);
    CHECK_FAILS(msf_sysinfo_memory(NULL), EINVAL);
}

/* A program built with less, or more, than this library knows. */
static void versions(void)
{
    struct {
        struct msf_memory_usage known;
        u64 later[2];
    } newer;
    struct msf_memory_usage older;

    memset(&newer, 0x5a, sizeof(newer));
    newer.known.size = sizeof(newer.known) + 8;
    CHECK_EQ(msf_sysinfo_memory(&newer.known), 0);
    CHECK(newer.known.total > 0 && newer.later[0] == 0 && newer.later[1] == (u64)0x5a5a5a5a5a5a5a5aULL);
    memset(&older, 0x5a, sizeof(older));
    older.size = offsetof(struct msf_memory_usage, free);
    CHECK_EQ(msf_sysinfo_memory(&older), 0);
    CHECK(older.total > 0 && older.free == (u64)0x5a5a5a5a5a5a5a5aULL);
}

static void disks(void)
{
    struct msf_disk_usage usage = { .size = sizeof(usage) };
    struct statvfs about;

    CHECK_EQ(statvfs("/proc/self", &about), 0);
    CHECK_EQ(msf_sysinfo_disk("/", &usage), 0);
    CHECK_EQ(statvfs("/", &about), 0);
    CHECK(usage.total == (u64)about.f_blocks * about.f_frsize);
    CHECK(usage.block == about.f_frsize && usage.available <= usage.free && usage.used_permille <= 1000);
    CHECK_FAILS(msf_sysinfo_disk("/nowhere/at/all", &usage), ENOENT);
    CHECK_FAILS(msf_sysinfo_disk("/proc/self/stat/x", &usage), ENOTDIR);
    CHECK_FAILS(msf_sysinfo_disk(NULL, &usage), EINVAL);
    CHECK_FAILS(msf_sysinfo_disk("/", NULL), EINVAL);
}

static void *wait_for_end(void *mutex)
{
    pthread_mutex_lock(mutex);
    pthread_mutex_unlock(mutex);
    return NULL;
}

/* Has a second thread, three more descriptors and half a second of processor time; tells so, and waits. */
static void be_busy(int told, int end)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread;
    struct rusage used;
    int spare[3], at;
    char byte;

    for (at = 0; at < 3; at++)
        spare[at] = open("/dev/null", O_RDONLY);
    pthread_mutex_lock(&mutex);
    if (spare[2] < 0 || pthread_create(&thread, NULL, wait_for_end, &mutex) != 0)
        _exit(2);
    do {
        getrusage(RUSAGE_SELF, &used);
    } while (used.ru_utime.tv_sec * 10 + used.ru_utime.tv_usec / 100000 < 2);
    if (write(told, "+", 1) != 1 || read(end, &byte, 1) != 0)
        _exit(2);
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
    _exit(0);
}

static void a_process(void)
{
    struct msf_process_usage self = { .size = sizeof(self) }, usage = { .size = sizeof(usage) };
    int told[2], end[2], status;
    pid_t child;
    char byte;

    CHECK_EQ(msf_sysinfo_process(0, &self), 0);
    CHECK_EQ(self.pid, getpid());
    CHECK(self.rss > 100000 && self.vsize >= self.rss && self.shared <= self.rss);
    CHECK(pipe(told) == 0 && pipe(end) == 0);
    child = fork();
    if (child == 0) {
        close(end[1]);
        be_busy(told[1], end[0]);
    }
    CHECK(read(told[0], &byte, 1) == 1);
    CHECK_EQ(msf_sysinfo_process(child, &usage), 0);
    CHECK_EQ(usage.pid, child);
    CHECK_EQ(usage.parent, getpid());
    CHECK(usage.threads >= 2 && usage.user_ms + usage.system_ms >= 190);
    /* Three more than we had with our four ends, less the one it closed. */
    CHECK_EQ(usage.fds, self.fds + 4 + 3 - 1);
    CHECK(usage.started_ms > 0 && strlen(usage.name) > 0 && strchr("RSD", (int)usage.state) != NULL);
    close(end[1]);
    CHECK_WITHIN(10000, msf_sysinfo_process(child, &usage) == 0 && usage.state == 'Z');
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK_FAILS(msf_sysinfo_process(child, &usage), ESRCH);
    CHECK_FAILS(msf_sysinfo_process(-5, &usage), ESRCH);
    CHECK_FAILS(msf_sysinfo_process(0, NULL), EINVAL);
    close(end[0]);
    close(told[0]);
    close(told[1]);
}

int main(void)
{
    processors();
    between_two_looks();
    memory();
    versions();
    disks();
    a_process();
    return check_verdict();
}
