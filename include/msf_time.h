/*
 * msf_time.h - clocks, sleeping, sums of times.
 */
#ifndef MSF_TIME_H
#define MSF_TIME_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The time of day, into a struct timeval. It ends with a semicolon of its own, as it did in 2019. */
#define MSF_GETIMEOFDAY(tp) (void)gettimeofday((tp), NULL);

/* Sleep so many milliseconds, or seconds, whatever signals come meanwhile. */
#define MSF_MLEEP(ms) msf_time_sleep((u64)(ms))
#define MSF_SLEEP(s) msf_time_sleep((u64)(s) * 1000)

/* Pointers to struct timeval, whose tv_usec is below a million: *sum = *a + *b, *rest = *a - *b, 0, != 0, a op b. */
#define MSF_TIMERADD(a, b, sum)                                    \
    do {                                                           \
        (sum)->tv_sec = (a)->tv_sec + (b)->tv_sec;                 \
        (sum)->tv_usec = (a)->tv_usec + (b)->tv_usec;              \
        if ((sum)->tv_usec >= 1000000) {                           \
            (sum)->tv_sec++;                                       \
            (sum)->tv_usec -= 1000000;                             \
        }                                                          \
    } while (0)
#define MSF_TIMERSUB(a, b, rest)                                   \
    do {                                                           \
        (rest)->tv_sec = (a)->tv_sec - (b)->tv_sec;                \
        (rest)->tv_usec = (a)->tv_usec - (b)->tv_usec;             \
        if ((rest)->tv_usec < 0) {                                 \
            (rest)->tv_sec--;                                      \
            (rest)->tv_usec += 1000000;                            \
        }                                                          \
    } while (0)
#define MSF_TIMERCLEAR(tv) ((tv)->tv_sec = 0, (tv)->tv_usec = 0)
#define MSF_TIMERISSET(tv) ((tv)->tv_sec != 0 || (tv)->tv_usec != 0)
#define MSF_TIMERCMP(a, b, op) \
    ((a)->tv_sec == (b)->tv_sec ? (a)->tv_usec op (b)->tv_usec : (a)->tv_sec op (b)->tv_sec)

/* The order of two readings of a counter (an unsigned long, say) that has perhaps wrapped between them. */
#define time_after(a, b) ((long)((unsigned long)(b) - (unsigned long)(a)) < 0)
#define time_before(a, b) time_after(b, a)
#define time_after_eq(a, b) (!time_before(a, b))
#define time_before_eq(a, b) (!time_after(a, b))

/* The monotonic clock: nobody sets it, it stands still while the machine is suspended. 0; -1, errno EINVAL for NULL. */
MSF_EXPORT s32 msf_clock_gettime(struct timespec *now_out);

/* Sleeps so many milliseconds, whatever signals come meanwhile. */
MSF_EXPORT void msf_time_sleep(u64 ms);

#ifdef __cplusplus
}
#endif

#endif /* MSF_TIME_H */
