/*
 * Waiting for a semaphore, in C: it is a cancellation point, as sem_wait is, and a cancellation unwinds the thread's stack,
 * which must not meet Rust.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <semaphore.h>
#include <stddef.h>
#include <time.h>

#define NO_WAIT 0
#define FOREVER (-1)
#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN int msf_sem_refused(void);
HIDDEN int msf_sem_wait_c(sem_t *sem, int ms);

static int wait_for(sem_t *sem, int ms)
{
    struct timespec end;
    int status;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += ms % 1000 * 1000000L;
    if (end.tv_nsec >= 1000000000L) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000L;
    }
    do {
        status = sem_clockwait(sem, CLOCK_MONOTONIC, &end);
    } while (status != 0 && errno == EINTR);
    return status;
}

int msf_sem_wait_c(sem_t *sem, int ms)
{
    int status, before = errno;

    if (msf_sem_refused() || sem == NULL || ms < FOREVER) {
        errno = msf_sem_refused() ? EALREADY : EINVAL;
        return -1;
    }
    if (ms > 0) {
        status = wait_for(sem, ms);
    } else {
        do {
            status = ms == NO_WAIT ? sem_trywait(sem) : sem_wait(sem);
        } while (status != 0 && errno == EINTR);
    }
    if (status == 0)
        errno = before;
    return status;
}
