/*
 * Numbers out of texts, and signal handlers.
 */
#include <msf_utils.h>

#include "check.h"

/* The function says TRUE and this value. */
#define IS(function, type, text, wanted)                \
    do {                                                \
        type is_value = 77;                             \
        CHECK_EQ(function((text), &is_value), MSF_TRUE); \
        CHECK(is_value == (wanted));                    \
    } while (0)

/* The function says FALSE for that reason, and leaves the value alone. */
#define ISNT(function, type, text, wanted_errno)         \
    do {                                                 \
        type is_value = 77;                              \
        errno = 0;                                       \
        CHECK_EQ(function((text), &is_value), MSF_FALSE); \
        CHECK(is_value == 77);                           \
        CHECK_EQ(errno, (wanted_errno));                 \
    } while (0)

static void numbers(void)
{
    IS(safe_strtoull, u64, "18446744073709551615", (u64)-1);
    IS(safe_strtoll, s64, "-9223372036854775808", (s64)((u64)1 << 63));
    IS(safe_strtoul, u32, "4294967295", 4294967295u);
    IS(safe_strtol, s32, "-2147483648", -2147483647 - 1);
    IS(safe_strtol, s32, "+12", 12);
    IS(safe_strtoul, u32, " \t007 \n", 7);
    IS(safe_strtoul, u32, "12 rest", 12);
    errno = 4711;
    IS(safe_strtoull, u64, "0", 0);
    CHECK_EQ(errno, 4711);
}

static void no_numbers(void)
{
    const char *const none[] = { "", " ", "x", "12x", "0x10", "1.5", "-", "+", "--1", "1,2" };
    size_t at;

    for (at = 0; at < _ARRAY_SIZE(none); at++) {
        ISNT(safe_strtoull, u64, none[at], EINVAL);
        ISNT(safe_strtoll, s64, none[at], EINVAL);
        ISNT(safe_strtoul, u32, none[at], EINVAL);
        ISNT(safe_strtol, s32, none[at], EINVAL);
    }
    ISNT(safe_strtoull, u64, "-1", EINVAL);
    ISNT(safe_strtoul, u32, "-1", EINVAL);
    ISNT(safe_strtoull, u64, "18446744073709551616", ERANGE);
    /* As long as no integer is: still no number with a minus, or with something behind it. */
    ISNT(safe_strtoull, u64, "-99999999999999999999999999999999999999999999999999", EINVAL);
    ISNT(safe_strtoll, s64, "99999999999999999999999999999999999999999999999999x", EINVAL);
    ISNT(safe_strtoll, s64, "-99999999999999999999999999999999999999999999999999", ERANGE);
    ISNT(safe_strtoll, s64, "9223372036854775808", ERANGE);
    ISNT(safe_strtoll, s64, "-9223372036854775809", ERANGE);
    ISNT(safe_strtoul, u32, "4294967296", ERANGE);
    ISNT(safe_strtol, s32, "2147483648", ERANGE);
    ISNT(safe_strtol, s32, "-2147483649", ERANGE);
    ISNT(safe_strtoull, u64, NULL, EINVAL);
    ISNT(safe_strtoll, s64, NULL, EINVAL);
    ISNT(safe_strtoul, u32, NULL, EINVAL);
    ISNT(safe_strtol, s32, NULL, EINVAL);
    CHECK_EQ(safe_strtoull("1", NULL), MSF_FALSE);
    CHECK_EQ(safe_strtoll("1", NULL), MSF_FALSE);
    CHECK_EQ(safe_strtoul("1", NULL), MSF_FALSE);
    CHECK_EQ(safe_strtol("1", NULL), MSF_FALSE);
}

static volatile sig_atomic_t depth, deepest, count;

static void count_nested(s32 sig)
{
    if (++depth > deepest)
        deepest = depth;
    if (++count == 1)
        raise(sig);
    depth--;
}

static void handlers(void)
{
    sighandler_t handler = count_nested;
    struct sigaction now;

    errno = 4711;
    CHECK_EQ(signal_handler(SIGUSR1, handler), 0);
    CHECK_EQ(errno, 4711);
    raise(SIGUSR1);
    CHECK(count == 2 && deepest == 2); /* interrupted by its own signal */
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && (now.sa_flags & SA_RESTART) != 0);
    CHECK_EQ(signal_handler(SIGUSR1, SIG_IGN), 0);
    raise(SIGUSR1);
    CHECK_EQ(count, 2);
    CHECK_EQ(signal_handler(SIGUSR1, SIG_DFL), 0);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    CHECK_FAILS(signal_handler(SIGKILL, count_nested), EINVAL);
    CHECK_FAILS(signal_handler(4711, count_nested), EINVAL);
    CHECK_FAILS(signal_handler(SIGUSR1, SIG_ERR), EINVAL);
}

int main(void)
{
    numbers();
    no_numbers();
    handlers();
    return check_verdict();
}
