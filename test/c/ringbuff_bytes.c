/*
 * The ring of bytes: what goes in comes out in order, round the end as often as one likes; all or nothing when written.
 */
#include <limits.h>
#include <stdint.h>

#include <msf_ringbuff.h>

#include "check.h"

static void wraps(void)
{
    struct ringbuffer *rb = rb_create(8);
    char out[16];
    size_t length = 99;
    char *copy;

    CHECK(rb != NULL && rb->buffer != NULL && rb->length == 9 && rb->start == 0 && rb->end == 0);
    CHECK_EQ(rb_write(rb, "123456", 6), 6);
    CHECK_EQ(rb_read(rb, out, 4), 4);
    CHECK(memcmp(out, "1234", 4) == 0);
    CHECK_EQ(rb_write(rb, "abcd", 4), 4); /* 2019's could not */
    CHECK(rb->start == 4 && rb->end == 1);
    copy = rb_dump(rb, &length);
    CHECK(copy != NULL && length == 6 && memcmp(copy, "56abcd", 6) == 0);
    free(copy);
    CHECK_EQ(rb_read(rb, out, sizeof out), 6); /* they were still there */
    CHECK(memcmp(out, "56abcd", 6) == 0);
    CHECK_EQ(rb_read(rb, out, sizeof out), 0);
    rb_destroy(rb);
    rb_destroy(NULL);
}

static void all_or_nothing(void)
{
    struct ringbuffer *rb = rb_create(8);
    char out[8];
    size_t length = 99;
    void *copy;

    CHECK_EQ(rb_write(rb, "12345", 5), 5);
    CHECK_FAILS(rb_write(rb, "6789", 4), ENOSPC);
    CHECK_FAILS(rb_write(rb, "6789", SIZE_MAX), ENOSPC);
    CHECK_EQ(rb_write(rb, "678", 3), 3);
    CHECK_FAILS(rb_write(rb, "9", 1), ENOSPC);
    CHECK_EQ(rb_write(rb, "", 0), 0);
    CHECK_EQ(rb_read(rb, out, SIZE_MAX), 8);
    CHECK(memcmp(out, "12345678", 8) == 0);
    CHECK_EQ(rb_write(rb, "12345678", 8), 8);
    rb_cleanup(rb);
    rb_cleanup(NULL);
    CHECK(rb->start == 0 && rb->end == 0);
    CHECK_EQ(rb_read(rb, out, 1), 0);
    errno = 0;
    copy = rb_dump(rb, &length);
    CHECK(copy == NULL && errno == ENODATA && length == 0);
    CHECK_NULL(rb_dump(rb, &length), ENODATA);
    rb_destroy(rb);
}

static void long_way(void)
{
    struct ringbuffer *rb = rb_create(101);
    unsigned char in[64], out[64], next = 0, expected = 0;

    for (int turn = 0; turn < 20000; turn++) {
        size_t length = (size_t)turn % 64, i;
        ssize_t count;

        for (i = 0; i < length; i++)
            in[i] = (unsigned char)(next + i);
        if (rb_write(rb, in, length) == (ssize_t)length)
            next = (unsigned char)(next + length);
        count = rb_read(rb, out, (size_t)(turn * 7) % 64);
        for (i = 0; (ssize_t)i < count; i++)
            if (out[i] != expected++) {
                CHECK(!"a byte out of order");
                turn = 20000;
                break;
            }
    }
    rb_destroy(rb);
}

static void refused(void)
{
    struct ringbuffer *rb = rb_create(1);
    size_t length;
    char byte = 'x';

    CHECK_NULL(rb_create(0), EINVAL);
    CHECK_NULL(rb_create(-1), EINVAL);
    CHECK_NULL(rb_create(INT_MAX), EINVAL);
    CHECK_FAILS(rb_write(NULL, &byte, 1), EINVAL);
    CHECK_FAILS(rb_write(rb, NULL, 1), EINVAL);
    CHECK_FAILS(rb_read(NULL, &byte, 1), EINVAL);
    CHECK_FAILS(rb_read(rb, NULL, 1), EINVAL);
    CHECK_NULL(rb_dump(NULL, &length), EINVAL);
    CHECK_NULL(rb_dump(rb, NULL), EINVAL);
    errno = 4711;
    CHECK_EQ(rb_write(rb, &byte, 1), 1);
    CHECK_EQ(errno, 4711);
    rb_destroy(rb);
}

int main(void)
{
    wraps();
    all_or_nothing();
    long_way();
    refused();
    return check_verdict();
}
