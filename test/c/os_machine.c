/* The machine's description, two looks at the processors, places of threads and of the process, priorities. */
#include <limits.h>
#include <msf_cpu.h>
#include <msf_os.h>
#include <stdatomic.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "apart.h"
#include "check.h"

#define FAR 60000 /* no machine of ours has so many processors */

static void the_description_is_this_machine(void)
{
    struct msf_os *os = msf_get_os();
    struct utsname name;

    CHECK(os != NULL && os->pagesize == 0);
    errno = 4711;
    CHECK_EQ(msf_os_init(), 0);
    CHECK_EQ(errno, 4711);
    CHECK(msf_get_os() == os);
    CHECK_EQ(uname(&name), 0);
    CHECK(strcmp((char *)os->sysname, name.sysname) == 0);
    CHECK(strncmp((char *)os->nodename, name.nodename, 63) == 0);
    CHECK(strncmp((char *)os->release, name.release, 63) == 0);
    CHECK(strncmp((char *)os->version, name.version, 63) == 0);
    CHECK(strcmp((char *)os->machine, name.machine) == 0);
    CHECK(strlen((char *)os->domainname) <= 64);
    CHECK_EQ(os->pagesize, sysconf(_SC_PAGESIZE));
    CHECK_EQ(1u << os->pagesize_shift, os->pagesize);
    CHECK(os->cacheline_size >= 16 && (os->cacheline_size & (os->cacheline_size - 1)) == 0);
    CHECK(os->memsize > 0 && os->memsize == (u64)os->pagenum_all * os->pagesize / MB);
    CHECK(0 < os->pagenum_ava && os->pagenum_ava <= os->pagenum_all);
    CHECK(0 < os->cpuonline && os->cpuonline <= os->cpuconf);
    CHECK_EQ(os->maxfileopen, sysconf(_SC_OPEN_MAX));
    CHECK(os->maxsocket > 0 && os->tickspersec == 100 && os->maxhostname >= 64 && os->maxloginname > 8);
    CHECK(strcmp(os->meminfo.name1, "MemTotal") == 0 && strcmp(os->meminfo.name2, "MemFree") == 0);
    CHECK(os->meminfo.total / 1024 == os->memsize && os->meminfo.free < os->meminfo.total);
    CHECK(os->meminfo.used_rate <= 100);
    CHECK(os->mem.total == os->memsize && os->mem.used <= os->mem.total && os->mem.available <= os->mem.total);
    CHECK(os->hdd.used_rate <= 100);
    CHECK(os->numacnt >= 1 && os->en_numa == (os->numacnt > 1));
}

/* The parts of it one by one, each undoing what was written over. */
static void each_part_can_be_asked_for_again(void)
{
    struct msf_os *os = msf_get_os();

    os->memsize = 0;
    os->hdd.used_rate = 101;
    os->cpuonline = 0;
    CHECK_EQ(msf_get_meminfo(), 0);
    CHECK_EQ(msf_get_hdinfo(), 0);
    CHECK_EQ(msf_get_cpuinfo(), 0);
    CHECK(os->memsize > 0 && os->hdd.used_rate <= 100 && os->cpuonline > 0);
    os->cpuonline = 0;
    CHECK_EQ(msf_cpuinfo(), 0); /* the June 2019 name */
    CHECK(os->cpuonline > 0);
}

/* Keeps a processor busy until the kernel has counted it. */
static void burn(int ms)
{
    long long end = check_now() + ms;
    volatile unsigned work = 0;

    while (check_now() < end)
        for (int i = 0; i < 100000; i++)
            work += 1;
}

static void two_looks_say_what_was_going_on(void)
{
    struct msf_os *os = msf_get_os();
    struct cpu_snapshot *all;

    CHECK_EQ(msf_cpu_perf_init(), 0);
    CHECK_EQ(os->cpu.snap_active, 1);
    burn(120);
    CHECK_EQ(msf_cpu_perf_collect(), 0);
    CHECK_EQ(os->cpu.snap_active, 2);
    CHECK(os->cpu.interval_sec > 0 || os->cpu.interval_nsec >= 110000000);
    all = &os->cpu.snap_b[0];
    CHECK(strcmp(all->cpuid, "cpu") == 0 && strncmp(all[1].cpuid, "cpu", 3) == 0);
    CHECK(all->avg_all >= all->user + all->nice + all->system + all->idle);
    CHECK(all->avg_all > os->cpu.snap_a[0].avg_all);
    CHECK(all->k_cpu.ticks > 0 && all->k_cpu.permille > 0 && all->k_cpu.permille <= 1000);
    CHECK(all->k_user.permille <= all->k_cpu.permille && all->k_system.permille <= 1000);
    CHECK_EQ(msf_cpu_perf_collect(), 0);
    CHECK_EQ(os->cpu.snap_active, 1);
    CHECK(os->cpu.snap_a[0].avg_all >= all->avg_all);
}

/* In a process of its own, nobody has looked yet. */
static void a_further_look_needs_a_first_one(void)
{
    CHECK_FAILS(msf_cpu_perf_collect(), EAGAIN);
}

static u32 last_processor(void)
{
    u32 cpus[1024], count = (u32)msf_cpu_list(MSF_PIN_INHERIT, 0, cpus, 1024);

    CHECK(0 < count && count <= 1024);
    return cpus[count - 1];
}

static atomic_int leave;
static u32 where, how_many;

static void *stays(void *arg)
{
    while (!leave)
        msf_sched_yield();
    how_many = (u32)msf_cpu_list(MSF_PIN_INHERIT, 0, &where, 1);
    return arg;
}

