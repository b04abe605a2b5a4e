/* The macros and inline functions of the headers do what they say. */
#include <check.h>
#include <client.h>
#include <msf_event.h>
#include <msf_process.h>

struct thing {
    int number;
    struct list_head link;
};

static void an_argument_is_evaluated_once(void)
{
    int three = 3, four = 4;

    CHECK_EQ(min(three++, four), 3);
    CHECK_EQ(three, 4);
    CHECK_EQ(max(three, four++), 4);
    CHECK_EQ(four, 5);
    CHECK_EQ(min(-1, 1), -1);
}

static void swapping_a_thing_with_itself_keeps_it(void)
{
    u32 a = 5, b = 6;

    MSF_SWAP(&a, &b);
    CHECK_EQ(a, 6);
    CHECK_EQ(b, 5);
    MSF_SWAP(&a, &a);
    CHECK_EQ(a, 6);
}

static void sizes_round_up(void)
{
    u32 bits = 0;

    CHECK_EQ(MSF_ROUNDUP(10, 4), 12);
    CHECK_EQ(MSF_ROUNDUP(12, 4), 12);
    CHECK_EQ(roundup(1, 7), 7);
    CHECK_EQ(MSF_ALIGN(65, 64), 128);
    CHECK_EQ(MSF_ABS(-3), 3);
    MSF_SET_BIT(31, &bits);
    CHECK_EQ(bits, 0x80000000u);
    CHECK(MSF_TEST_BIT(31, &bits));
    MSF_CLR_BIT(31, &bits);
    CHECK_EQ(bits, 0);
    CHECK_EQ(_ARRAY_SIZE(((int[7]){ 0 })), 7);
}

static void closing_twice_closes_once(void)
{
    s32 fd = dup(0), none = -1;
    u8 *block = MSF_NEW(u8, 10);

    sclose(fd);
    CHECK_EQ(fd, -1);
    errno = 0;
    sclose(fd);
    sclose(none);
    CHECK_EQ(errno, 0);
    CHECK(block != NULL);
    sfree(block);
    CHECK(block == NULL);
    sfree(block);
}

#if !MSF_HAVE_EVENTFD || !MSF_HAVE_EPOLL
#error "sources of 2019 test for these"
#endif

static MSF_NORETURN void give_up(void)
{
    exit(1);
}

/* Without the attribute: control reaches the end. */
static int above_zero(int number)
{
    if (number > 0)
        return number;
    give_up();
}

static void numbers_have_their_sizes(void)
{
    CHECK_EQ(above_zero(3), 3);
    CHECK_EQ(sizeof(s8), 1);
    CHECK_EQ(sizeof(s16), 2);
    CHECK_EQ(sizeof(u16), 2);
    CHECK_EQ(sizeof(u32), 4);
    CHECK_EQ(sizeof(s64), 8);
    CHECK_EQ(sizeof(u64), 8);
    CHECK_EQ((u32)MSF_WAIT_FOREVER, 0xffffffffu);
    CHECK_EQ(MSF_CONF_UNSET_UINT, 0xffffffffu);
    CHECK(true == MSF_TRUE && false == MSF_FALSE);
    CHECK_EQ(snprintf(NULL, 0, "%d", INT_MIN), MSF_INT32_LEN);
}

static void wire_structs_have_their_sizes(void)
{
    CHECK_EQ(sizeof(struct basic_head), 56);
    CHECK_EQ(offsetof(struct basic_head, timeout), 44);
    CHECK_EQ(sizeof(struct login_pdu), 68);
    CHECK_EQ(sizeof(struct basic_pdu), 5 * sizeof(u32) + 2 * sizeof(s8 *));
    CHECK_EQ(sizeof(struct msf_svc), 7 * sizeof(svc_func));
    CHECK_EQ(sizeof(enum process_state), 1);
    CHECK_EQ(RPC_KEEP_ALIVE_TIMEOUT_SECS, 421);
    CHECK_EQ(RPC_FUNCTION_SRV_ID, 0xfffffff4u);
    CHECK_EQ(RPC_CALL_FUNCTION, 6);
    CHECK_EQ(RPC_EVENT_SRV_ID, 0xfffffff5u);
    CHECK_EQ(RPC_DAEMON_ID, 0x10);
    CHECK_EQ(RPC_SUBSCRIBE, 7);
    CHECK_EQ(RPC_UNSUBSCRIBE, 8);
    CHECK_EQ(RPC_PUBLISH, 9);
    CHECK_EQ(RPC_EVENT, 10);
    CHECK_EQ(RPC_DEADLINE, 5);
}

