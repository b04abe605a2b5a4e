/*
 * Huge pages where the machine has some: they are used, and go back. As root the test reserves eight for its time, and
 * puts the number back; elsewhere it is skipped.
 */
/* no qemu: it counts the huge pages of the machine, which the emulator's own kernel interface does not hand out */
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>

#include <msf_mem.h>
#include <msf_mempool.h>

#include "check.h"

#define SKIPPED 77

static const char reserved[] = "/proc/sys/vm/nr_hugepages";

/* A figure of /proc/meminfo. */
static long figure(const char *name)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    long found = -1;

    while (file != NULL && found < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            found = strtol(line + strlen(name) + 1, NULL, 10);
    if (file != NULL)
        fclose(file);
    return found;
}

static int reserve(long count)
{
    FILE *file = fopen(reserved, "w");

    if (file == NULL)
        return -1;
    fprintf(file, "%ld\n", count);
    return fclose(file);
}

static void used(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC);
    long before = figure("HugePages_Free:"), reserved_before = figure("HugePages_Rsvd:");
    struct msf_reg_mem mem;
    char *memory;
    void *block;

    /* A small block's step is one huge page, the first 128 blocks of 16 KiB are another. */
    block = msf_mempool_get(pool, 100);
    CHECK(block != NULL);
    memset(block, 1, 100);
    CHECK_EQ(figure("HugePages_Free:"), before - 1);
    CHECK_EQ(msf_mempool_alloc(pool, 100, &mem), 0);
    memset(mem.addr, 1, 16384);
    CHECK_EQ(figure("HugePages_Free:"), before - 2);
    msf_mempool_destroy(pool);
    CHECK_EQ(figure("HugePages_Free:"), before);

    memory = msf_mem_mmap(HUGE_PAGE_SZ);
    CHECK(memory != MSF_MMAP_FAILED);
    CHECK_EQ(figure("HugePages_Free:"), before - 1);
    CHECK_EQ(msf_mem_munmap(memory, HUGE_PAGE_SZ), 0);

    memory = msf_malloc_huge_pages(HUGE_PAGE_SZ + 1);
    CHECK(memory != NULL);
    memory[HUGE_PAGE_SZ] = 1;
    CHECK_EQ(figure("HugePages_Free:") - figure("HugePages_Rsvd:"), before - reserved_before - 2);
    msf_free_huge_pages(memory);
    CHECK_EQ(figure("HugePages_Free:"), before);

    /* More than there are: normal pages. */
    memory = msf_malloc_huge_pages(64 * (size_t)HUGE_PAGE_SZ);
    CHECK(memory != NULL);
    memory[63 * (size_t)HUGE_PAGE_SZ] = 1;
    msf_free_huge_pages(memory);
}

/* More steps than there are huge pages: the rest are normal ones, in the same place. */
static void used_up(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC);
    long before = figure("HugePages_Free:");
    char *blocks[9];

    for (int i = 0; i < 9; i++) {
        blocks[i] = msf_mempool_get(pool, (size_t)32 << i);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i, (size_t)32 << i);
    }
    CHECK_EQ(figure("HugePages_Free:"), before > 9 ? before - 9 : 0);
    for (int i = 0; i < 9; i++) {
        CHECK(blocks[i][0] == i && blocks[i][(32 << i) - 1] == i);
        CHECK_EQ(msf_mempool_put(pool, blocks[i]), 0);
    }
    msf_mempool_destroy(pool);
    CHECK_EQ(figure("HugePages_Free:"), before);
}

/* What the headers say of children: with no page left for its copy the child ends; the parent's bytes are its own. */
static void forked(void)
{
    size_t all = (size_t)figure("HugePages_Free:") * HUGE_PAGE_SZ;
    char *pages = msf_malloc_huge_pages(all);
    int status = 0;
    pid_t child;

    CHECK(pages != NULL);
    memset(pages, 1, all);
    CHECK_EQ(figure("HugePages_Free:"), 0);
    child = fork();
    if (child == 0) {
        signal(SIGBUS, SIG_DFL);
        pages[0] = 2;
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    CHECK(pages[0] == 1 && pages[all - 1] == 1);
    msf_free_huge_pages(pages);
}

int main(void)
{
    long before = figure("HugePages_Total:");
    int ready = before >= 0 && reserve(before + 8) == 0 && figure("HugePages_Free:") >= 8;

    if (ready) {
        used();
        used_up();
        forked();
    } else {
        printf("no huge pages can be reserved here\n");
    }
    if (before >= 0)
        reserve(before);
    return ready ? check_verdict() : SKIPPED;
}
