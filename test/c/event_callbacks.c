/* What callbacks of the event loop may do, and in which order they are called. */
#include <check.h>
#include <fcntl.h>
#include <msf_event.h>
#include <sys/socket.h>

struct watch {
    struct msf_event_base *base;
    struct msf_event *event, *other;
    s32 fd, reads, writes, errors, bytes;
    s32 code, code_errno;
};

static s32 pair[2];

static struct watch fresh(void)
{
    struct watch watch = { 0 };

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        perror("socketpair");
    watch.base = msf_event_base_new();
    CHECK(watch.base != NULL);
    watch.fd = pair[0];
    return watch;
}

static void done(struct watch *watch)
{
    msf_event_free(watch->event);
    msf_event_base_free(watch->base);
    if (pair[0] >= 0)
        close(pair[0]);
    if (pair[1] >= 0)
        close(pair[1]);
}

static void send_bytes(const char *text)
{
    CHECK_EQ(write(pair[1], text, strlen(text)), strlen(text));
}

static void read_one(void *args)
{
    struct watch *watch = args;
    char byte;

    watch->reads++;
    if (read(watch->fd, &byte, 1) == 1)
        watch->bytes++;
}

static void count_read(void *args)
{
    ((struct watch *)args)->reads++;
}

static void count_write(void *args)
{
    ((struct watch *)args)->writes++;
}

static void leave_on_error(void *args)
{
    struct watch *watch = args;

    watch->errors++;
    msf_event_base_loopexit(watch->base);
}

static void arguments_are_checked(void)
{
    struct watch watch = fresh();
    s32 file = open("/proc/self/exe", O_RDONLY);
    struct msf_event *of_file, *closed;

    CHECK(msf_event_new(pair[0], NULL, NULL, NULL, NULL) == NULL && errno == EINVAL);
    closed = msf_event_new(-1, count_read, NULL, NULL, NULL);
    CHECK_FAILS(msf_event_add(watch.base, closed), EBADF);
    msf_event_free(closed);
    CHECK_FAILS(msf_event_add(NULL, NULL), EINVAL);
    CHECK_FAILS(msf_event_del(watch.base, NULL), EINVAL);
    CHECK_FAILS(msf_event_base_dispatch(NULL), EINVAL);
    CHECK_FAILS(msf_event_base_wait(NULL), EINVAL);
    msf_event_base_signal(NULL);
    msf_event_base_loopexit(NULL);
    msf_event_base_free(NULL);
    msf_event_free(NULL);

    of_file = msf_event_new(file, count_read, NULL, NULL, &watch);
    CHECK_FAILS(msf_event_add(watch.base, of_file), EPERM);
    close(file);
    closed = msf_event_new(file, count_read, NULL, NULL, &watch);
    CHECK_FAILS(msf_event_add(watch.base, closed), EBADF);
    msf_event_free(of_file);
    msf_event_free(closed);
    done(&watch);
}

static void adding_twice_is_an_update_and_errno_is_left_alone(void)
{
    struct watch watch = fresh();
    struct msf_event *second = msf_event_new(pair[0], read_one, NULL, NULL, &watch);

    watch.event = msf_event_new(pair[0], read_one, NULL, NULL, &watch);
    errno = 77;
    CHECK_EQ(msf_event_add(watch.base, watch.event), 0);
    CHECK_EQ(msf_event_add(watch.base, watch.event), 0);
    send_bytes("x");
    CHECK_EQ(msf_event_base_wait(watch.base), 0);
    CHECK_EQ(watch.reads, 1);
    CHECK_EQ(errno, 77);
    CHECK_FAILS(msf_event_add(watch.base, second), EEXIST);
    msf_event_free(second);
    CHECK_EQ(msf_event_del(watch.base, watch.event), 0);
    CHECK_FAILS(msf_event_del(watch.base, watch.event), ENOENT);
    done(&watch);
}

static void readiness_is_told_until_it_is_read(void)
{
    struct watch watch = fresh();

    watch.event = msf_event_new(pair[0], count_read, NULL, NULL, &watch);
    msf_event_add(watch.base, watch.event);
    send_bytes("x");
    for (int i = 0; i < 5; i++)
        msf_event_base_wait(watch.base);
    CHECK_EQ(watch.reads, 5);
    done(&watch);
}

static void unread_data_comes_before_the_hang_up(void)
{
    struct watch watch = fresh();

    watch.event = msf_event_new(pair[0], read_one, count_write, leave_on_error, &watch);
    msf_event_add(watch.base, watch.event);
    send_bytes("four");
    close(pair[1]);
    pair[1] = -1;
    CHECK_EQ(msf_event_base_dispatch(watch.base), 0);
    CHECK_EQ(watch.bytes, 4);
    CHECK_EQ(watch.errors, 1);
    done(&watch);
}

static void half_closed_peer_is_read_out_before_the_error_callback(void)
{
    struct watch watch = fresh();

    watch.event = msf_event_new(pair[0], read_one, NULL, leave_on_error, &watch);
    msf_event_add(watch.base, watch.event);
    send_bytes("four");
    shutdown(pair[1], SHUT_WR);
    CHECK_EQ(msf_event_base_dispatch(watch.base), 0);
    CHECK_EQ(watch.bytes, 4);
    CHECK_EQ(watch.errors, 1);
    done(&watch);
}

