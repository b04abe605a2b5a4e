/*
 * The macros and types of msf.h and msf_utils.h, each with what it is for.
 */
#include <msf_utils.h>

#include "check.h"

static int steps;

MSF_LIBRARY_INITIALIZER(second_step, 102)
{
    steps = steps * 10 + 2;
}

MSF_LIBRARY_INITIALIZER(first_step, 101)
{
    steps = steps * 10 + 1;
}

static int *remembered;

MSF_LIBRARY_FINALIZER(last_step)
{
    /* The leak checker would tell if this did not run. */
    free(remembered);
}

MSF_STATIC MSF_CONST_CALL int MSF_UNUSED_CHECK doubled(int number)
{
    return number * 2;
}

static MSF_ALWAYS_INLINE int tripled(int number)
{
    return number * 3;
}

s32 nobody_else_has(void) MSF_ATTRIBUTE_WIKE;
s32 nobody_else_has(void)
{
    return 4711;
}

MSF_NORETURN static void ends(void)
{
    exit(check_verdict());
}

struct on_the_wire {
    u8 kind;
    u32 length;
    u64 id;
} MSF_PACKED_MEMORY;

static void types(void)
{
    CHECK(sizeof(s8) == 1 && sizeof(s16) == 2 && sizeof(s32) == 4 && sizeof(s64) == 8);
    CHECK(sizeof(u8) == 1 && sizeof(u16) == 2 && sizeof(u32) == 4 && sizeof(u64) == 8);
    CHECK((s16)-1 < 0 && (s32)-1 < 0 && (s64)-1 < 0);
    CHECK((u8)-1 == 0xff && (u16)-1 == 0xffff && (u32)-1 == 0xffffffffu && (u64)-1 > (u32)-1);
    CHECK_EQ(sizeof(struct on_the_wire), 13);
}

static void constants(void)
{
    sighandler_t handler = SIG_DFL;
    u32 timeout = (u32)MSF_WAIT_FOREVER;

    CHECK(MSF_TRUE == 1 && MSF_FALSE == 0 && MSF_OK == 0 && MSF_ERR == -1);
    CHECK(true && !false);
    CHECK(MSF_NO_WAIT == 0 && MSF_WAIT_FOREVER == -1 && timeout == 0xffffffffu);
    CHECK(MSF_INVALID_SOCKET == -1 && invalid_socket == -1);
    CHECK(MSF_CONF_UNSET_UINT == (u32)-1);
    CHECK_EQ(MSF_INT32_LEN, sizeof "-2147483648" - 1);
    CHECK_EQ(MSF_INT64_LEN, sizeof "-9223372036854775808" - 1);
    CHECK(MSF_HAVE_EVENTFD && MSF_HAVE_EPOLL);
    CHECK(handler == SIG_DFL);
}

static void memory(void)
{
    u8 bytes[8], copy[8];
    int *numbers = MSF_NEW(int, 4);

    CHECK(numbers != NULL);
    for (int i = 0; i < 4; i++)
        numbers[i] = i;
    numbers = MSF_RENEW(numbers, int, 1000);
    CHECK(numbers != NULL && numbers[3] == 3);
    numbers[999] = 1;
    sfree(numbers);
    CHECK(numbers == NULL);
    sfree(numbers);

    numbers = MSF_NEWCLR(5, int, 2); /* five times two of them */
    CHECK(numbers != NULL);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(numbers[i], 0);
    sfree(numbers);
    numbers = MSF_MALLOC_TYPE(int, 4 * sizeof(int)); /* in bytes */
    numbers[3] = 1;
    sfree(numbers);
    numbers = MSF_CALLOC_TYPE(3, int, sizeof(int));
    CHECK(numbers[0] == 0 && numbers[2] == 0);
    sfree(numbers);

    msf_memset(bytes, 0xa5, sizeof bytes);
    msf_memcpy(copy, bytes, sizeof copy);
    CHECK(copy[0] == 0xa5 && copy[7] == 0xa5);
    msf_memzero(bytes, 4);
    CHECK(bytes[3] == 0 && bytes[4] == 0xa5);
}

static void closed(void)
{
    int fd = dup(1), kept = fd, none = -1;
    FILE *file = fopen("/dev/null", "w"), *no_file = NULL;

    CHECK(fd >= 0 && file != NULL);
    sclose(fd);
    CHECK_EQ(fd, -1);
    CHECK_FAILS(close(kept), EBADF);
    errno = 4711;
    sclose(none); /* 2019's closed -1 */
    CHECK_EQ(errno, 4711);
    sfclose(file);
    CHECK(file == NULL);
    sfclose(no_file);
}