static void errors_are_errno(void)
{
    static const int same[][2] = {
        { MSF_EPERM, EPERM }, { MSF_ENOENT, ENOENT }, { MSF_ESRCH, ESRCH }, { MSF_EINTR, EINTR },
        { MSF_ECHILD, ECHILD }, { MSF_ENOMEM, ENOMEM }, { MSF_EACCES, EACCES }, { MSF_EBUSY, EBUSY },
        { MSF_EEXIST, EEXIST }, { MSF_EXDEV, EXDEV }, { MSF_ENOTDIR, ENOTDIR }, { MSF_EISDIR, EISDIR },
        { MSF_EINVAL, EINVAL }, { MSF_ENFILE, ENFILE }, { MSF_EMFILE, EMFILE }, { MSF_ENOSPC, ENOSPC },
        { MSF_EPIPE, EPIPE }, { MSF_ESHUTDOWN, ESHUTDOWN }, { MSF_EINPROGRESS, EINPROGRESS }, { MSF_ENOPROTOOPT, ENOPROTOOPT },
        { MSF_EOPNOTSUPP, EOPNOTSUPP }, { MSF_EADDRINUSE, EADDRINUSE }, { MSF_EADDRNOTAVAIL, EADDRNOTAVAIL }, { MSF_ECONNABORTED, ECONNABORTED },
        { MSF_ECONNRESET, ECONNRESET }, { MSF_ENOTCONN, ENOTCONN }, { MSF_ETIMEDOUT, ETIMEDOUT }, { MSF_ECONNREFUSED, ECONNREFUSED },
        { MSF_ENAMETOOLONG, ENAMETOOLONG }, { MSF_ENETDOWN, ENETDOWN }, { MSF_ENETUNREACH, ENETUNREACH }, { MSF_EHOSTDOWN, EHOSTDOWN },
        { MSF_EHOSTUNREACH, EHOSTUNREACH }, { MSF_ENOSYS, ENOSYS }, { MSF_ECANCELED, ECANCELED }, { MSF_EILSEQ, EILSEQ },
        { MSF_ELOOP, ELOOP }, { MSF_EBADF, EBADF }, { MSF_EMLINK, EMLINK }, { MSF_EAGAIN, EAGAIN },
        { MSF_EWOULDBLOCK, EWOULDBLOCK },
    };

    for (u32 i = 0; i < sizeof same / sizeof same[0]; i++)
        CHECK_EQ(same[i][0], same[i][1]);
    CHECK_EQ(MSF_ENOMOREFILES, 0);
    msf_set_errno(MSF_ETIMEDOUT);
    CHECK_EQ(errno, ETIMEDOUT);
    CHECK_EQ(msf_errno, ETIMEDOUT);
    CHECK_EQ(MSF_ENOPATH, ENOENT);
    CHECK_EQ(MSF_EWOULDBLOCK, EAGAIN);
    msf_set_socket_errno(0);
    CHECK_EQ(msf_socket_errno, 0);
}