static void reader_without_an_error_callback_sees_the_end(void)
{
    struct watch watch = fresh();

    watch.event = msf_event_new(pair[0], read_one, NULL, NULL, &watch);
    msf_event_add(watch.base, watch.event);
    close(pair[1]);
    pair[1] = -1;
    CHECK_EQ(msf_event_base_wait(watch.base), 0);
    CHECK_EQ(watch.reads, 1);
    CHECK_EQ(watch.bytes, 0);
    done(&watch);
}

static void free_both(void *args)
{
    struct watch *watch = args;

    watch->reads++;
    msf_event_free(watch->event);
    msf_event_free(watch->other);
    watch->event = watch->other = NULL;
}

static void callback_may_free_its_own_event_and_another_ready_one(void)
{
    struct watch watch = fresh();
    s32 second[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, second) != 0)
        perror("socketpair");
    watch.event = msf_event_new(pair[0], free_both, NULL, NULL, &watch);
    watch.other = msf_event_new(second[0], free_both, NULL, NULL, &watch);
    msf_event_add(watch.base, watch.event);
    msf_event_add(watch.base, watch.other);
    send_bytes("x");
    CHECK_EQ(write(second[1], "x", 1), 1);
    msf_event_base_wait(watch.base);
    msf_event_base_signal(watch.base);
    msf_event_base_wait(watch.base);
    CHECK_EQ(watch.reads, 1);
    close(second[0]);
    close(second[1]);
    done(&watch);
}

static void turn_again(void *args)
{
    struct watch *watch = args;
    char byte;

    watch->reads++;
    if (read(watch->fd, &byte, 1) == 1)
        watch->bytes++;
    if (watch->reads == 1)
        watch->code = msf_event_base_wait(watch->base);
}

static void turn_forever_deeper(void *args)
{
    struct watch *watch = args;

    watch->reads++;
    if (watch->code == 0 && msf_event_base_wait(watch->base) != 0) {
        watch->code = -1;
        watch->code_errno = errno;
        CHECK_FAILS(msf_event_base_dispatch(watch->base), EDEADLK);
    }
}

static void loop_may_be_turned_inside_a_callback(void)
{
    struct watch watch = fresh();

    watch.event = msf_event_new(pair[0], turn_again, NULL, NULL, &watch);
    msf_event_add(watch.base, watch.event);
    send_bytes("ab");
    CHECK_EQ(msf_event_base_wait(watch.base), 0);
    CHECK_EQ(watch.code, 0);
    CHECK_EQ(watch.bytes, 2);
    done(&watch);

    watch = fresh();
    watch.event = msf_event_new(pair[0], turn_forever_deeper, NULL, NULL, &watch);
    msf_event_add(watch.base, watch.event);
    send_bytes("x");
    CHECK_EQ(msf_event_base_wait(watch.base), 0);
    CHECK_EQ(watch.code, -1);
    CHECK_EQ(watch.code_errno, EDEADLK);
    CHECK_EQ(watch.reads, 8);
    done(&watch);
}

static void free_the_base(void *args)
{
    struct watch *watch = args;

    watch->reads++;
    msf_event_base_free(watch->base);
    watch->base = NULL;
}

static void callback_may_free_the_base_and_the_event_stays_valid(void)
{
    struct watch watch = fresh();

    watch.event = msf_event_new(pair[0], free_the_base, NULL, NULL, &watch);
    msf_event_add(watch.base, watch.event);
    send_bytes("x");
    CHECK_EQ(msf_event_base_dispatch(watch.base), 0);
    CHECK_EQ(watch.reads, 1);
    watch.base = msf_event_base_new();
    CHECK_EQ(msf_event_add(watch.base, watch.event), 0);
    done(&watch);
}

static void descriptor_closed_before_its_event_wedges_nothing(void)
{
    struct watch watch = fresh(), next = { 0 };
    s32 old[2] = { pair[0], pair[1] };

    watch.event = msf_event_new(pair[0], read_one, NULL, NULL, &watch);
    msf_event_add(watch.base, watch.event);
    next.base = watch.base;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        perror("socketpair");
    CHECK_EQ(dup2(pair[0], old[0]), old[0]); /* closes the old file, takes its number */
    next.fd = old[0];
    next.event = msf_event_new(old[0], read_one, NULL, NULL, &next);
    CHECK_EQ(msf_event_add(watch.base, next.event), 0);
    send_bytes("x");
    CHECK_EQ(msf_event_base_wait(watch.base), 0);
    CHECK_EQ(next.bytes, 1);
    CHECK_EQ(watch.reads, 0);
    CHECK_EQ(msf_event_del(watch.base, watch.event), 0);
    send_bytes("x");
    CHECK_EQ(msf_event_base_wait(watch.base), 0);
    CHECK_EQ(next.bytes, 2);
    CHECK_EQ(msf_event_del(watch.base, next.event), 0);
    msf_event_free(next.event);
    close(old[0]);
    close(old[1]);
    done(&watch);
}

int main(void)
{
    arguments_are_checked();
    adding_twice_is_an_update_and_errno_is_left_alone();
    readiness_is_told_until_it_is_read();
    unread_data_comes_before_the_hang_up();
    half_closed_peer_is_read_out_before_the_error_callback();
    reader_without_an_error_callback_sees_the_end();
    callback_may_free_its_own_event_and_another_ready_one();
    loop_may_be_turned_inside_a_callback();
    callback_may_free_the_base_and_the_event_stays_valid();
    descriptor_closed_before_its_event_wedges_nothing();
    return check_verdict();
}