static void texts(void)
{
    char text[16];
    const u8 unsigned_text[] = "caf\xe9";

    CHECK(msf_tolower('A') == 'a' && msf_toupper('z') == 'Z');
    CHECK(msf_isspace(' ') && !msf_isspace('x'));
    CHECK_EQ(msf_tolower((char)'\xe9'), 0xe9); /* a byte, whatever char is */
    CHECK(msf_strcmp("a", "a") == 0 && msf_strcmp("a", "b") < 0);
    CHECK(msf_strncmp("abc", "abd", 2) == 0);
    CHECK(msf_strcmp(unsigned_text, "caf\xe9") == 0);
    CHECK(*msf_strstr("haystack", "st") == 's');
    CHECK(*msf_strchr("haystack", 'y') == 'y');
    CHECK_EQ(msf_strlen("haystack"), 8);
    CHECK_EQ(msf_snprintf(text, sizeof text, "%d", 4711), 4);
    CHECK(strcmp(text, "4711") == 0);
}

static void numbers(void)
{
    int array[7], evaluated = 0, one = 1, two = 2, *same = &one;
    u32 bits = 0x0f, none = 0;
    double half = 0.5, third = 0.25;

    UNUSED(none);
    CHECK_EQ(_ARRAY_SIZE(array), 7);
    CHECK(likely(array != NULL) && !unlikely(array == NULL));
    CHECK(likely(4) == 1);
    CHECK_EQ(min(3, 5), 3);
    CHECK_EQ(max(3, 5), 5);
    CHECK(min(half, third) < 0.3 && max(half, third) > 0.4);
    CHECK_EQ(max(evaluated++, -1), 0);
    CHECK_EQ(min(evaluated++, 9), 1);
    CHECK_EQ(evaluated, 2); /* each argument once */

    MSF_SWAP(&one, &two);
    CHECK(one == 2 && two == 1);
    MSF_SWAP(same, &one); /* 2019's made it 0 */
    CHECK_EQ(one, 2);
    if (one == 2)
        MSF_SWAP(&half, &third); /* one statement, of any type */
    else
        CHECK(!"reached");
    CHECK(half < third);

    CHECK(MSF_ROUNDUP(10, 4) == 12 && MSF_ROUNDUP(12, 4) == 12 && roundup(7, 5) == 10);
    CHECK(MSF_ALIGN(10, 8) == 16 && MSF_ALIGN(16, 8) == 16);
    CHECK(MSF_ABS(-3) == 3 && MSF_ABS(3) == 3);

    CHECK_EQ(MSF_TEST_BITS(0x18u, &bits), 0x08);
    MSF_SET_BITS(0x30u, &bits);
    CHECK_EQ(bits, 0x3f);
    MSF_CLR_BITS(0x03u, &bits);
    CHECK_EQ(bits, 0x3c);
    MSF_SET_BIT(31, &bits);
    CHECK(MSF_TEST_BIT(31, &bits) && !MSF_TEST_BIT(30, &bits));
    MSF_CLR_BIT(31, &bits);
    CHECK_EQ(bits, 0x3c);
}

static void byte_order(void)
{
    static const u8 little[4] = { 0x78, 0x56, 0x34, 0x12 }, big[4] = { 0x12, 0x34, 0x56, 0x78 };
    u32 word;
    u16 half;

    word = cpu_to_le32(0x12345678u);
    CHECK(memcmp(&word, little, 4) == 0);
    CHECK_EQ(le32_to_cpu(word), 0x12345678);
    word = cpu_to_be32(0x12345678u);
    CHECK(memcmp(&word, big, 4) == 0);
    CHECK_EQ(be32_to_cpu(word), 0x12345678);
    half = cpu_to_le16(0x5678);
    CHECK(memcmp(&half, little, 2) == 0);
    CHECK_EQ(le16_to_cpu(half), 0x5678);
    half = cpu_to_be16(0x1234);
    CHECK(memcmp(&half, big, 2) == 0);
    CHECK_EQ(be16_to_cpu(half), 0x1234);
}

int main(void)
{
    CHECK_EQ(steps, 12); /* by level, not by place */
    remembered = MSF_NEW(int, 1);
    CHECK(doubled(2) == 4 && tripled(2) == 6 && nobody_else_has() == 4711);
    types();
    constants();
    memory();
    closed();
    texts();
    numbers();
    byte_order();
    ends();
}
