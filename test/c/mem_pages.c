/*
 * Memory by page and alignment: it begins where it should, has what it should, goes back, and none of it needs huge pages.
 */
#include <stdint.h>

#include <msf_mem.h>
#include <msf_mempool.h>

#include "check.h"

static int is_zero(const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != 0)
            return 0;
    return 1;
}

static uintptr_t inside_page(const void *address)
{
    return (uintptr_t)address % (uintptr_t)sysconf(_SC_PAGESIZE);
}

static void buffers(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    struct msf_reg_mem mem, block;

    errno = 4711;
    CHECK_EQ(msf_mem_alloc(10000, &mem), 0);
    CHECK_EQ(errno, 4711);
    CHECK(mem.addr != NULL && mem.length == 10000 && mem.mr == NULL && mem.priv != NULL);
    CHECK_EQ(inside_page(mem.addr), 0);
    memset(mem.addr, 0xa5, 10000);
    CHECK_EQ(msf_mem_free(&mem), 0);
    CHECK(mem.addr == NULL && mem.length == 0 && mem.priv == NULL);
    CHECK_FAILS(msf_mem_free(&mem), EINVAL);
    CHECK_FAILS(msf_mem_free(NULL), EINVAL);
    CHECK_FAILS(msf_mem_alloc(1, NULL), EINVAL);
    memset(&mem, 0xff, sizeof mem);
    CHECK_FAILS(msf_mem_alloc(0, &mem), EINVAL);
    CHECK(mem.addr == NULL && mem.length == 0 && mem.mr == NULL && mem.priv == NULL);
#if !defined(__SANITIZE_ADDRESS__) /* it ends programs that ask for so much */
    CHECK_FAILS(msf_mem_alloc(SIZE_MAX - 65536, &mem), ENOMEM);
#endif

    /* The two kinds of msf_reg_mem are told apart. */
    CHECK_EQ(msf_mempool_alloc(pool, 100, &block), 0);
    CHECK_FAILS(msf_mem_free(&block), EINVAL);
    CHECK(block.addr != NULL);
    msf_mempool_destroy(pool);
}

static void aligned(void)
{
    void *memory = NULL, *kept;

    for (size_t align = sizeof(void *); align <= 65536; align *= 2) {
        CHECK_EQ(msf_memalign(&memory, align, 100), 0);
        CHECK_EQ((uintptr_t)memory % align, 0);
        memset(memory, 1, 100);
        msf_sfree(memory);
        CHECK(memory == NULL);
    }
    kept = memory;
    errno = 4711;
    CHECK_EQ(msf_memalign(&memory, 48, 100), EINVAL);
    CHECK_EQ(msf_memalign(&memory, 2, 100), EINVAL);
    CHECK_EQ(msf_memalign(NULL, 64, 100), EINVAL);
#if !defined(__SANITIZE_ADDRESS__) /* it ends programs that ask for so much */
    CHECK_EQ(msf_memalign(&memory, 64, SIZE_MAX - 128), ENOMEM);
#endif
    CHECK_EQ(errno, 4711);
    CHECK(memory == kept);
}

static void mapped(size_t size)
{
    unsigned char *memory = msf_mem_mmap(size);

    CHECK(memory != MSF_MMAP_FAILED && memory != NULL);
    CHECK_EQ(inside_page(memory), 0);
    CHECK(is_zero(memory, size));
    memset(memory, 0xa5, size);
    CHECK_EQ(msf_mem_munmap(memory, size), 0);
}

static void mappings(void)
{
    char inside[8192];
    void *memory;

    mapped(1);
    mapped(100000);
    mapped(HUGE_PAGE_SZ);
    mapped(2 * HUGE_PAGE_SZ + 4096);
    /* The names of June, and the macros. */
    memory = msf_mmap(4096);
    CHECK(memory != MSF_MMAP_FAILED);
    CHECK_EQ(msf_munmap(memory, 4096), 0);
    memory = MSF_MMAP(4096);
    CHECK(memory != MSF_MMAP_FAILED);
    CHECK_EQ(MSF_MUNMAP(memory, 4096), 0);
    errno = 0;
    CHECK(msf_mem_mmap(0) == MSF_MMAP_FAILED && errno == EINVAL);
    errno = 0;
    CHECK(msf_mem_mmap(SIZE_MAX - 8191) == MSF_MMAP_FAILED && errno == ENOMEM);
    CHECK_FAILS(msf_mem_munmap(NULL, 4096), EINVAL);
    CHECK_FAILS(msf_mem_munmap(inside + (1 - (uintptr_t)inside % 2), 1), EINVAL);
    CHECK_FAILS(msf_mem_munmap(memory, 0), EINVAL);
}

static void huge(void)
{
    unsigned char *small = msf_malloc_huge_pages(1000), *large = msf_malloc_huge_pages(3 * HUGE_PAGE_SZ + 1);

    CHECK(small != NULL && large != NULL);
    CHECK(inside_page(small) == 0 && inside_page(large) == 0);
    CHECK(is_zero(small, 1000) && is_zero(large, 3 * HUGE_PAGE_SZ + 1));
    memset(small, 1, 1000);
    memset(large, 2, 3 * HUGE_PAGE_SZ + 1);
    CHECK(small[999] == 1 && large[3 * HUGE_PAGE_SZ] == 2);
    msf_free_huge_pages(large + 4096); /* not what it gave */
    CHECK_EQ(large[4096], 2);
    msf_free_huge_pages(small);
    msf_free_huge_pages(small);
    msf_free_huge_pages(large);
    msf_free_huge_pages(NULL);
    CHECK_NULL(msf_malloc_huge_pages(0), EINVAL);
    CHECK_NULL(msf_malloc_huge_pages(SIZE_MAX / 2 + 1), ENOMEM);
    CHECK_NULL(msf_malloc_huge_pages(SIZE_MAX), ENOMEM);
}

static void powers(void)
{
    CHECK(is_power_of_2(1) && is_power_of_2(4096) && is_power_of_2((u64)1 << 63));
    CHECK(!is_power_of_2(0) && !is_power_of_2(3) && !is_power_of_2(((u64)1 << 63) + 1));
}

int main(void)
{
    buffers();
    aligned();
    mappings();
    huge();
    powers();
    return check_verdict();
}
