/* Clocks, sleeping, sums of times. */
#include <check.h>
#include <limits.h>
#include <msf_time.h>

static void sums(void)
{
    struct timeval a = { 3, 700000 }, b = { 1, 800000 }, c;

    MSF_TIMERADD(&a, &b, &c);
    CHECK(c.tv_sec == 5 && c.tv_usec == 500000);
    MSF_TIMERSUB(&a, &b, &c);
    CHECK(c.tv_sec == 1 && c.tv_usec == 900000);
    MSF_TIMERSUB(&a, &a, &c);
    CHECK(!MSF_TIMERISSET(&c));
    CHECK(MSF_TIMERISSET(&a));
    CHECK(MSF_TIMERCMP(&a, &b, >));
    CHECK(!MSF_TIMERCMP(&a, &b, <=));
    c = a;
    c.tv_usec++;
    CHECK(MSF_TIMERCMP(&a, &c, <));
    MSF_TIMERCLEAR(&a);
    CHECK(!MSF_TIMERISSET(&a));
}

static void order_of_a_counter_that_wraps(void)
{
    unsigned long before = ULONG_MAX - 5, after = 3;

    CHECK(time_after(after, before));
    CHECK(time_before(before, after));
    CHECK(!time_after(before, after));
    CHECK(!time_after(after, after));
    CHECK(time_after_eq(after, after));
    CHECK(time_before_eq(after, after));
    CHECK(!time_before(after, after));
}

static void clocks(void)
{
    struct timespec one, two;
    struct timeval day;
    long long began;

    CHECK_EQ(msf_clock_gettime(&one), 0);
    began = check_now();
    MSF_MLEEP(15);
    CHECK(check_now() - began >= 14);
    CHECK_EQ(msf_clock_gettime(&two), 0);
    CHECK((two.tv_sec - one.tv_sec) * 1000LL + (two.tv_nsec - one.tv_nsec) / 1000000 >= 14);
    began = check_now();
    MSF_SLEEP(0);
    msf_time_sleep(0);
    CHECK(check_now() - began < 10000);
    CHECK_FAILS(msf_clock_gettime(NULL), EINVAL);
    MSF_GETIMEOFDAY(&day)
    CHECK(day.tv_sec > 1000000000);
}

int main(void)
{
    sums();
    order_of_a_counter_that_wraps();
    clocks();
    return check_verdict();
}