static void lists_keep_their_order(void)
{
    struct thing things[4] = { { 0, { 0, 0 } }, { 1, { 0, 0 } }, { 2, { 0, 0 } }, { 3, { 0, 0 } } };
    struct thing *at, *ahead;
    struct list_head other;
    int sum = 0;
    LIST_HEAD(head);

    CHECK(list_empty(&head));
    CHECK(list_first_entry_or_null(&head, struct thing, link) == NULL);
    list_add_tail(&things[1].link, &head);
    list_add_tail(&things[2].link, &head);
    list_add(&things[0].link, &head);
    CHECK_EQ(list_size(&head), 3);
    list_for_each_entry(at, &head, link)
        sum = sum * 10 + at->number;
    CHECK_EQ(sum, 12); /* 0, 1, 2 */
    CHECK(list_next_entry(&things[0], link) == &things[1]);

    INIT_LIST_HEAD(&other);
    list_add(&things[3].link, &other);
    list_splice_init(&other, &head);
    CHECK(list_empty(&other));
    CHECK(list_first_entry(&head, struct thing, link) == &things[3]);
    list_splice_init(&other, &head);
    CHECK_EQ(list_size(&head), 4);

    list_for_each_entry_safe(at, ahead, &head, link)
        if (at->number % 2)
            list_del_init(&at->link);
    CHECK_EQ(list_size(&head), 2);
    list_del_init(&things[1].link);
    CHECK(list_empty(&things[1].link));
}

static void a_list_is_walked_by_its_links_too(void)
{
    struct thing things[3] = { { 1, LIST_HEAD_INIT(things[0].link) }, { 2, { 0, 0 } }, { 3, { 0, 0 } } };
    struct list_head head = LIST_HEAD_INIT(head), *at, *ahead;
    int sum = 0;

    for (int i = 0; i < 3; i++)
        list_add_tail(&things[i].link, &head);
    list_for_each(at, &head)
        sum = sum * 10 + list_entry(at, struct thing, link)->number;
    CHECK_EQ(sum, 123);
    CHECK(container_of(head.prev, struct thing, link) == &things[2]);
    list_for_each_safe(at, ahead, &head)
        list_del(at);
    CHECK(list_empty(&head));
    CHECK(things[1].link.next == NULL && things[1].link.prev == NULL);
    CHECK_EQ(list_size(&head), 0);
}

static void event_flags_are_bits_in_two_bytes(void)
{
    const enum msf_event_flags all[] = { MSF_EVENT_TIMEOUT, MSF_EVENT_READ, MSF_EVENT_WRITE, MSF_EVENT_SIGNAL,
                                         MSF_EVENT_PERSIST, MSF_EVENT_ET, MSF_EVENT_FINALIZE, MSF_EVENT_CLOSED,
                                         MSF_EVENT_ERROR, MSF_EVENT_EXCEPT };

    CHECK_EQ(sizeof all[0], 2);
    for (u32 i = 0; i < sizeof all / sizeof all[0]; i++)
        CHECK_EQ(all[i], 1 << i);
}

static void atomics_tell_old_and_new(void)
{
    msf_atomic_t number = 5;
    u32 copy;

    CHECK_EQ(msf_atomic_fetch_add(&number, 2), 5);
    CHECK_EQ(msf_atomic_add(&number, 1), 8);
    CHECK_EQ(msf_atomic_fetch_sub(&number, 3), 8);
    CHECK_EQ(msf_atomic_sub(&number, 1), 4);
    CHECK(!msf_atomic_cmp_set(&number, 5, 9));
    CHECK(msf_atomic_cmp_set(&number, 4, 0));
    CHECK(msf_trylock(&number));
    CHECK(!msf_trylock(&number));
    msf_unlock(&number);
    msf_atomic_get(&number, copy);
    CHECK_EQ(copy, 0);
    msf_memory_barrier();
    msf_cpu_pause();
}

static void colours_are_literals(void)
{
    static const char text[] = BOLD YELLOW "x" NONE;

    CHECK_EQ(text[0], '\033');
}

static int initialised;

MSF_LIBRARY_INITIALIZER(runs_before_main, 101)
{
    initialised = 1;
}

int main(void)
{
    CHECK_EQ(initialised, 1);
    an_argument_is_evaluated_once();
    swapping_a_thing_with_itself_keeps_it();
    sizes_round_up();
    closing_twice_closes_once();
    numbers_have_their_sizes();
    wire_structs_have_their_sizes();
    errors_are_errno();
    lists_keep_their_order();
    a_list_is_walked_by_its_links_too();
    event_flags_are_bits_in_two_bytes();
    atomics_tell_old_and_new();
    colours_are_literals();
    return check_verdict();
}