/* In 2019 process_pin_to_cpu pinned nothing. */
static void regress_the_process_is_pinned_with_its_threads(void)
{
    u32 cpu = last_processor();
    pthread_t thread;

    CHECK_EQ(msf_pthread_spawn(&thread, stays, NULL), 0);
    CHECK_EQ(process_pin_to_cpu((s32)cpu), 0);
    CHECK_EQ(msf_cpu_list(MSF_PIN_INHERIT, 0, NULL, 0), 1);
    leave = 1;
    pthread_join(thread, NULL);
    CHECK_EQ(how_many, 1);
    CHECK_EQ(where, cpu);
    CHECK_FAILS(process_pin_to_cpu(-1), EINVAL);
    CHECK_FAILS(process_pin_to_cpu(FAR), EINVAL);
    CHECK_EQ(msf_thread_pin(0, MSF_PIN_ANYWHERE, 0), 0);
}

static void a_thread_is_pinned(void)
{
    u32 cpu = last_processor();

    CHECK_EQ(thread_pin_to_cpu(cpu), 0);
    CHECK_EQ(msf_get_current_cpu(), cpu);
    CHECK_EQ(msf_get_cpu(), cpu); /* the June 2019 name */
    CHECK_FAILS(thread_pin_to_cpu(FAR), EINVAL);
    CHECK_EQ(msf_thread_pin(0, MSF_PIN_ANYWHERE, 0), 0);
}

static void every_processor_has_its_place(void)
{
    u32 cpus[1024], count = (u32)msf_cpu_list(MSF_PIN_ANYWHERE, 0, cpus, 1024), siblings[1024], first = 77;

    CHECK(count == msf_get_os()->cpuonline);
    for (u32 i = 0; i < count && i < 1024; i++) {
        struct msf_cpu cpu = { .size = sizeof(cpu) };
        s32 threads, found = 0;

        CHECK_EQ(msf_cpu_describe(cpus[i], &cpu), 0);
        CHECK_EQ(cpu.number, cpus[i]);
        CHECK(cpu.core < count && cpu.package <= cpu.core && cpu.allowed <= 1);
        threads = msf_cpu_list(MSF_PIN_CORE, cpu.core, siblings, 1024);
        for (s32 n = 0; n < threads; n++)
            found += siblings[n] == cpus[i];
        CHECK_EQ(found, 1);
        CHECK(msf_cpu_list(MSF_PIN_NODE, cpu.node, NULL, 0) >= threads);
        CHECK_EQ(msf_cpu_list(MSF_PIN_CPU, cpus[i], &first, 1), 1);
        CHECK_EQ(first, cpus[i]);
    }
    CHECK_FAILS(msf_cpu_list(99, 0, cpus, 1024), EINVAL);
    CHECK_FAILS(msf_cpu_list(MSF_PIN_CORE, FAR, cpus, 1024), EINVAL);
    CHECK_FAILS(msf_cpu_list(MSF_PIN_ANYWHERE, 0, NULL, 1), EINVAL);
    CHECK_FAILS(msf_cpu_describe(0, NULL), EINVAL);
    CHECK_FAILS((first = 0, msf_cpu_describe(0, (struct msf_cpu *)(void *)&first)), EINVAL);
    {
        struct msf_cpu cpu = { .size = sizeof(cpu) };

        CHECK_FAILS(msf_cpu_describe(FAR, &cpu), ENOENT);
    }
}

static void priorities_are_set_and_told(void)
{
    errno = 0;
    CHECK_EQ(msf_set_nice(15), 0);
    CHECK_EQ(msf_get_priority(PRIO_PROCESS, 0), 15);
    CHECK_EQ(msf_set_priority(PRIO_PROCESS, getpid(), 16), 0);
    CHECK_EQ(msf_get_priority(PRIO_PROCESS, getpid()), 16);
    CHECK(msf_get_priority(PRIO_PGRP, 0) <= 16 && msf_get_priority(PRIO_USER, 0) <= 16 && errno == 0);
    CHECK_FAILS(msf_set_nice(20), EINVAL);
    CHECK_FAILS(msf_set_nice(-21), EINVAL);
    CHECK_FAILS(msf_get_priority(99, 0), EINVAL);
    CHECK_FAILS(msf_get_priority(PRIO_PROCESS, INT_MAX), ESRCH);
    CHECK_FAILS(msf_get_priority(PRIO_USER, -1), ESRCH);
    CHECK_FAILS(msf_set_priority(-1, 0, 0), EINVAL);
    CHECK_FAILS(msf_set_priority(PRIO_PROCESS, 0, 20), EINVAL);
    CHECK_FAILS(msf_set_priority(PRIO_PROCESS, INT_MAX, 0), ESRCH);
}

/* What only the privileged may do, seen by a child that is not. */
static int the_unprivileged_are_refused(int was_root)
{
    CHECK_FAILS(msf_set_nice(-20), EACCES);
    CHECK_FAILS(msf_set_priority(PRIO_PROCESS, 0, -20), EACCES);
    if (was_root)
        CHECK_FAILS(msf_set_priority(PRIO_PROCESS, getppid(), 5), EPERM);
    return check_verdict();
}

static void in_a_child(void (*test)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        check_failures = 0; /* the parent's are told by it */
        test();
        _exit(check_verdict());
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    in_a_child(a_further_look_needs_a_first_one);
    the_description_is_this_machine();
    each_part_can_be_asked_for_again();
    two_looks_say_what_was_going_on();
    in_a_child(regress_the_process_is_pinned_with_its_threads);
    a_thread_is_pinned();
    every_processor_has_its_place();
    CHECK_EQ(apart_unprivileged(the_unprivileged_are_refused), 0);
    in_a_child(priorities_are_set_and_told);
    return check_verdict();
}
