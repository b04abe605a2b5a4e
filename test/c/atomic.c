/* The atomic operations: what each gives, and that nothing is lost between threads. */
#include <check.h>
#include <msf_atomic.h>
#include <msf_thread.h>

#define ROUNDS 20000
#define THREADS 4

static msf_atomic_t number, lock;
static u32 plain, holders;
static long guarded;

static void each_gives_what_it_says(void)
{
    u32 got = 0;

    number = 5;
    CHECK_EQ(msf_atomic_add(&number, 3), 8);
    CHECK_EQ(msf_atomic_sub(&number, 2), 6);
    CHECK_EQ(msf_atomic_fetch_add(&number, 4), 6);
    CHECK_EQ(msf_atomic_fetch_sub(&number, 1), 10);
    msf_atomic_get(&number, got);
    CHECK_EQ(got, 9);
    CHECK(msf_atomic_cmp_set(&number, 9, 1));
    CHECK(!msf_atomic_cmp_set(&number, 9, 2));
    CHECK_EQ(number, 1);
    CHECK(msf_trylock(&lock));
    CHECK(!msf_trylock(&lock));
    msf_unlock(&lock);
    CHECK(msf_trylock(&lock));
    msf_unlock(&lock);
    CHECK_EQ(refcount_incr(&holders), 1);
    CHECK_EQ(refcount_incr(&holders), 2);
    CHECK_EQ(refcount_decr(&holders), 1);
    CHECK_EQ(refcount_decr(&holders), 0);
    CHECK_EQ(refcount_decr(&holders), 0xffffffffu);
    holders = 0;
}

static void *hammers(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        msf_atomic_add(&number, 1);
        msf_atomic_fetch_add(&plain, 2);
        refcount_incr(&holders);
        while (!msf_trylock(&lock))
            msf_cpu_pause();
        guarded++;
        msf_unlock(&lock);
        msf_memory_barrier();
        refcount_decr(&holders);
    }
    return arg;
}

int main(void)
{
    pthread_t threads[THREADS];

    each_gives_what_it_says();
    number = 0;
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(msf_pthread_spawn(&threads[i], hammers, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(number, ROUNDS * THREADS);
    CHECK_EQ(plain, 2 * ROUNDS * THREADS);
    CHECK_EQ(guarded, ROUNDS * THREADS);
    CHECK_EQ(holders, 0);
    return check_verdict();
}
