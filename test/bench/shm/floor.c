/*
 * The floors: a flag in shared memory that both sides watch, and a futex on which both sleep. No library at all.
 * usage: floor spin|futex BATCHES [CPU CPU]
 */
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "pair.h"

struct words {
    _Alignas(128) _Atomic uint32_t there;
    _Alignas(128) _Atomic uint32_t back;
};

static void spin_turn(int first, uint64_t number, void *args)
{
    struct words *words = args;
    uint32_t value = (uint32_t)number + 1;

    if (first)
        atomic_store_explicit(&words->there, value, memory_order_release);
    while (atomic_load_explicit(first ? &words->back : &words->there, memory_order_acquire) != value)
        continue;
    if (!first)
        atomic_store_explicit(&words->back, value, memory_order_release);
}

static void post(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void await(_Atomic uint32_t *word, uint32_t value)
{
    while (atomic_load(word) != value)
        syscall(SYS_futex, word, FUTEX_WAIT, value - 1, NULL, NULL, 0);
}

static void futex_turn(int first, uint64_t number, void *args)
{
    struct words *words = args;
    uint32_t value = (uint32_t)number + 1;

    if (first)
        post(&words->there, value);
    await(first ? &words->back : &words->there, value);
    if (!first)
        post(&words->back, value);
}

int main(int argc, char **argv)
{
    struct words *words = mmap(NULL, sizeof(*words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child;
    int first;

    if (argc < 3)
        return 2;
    first = two(argc, argv, 3, &child);
    ping_pong(first, (size_t)atol(argv[2]), strcmp(argv[1], "spin") == 0 ? spin_turn : futex_turn, words);
    if (first)
        waitpid(child, NULL, 0);
    return 0;
}
