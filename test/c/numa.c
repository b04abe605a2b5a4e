/* Memory of NUMA nodes and threads beside it, also on a machine with one node and where there is no NUMA policy. */
#include <check.h>
#include <limits.h>
#include <msf_mem.h>
#include <msf_os.h>
#include <stdint.h>

#define NOWHERE 900 /* no machine of ours has so many nodes */
#define FAR 60000
#define SIZE 300000

static s32 here;

static int is_zeroed_and_writable(u8 *memory, size_t size)
{
    if ((uintptr_t)memory % 4096 != 0)
        return 0;
    for (size_t i = 0; i < size; i++)
        if (memory[i] != 0)
            return 0;
    memset(memory, 0x5a, size);
    return 1;
}

static void memory_comes_from_where_it_is_wanted(void)
{
    void *kinds[] = { msf_numa_alloc(SIZE), msf_numa_alloc_onnode(SIZE, here), msf_numa_alloc_local(SIZE),
                      msf_numa_alloc_interleaved(SIZE) };

    for (size_t i = 0; i < _ARRAY_SIZE(kinds); i++) {
        CHECK(kinds[i] != NULL);
        CHECK(is_zeroed_and_writable(kinds[i], SIZE));
        msf_numa_free(kinds[i], SIZE);
    }
    msf_numa_free(NULL, SIZE);
    CHECK_NULL(msf_numa_alloc(0), EINVAL);
    CHECK_NULL(msf_numa_alloc_local(0), EINVAL);
    CHECK_NULL(msf_numa_alloc_interleaved(0), EINVAL);
    CHECK_NULL(msf_numa_alloc_onnode(0, here), EINVAL);
    CHECK_NULL(msf_numa_alloc_onnode(SIZE, -1), EINVAL);
    CHECK_NULL(msf_numa_alloc_onnode(SIZE, NOWHERE), EINVAL);
    CHECK_NULL(msf_numa_alloc(SIZE_MAX / 8 * 7), ENOMEM);
    CHECK_NULL(msf_numa_alloc_local(SIZE_MAX / 8 * 7), ENOMEM);
    CHECK_NULL(msf_numa_alloc_interleaved(SIZE_MAX / 8 * 7), ENOMEM);
    CHECK_NULL(msf_numa_alloc_onnode(SIZE_MAX / 8 * 7, here), ENOMEM);
}

static void a_page_knows_its_size(void)
{
    u8 *memory = msf_numa_alloc_page(SIZE, here), on_the_stack = 0;

    CHECK(memory != NULL && is_zeroed_and_writable(memory, SIZE));
    msf_numa_free_ptr(memory);
    msf_numa_free_ptr(memory); /* no longer its */
    msf_numa_free_ptr(&on_the_stack);
    msf_numa_free_ptr(NULL);
    CHECK_NULL(msf_numa_alloc_page(0, here), EINVAL);
    CHECK_NULL(msf_numa_alloc_page(SIZE, NOWHERE), EINVAL);
    CHECK_NULL(msf_numa_alloc_page(SIZE_MAX / 8 * 7, here), ENOMEM);
}

/* Emulators have none, and containers may keep it from us. */
static int system_has_policy(void)
{
    int mode = 0;

    return syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) == 0;
}

static void memory_is_moved_to_a_node(void)
{
    u8 *memory = msf_numa_alloc(SIZE);

    CHECK_EQ(msf_numa_tonode_memory(memory, SIZE, here), 0);
    CHECK_EQ(msf_numa_tonode_memory(memory + 5000, 7, here), 0); /* begins in the midst of a page */
    CHECK(is_zeroed_and_writable(memory, SIZE));
    CHECK_FAILS(msf_numa_tonode_memory(NULL, SIZE, here), EINVAL);
    CHECK_FAILS(msf_numa_tonode_memory(memory, 0, here), EINVAL);
    CHECK_FAILS(msf_numa_tonode_memory(memory, SIZE, NOWHERE), EINVAL);
    msf_numa_free(memory, SIZE);
    if (system_has_policy())
        CHECK_FAILS(msf_numa_tonode_memory(memory, SIZE, here), EFAULT);
    else
        CHECK_EQ(msf_numa_tonode_memory(memory, SIZE, here), 0); /* advice to nobody */
}

