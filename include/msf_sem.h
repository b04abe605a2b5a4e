/*
 * msf_sem.h - semaphores of this process, with exact timeouts.
 *
 * They are the C library's sem_t; whatever it offers for them may be used beside these names.
 */
#ifndef MSF_SEM_H
#define MSF_SEM_H

#include <semaphore.h>

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0, or -1 with errno, as the function each stands for. The value begins at 0. */
#define msf_sem_init(sem) sem_init(sem, 0, 0)
#define msf_sem_post(sem) sem_post(sem)
#define msf_sem_destroy(sem) sem_destroy(sem)
#define msf_sem_getvalue(sem, value_out) sem_getvalue(sem, value_out)

/*
 * Takes one from the semaphore, and waits for it: MSF_NO_WAIT not at all, MSF_WAIT_FOREVER without limit, else at
 * most ms milliseconds by the clock nobody sets. Signals do not end it; it is a cancellation point. 0, or -1 with errno:
 * EAGAIN (there is none, MSF_NO_WAIT), ETIMEDOUT (none came in time), EINVAL (sem NULL, ms below -1).
 */
MSF_EXPORT s32 msf_sem_wait(sem_t *sem, s32 ms);

/* The June 2019 name. */
#define sem_wait_i(sem, ms) msf_sem_wait(sem, ms)

#ifdef __cplusplus
}
#endif

#endif /* MSF_SEM_H */
