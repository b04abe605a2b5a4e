/*
 * Huge pages that are not there: the pool works the same, and the log says so once for each pool, whatever it maps.
 */
#include <msf_log.h>
#include <msf_mem.h>
#include <msf_mempool.h>

#include "check.h"

/* The huge pages that can still be had. */
static long huge_pages(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    long count = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "HugePages_Free: %ld", &count);
    if (file != NULL)
        fclose(file);
    return count;
}

static int records(const char *path, const char *module)
{
    FILE *file = fopen(path, "r");
    char line[1024];
    int count = 0;

    CHECK(file != NULL);
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        count += strstr(line, module) != NULL;
    if (file != NULL)
        fclose(file);
    return count;
}

static void use(struct msf_mempool *pool)
{
    struct msf_reg_mem mem[3];

    CHECK(pool != NULL);
    for (size_t length = 1; length <= 1048576; length *= 4) {
        char *block = msf_mempool_get(pool, length);

        CHECK(block != NULL);
        memset(block, 1, length);
        CHECK_EQ(msf_mempool_put(pool, block), 0);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(msf_mempool_alloc(pool, (size_t)16384 << 2 * i, &mem[i]), 0);
        memset(mem[i].addr, 1, mem[i].length);
        msf_mempool_free(&mem[i]);
    }
}

int main(void)
{
    char path[] = "/tmp/msf-test-pool-XXXXXX";
    struct msf_mempool *first, *second;
    int file = mkstemp(path), expected = huge_pages() == 0 ? 2 : -1;
    void *memory;

    CHECK(file >= 0);
    close(file);
    CHECK_EQ(msf_log_init(path), 0);
    first = msf_mempool_create_prv(0x12, MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC);
    second = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC);
    use(first);
    use(second);
    use(first);
    msf_mempool_destroy(first);
    msf_mempool_destroy(second);
    /* And once for all that is asked for outside of pools. */
    for (int i = 0; i < 3; i++) {
        memory = msf_malloc_huge_pages(1000);
        CHECK(memory != NULL);
        msf_free_huge_pages(memory);
    }
    msf_log_free();
    if (expected < 0)
        printf("huge pages are there: nothing to be said\n");
    else {
        CHECK_EQ(records(path, "[MEMPOOL]"), expected);
        CHECK_EQ(records(path, "[MEM]"), 1);
    }
    unlink(path);
    return check_verdict();
}