static void a_thread_runs_beside_its_node(void)
{
    u32 cpu = 0;
    s32 all = msf_cpu_list(MSF_PIN_INHERIT, 0, &cpu, 1), count;

    CHECK_EQ(msf_numa_node_of_cpu((s32)cpu), here);
    CHECK_EQ(msf_numa_run_on_node(here), 0);
    count = msf_cpu_list(MSF_PIN_INHERIT, 0, NULL, 0);
    CHECK(0 < count && count <= msf_cpu_list(MSF_PIN_NODE, (u32)here, NULL, 0));
    CHECK_EQ(msf_numa_run_on_node(-1), 0);
    CHECK(msf_cpu_list(MSF_PIN_INHERIT, 0, NULL, 0) >= all); /* more, when the test itself was pinned */
    CHECK_EQ(msf_pin_to_node((s32)cpu), 0); /* in 2019 it was -1 even then */
    CHECK_EQ(msf_cpu_list(MSF_PIN_INHERIT, 0, NULL, 0), count);
    CHECK_EQ(msf_numa_run_on_node(-1), 0);
    CHECK_FAILS(msf_numa_node_of_cpu(FAR), EINVAL);
    CHECK_FAILS(msf_numa_node_of_cpu(-1), EINVAL);
    CHECK_FAILS(msf_numa_run_on_node(NOWHERE), EINVAL);
    CHECK_FAILS(msf_numa_run_on_node(-2), EINVAL);
    CHECK_FAILS(msf_pin_to_node(FAR), EINVAL);
}

static void a_node_knows_its_processors(void)
{
    u32 cpus[1024], count = (u32)msf_cpu_list(MSF_PIN_NODE, (u32)here, cpus, 1024);
    u64 mask = 0, expected = 0;
    s32 number = 0;

    for (u32 i = 0; i < count && i < 1024; i++)
        if (cpus[i] < 64)
            expected |= (u64)1 << cpus[i];
    CHECK_EQ(numa_node_to_cpusmask(here, &mask, &number), 0);
    CHECK_EQ(mask, expected);
    CHECK_EQ(number, count);
    CHECK_FAILS(numa_node_to_cpusmask(NOWHERE, &mask, &number), EINVAL);
    CHECK_FAILS(numa_node_to_cpusmask(here, NULL, &number), EINVAL);
    CHECK_FAILS(numa_node_to_cpusmask(here, &mask, NULL), EINVAL);
}

static void a_thread_prefers_a_node_until_it_does_not(void)
{
    CHECK_EQ(msf_numa_set_preferred(here), 0);
    CHECK(msf_numa_preferred() == here || !system_has_policy());
    CHECK_EQ(msf_numa_set_localalloc(), 0);
    CHECK(msf_numa_preferred() >= 0);
    CHECK_FAILS(msf_numa_set_preferred(NOWHERE), EINVAL);
    CHECK_FAILS(msf_numa_set_preferred(-1), EINVAL);
}

static void the_machine_is_counted(void)
{
    s64 unused = -1, size = msf_numa_node_size(here, &unused);

    CHECK(0 < unused && unused <= size);
    CHECK(msf_numa_node_size(here, NULL) > 0);
    CHECK_FAILS(msf_numa_node_size(NOWHERE, &unused), EINVAL);
    CHECK_EQ(msf_numa_distance(here, here), 10);
    CHECK_FAILS(msf_numa_distance(here, NOWHERE), EINVAL);
    CHECK_FAILS(msf_numa_distance(-1, here), EINVAL);
    CHECK(0 < msf_numa_num_task_cpus() && msf_numa_num_task_cpus() <= msf_numa_num_configured_cpus());
    CHECK(msf_numa_num_configured_cpus() <= msf_numa_num_possible_cpus());
    CHECK(0 < msf_numa_num_task_nodes() && msf_numa_num_task_nodes() <= msf_numa_num_configured_nodes());
    CHECK(msf_numa_num_configured_nodes() <= msf_numa_num_possible_nodes());
}

int main(void)
{
    u32 cpu = 0;

    CHECK(msf_cpu_list(MSF_PIN_INHERIT, 0, &cpu, 1) > 0);
    here = msf_numa_node_of_cpu((s32)cpu);
    CHECK(here >= 0);
    memory_comes_from_where_it_is_wanted();
    a_page_knows_its_size();
    memory_is_moved_to_a_node();
    a_thread_runs_beside_its_node();
    a_node_knows_its_processors();
    a_thread_prefers_a_node_until_it_does_not();
    the_machine_is_counted();
    return check_verdict();
}
