/* Semaphores: what is posted can be taken once, and a timeout is what it says. */
#include <check.h>
#include <msf_sem.h>
#include <msf_thread.h>

static sem_t sem;

static void what_is_posted_can_be_taken_once(void)
{
    int value = -1;

    CHECK_EQ(msf_sem_init(&sem), 0);
    CHECK_FAILS(msf_sem_wait(&sem, MSF_NO_WAIT), EAGAIN);
    CHECK_EQ(msf_sem_post(&sem), 0);
    CHECK_EQ(msf_sem_post(&sem), 0);
    CHECK_EQ(msf_sem_post(&sem), 0);
    CHECK_EQ(msf_sem_getvalue(&sem, &value), 0);
    CHECK_EQ(value, 3);
    errno = 4711;
    CHECK_EQ(msf_sem_wait(&sem, MSF_NO_WAIT), 0);
    CHECK_EQ(msf_sem_wait(&sem, 10), 0);
    CHECK_EQ(sem_wait_i(&sem, MSF_WAIT_FOREVER), 0);
    CHECK_EQ(errno, 4711);
    CHECK_FAILS(sem_wait_i(&sem, 0), EAGAIN);
    CHECK_FAILS(msf_sem_wait(NULL, 0), EINVAL);
    CHECK_FAILS(msf_sem_wait(&sem, -2), EINVAL);
}

/* In 2019 a wait of less than a second ended at once, and one of 1500 ms after a second. */
static void regress_timeouts_are_exact(void)
{
    static const s32 limits[] = { 1, 30, 500, 1100 };

    for (size_t i = 0; i < _ARRAY_SIZE(limits); i++) {
        struct timespec begun, ended;
        long long passed;

        clock_gettime(CLOCK_MONOTONIC, &begun);
        CHECK_FAILS(msf_sem_wait(&sem, limits[i]), ETIMEDOUT);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        passed = (ended.tv_sec - begun.tv_sec) * 1000000LL + (ended.tv_nsec - begun.tv_nsec) / 1000;
        CHECK(passed >= limits[i] * 1000LL);
        CHECK(passed < limits[i] * 1000LL + 1000000); /* as late as a busy machine makes it */
    }
}

static volatile sig_atomic_t interrupted;

static void interrupt(int signo)
{
    (void)signo;
    interrupted++;
}

static void *waits(void *limit)
{
    s32 status = msf_sem_wait(&sem, *(s32 *)limit);

    return status == 0 ? limit : NULL;
}

static void signals_do_not_end_a_wait(void)
{
    static s32 limits[] = { MSF_WAIT_FOREVER, 20000 };
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = interrupt; /* without SA_RESTART */
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 2; i++) {
        void *result = NULL;
        pthread_t thread;

        interrupted = 0;
        CHECK_EQ(msf_pthread_spawn(&thread, waits, &limits[i]), 0);
        for (int sent = 0; sent < 5; sent++) {
            int before = interrupted;

            pthread_kill(thread, SIGUSR1);
            CHECK_WITHIN(10000, interrupted > before);
        }
        CHECK_EQ(msf_sem_post(&sem), 0);
        pthread_join(thread, &result);
        CHECK(result == &limits[i]);
    }
}

static void a_waiting_thread_can_be_cancelled(void)
{
    static s32 limits[] = { MSF_WAIT_FOREVER, 60000 };

    for (int i = 0; i < 2; i++) {
        void *result = NULL;
        pthread_t thread;

        CHECK_EQ(msf_pthread_spawn(&thread, waits, &limits[i]), 0);
        CHECK_EQ(pthread_cancel(thread), 0);
        pthread_join(thread, &result);
        CHECK(result == PTHREAD_CANCELED);
    }
}

int main(void)
{
    what_is_posted_can_be_taken_once();
    regress_timeouts_are_exact();
    signals_do_not_end_a_wait();
    a_waiting_thread_can_be_cancelled();
    CHECK_EQ(msf_sem_destroy(&sem), 0);
    return check_verdict();
}
