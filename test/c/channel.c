/*
 * Channels: descriptors and data arrive whole and once, in every split; a peer that lies gets nothing open.
 */
#include <fcntl.h>
#include <msf_channel.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "check.h"

static int pair[2];

static void open_pair(int type)
{
    CHECK_EQ(socketpair(AF_UNIX, type, 0, pair), 0);
}

static void close_pair(void)
{
    close(pair[0]);
    close(pair[1]);
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Text written into `to` comes out of `from`. */
static void joined(int to, int from, const char *text)
{
    char got[32] = "";
    struct pollfd one = { from, POLLIN, 0 };

    CHECK_EQ(write(to, text, strlen(text)), (ssize_t)strlen(text));
    CHECK_EQ(poll(&one, 1, 5000), 1);
    CHECK_EQ(read(from, got, sizeof(got) - 1), (ssize_t)strlen(text));
    CHECK(strcmp(got, text) == 0);
}

static void passes_descriptors_and_data(void)
{
    struct msf_channel *out = msf_new_channel(3), *in = msf_new_channel(8);
    int pipes[3][2], taken, before = open_descriptors();

    CHECK(out && in);
    open_pair(SOCK_STREAM);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(pipe(pipes[i]), 0);
        msf_add_channel(out, pipes[i][1]);
    }
    CHECK_EQ(out->cur_pos, 3);
    CHECK_EQ(out->hdr.fd_num, 3);
    out->hdr.cmd = MSF_CMD_OPEN_CHANNEL;
    out->hdr.pid = getpid();
    out->hdr.slot = 7;
    out->fd_idx[2] = 42;
    CHECK_EQ(msf_channel_put(out, "three pipes", 11), 0);
    CHECK_EQ(out->hdr.data_len, 11);
    CHECK_EQ(msf_write_channel(pair[0], out), 0);
    for (int i = 0; i < 3; i++)
        close(pipes[i][1]); /* ours may go: the copies are on their way */

    CHECK_EQ(msf_read_channel(pair[1], in), (int)sizeof(struct msf_channel_hdr) + 3 * 4 + 11);
    CHECK_EQ(in->hdr.cmd, MSF_CMD_OPEN_CHANNEL);
    CHECK_EQ(in->hdr.pid, getpid());
    CHECK_EQ(in->hdr.slot, 7);
    CHECK_EQ(in->hdr.fd_num, 3);
    CHECK_EQ(in->cur_pos, 3);
    CHECK_EQ(in->fd_idx[1], 1);
    CHECK_EQ(in->fd_idx[2], 42);
    CHECK(in->hdr.data_len == 11 && memcmp(msf_channel_data(in), "three pipes", 11) == 0);
    CHECK_EQ(fcntl(in->fd_arr[0], F_GETFD), FD_CLOEXEC);
    joined(in->fd_arr[0], pipes[0][0], "first");
    taken = msf_channel_take(in, 2);
    CHECK(taken >= 0);
    CHECK_EQ(in->fd_arr[2], -1);
    CHECK_FAILS(msf_channel_take(in, 2), ENOENT);
    CHECK_FAILS(msf_channel_take(in, 3), ENOENT);

    /* The next message closes what was left, and not what was taken. */
    msf_channel_reset(out);
    CHECK_EQ(out->hdr.fd_num + out->hdr.data_len + out->hdr.cmd, 0);
    out->hdr.cmd = MSF_CMD_QUIT;
    CHECK_EQ(msf_write_channel(pair[0], out), 0);
    CHECK_EQ(msf_read_channel(pair[1], in), (int)sizeof(struct msf_channel_hdr));
    CHECK_EQ(in->hdr.cmd, MSF_CMD_QUIT);
    CHECK_EQ(in->hdr.fd_num, 0);
    CHECK_EQ(read(pipes[0][0], &before, 1), 0); /* end of file: nobody has its other end */
    joined(taken, pipes[2][0], "taken");
    close(taken);
    for (int i = 0; i < 3; i++)
        close(pipes[i][0]);

    close(pair[0]);
    CHECK_EQ(msf_read_channel(pair[1], in), 0); /* the peer has closed */
    close(pair[1]);
    msf_free_channel(out);
    msf_free_channel(in);
}

static void frees_what_was_not_taken(void)
{
    struct msf_channel *out = msf_new_channel(1), *in = msf_new_channel(1);
    int before, ends[2];
    char one;

    before = open_descriptors();
    open_pair(SOCK_STREAM);
    CHECK_EQ(pipe(ends), 0);
    msf_add_channel(out, ends[1]);
    CHECK_EQ(msf_write_channel(pair[0], out), 0);
    CHECK(msf_read_channel(pair[1], in) > 0);
    msf_free_channel(out); /* does not close what was added */
    CHECK(fcntl(ends[1], F_GETFD) >= 0);
    close(ends[1]);
    msf_free_channel(in);
    CHECK_EQ(read(ends[0], &one, 1), 0);
    close(ends[0]);
    close_pair();
    CHECK_EQ(open_descriptors(), before);
    msf_free_channel(NULL);
    msf_channel_reset(NULL);
}

static void goes_on_where_it_was(void)
{
    struct msf_channel *out = msf_new_channel(1), *in = msf_new_channel(1);
    static unsigned char big[MSF_CHANNEL_MAX_DATA];
    int wrote, got, turns = 0, ends[2];

    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (unsigned char)(i % 251);
    open_pair(SOCK_STREAM);
    CHECK_EQ(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(msf_read_channel(pair[1], in), EAGAIN);
    msf_add_channel(out, ends[1]);
    out->hdr.cmd = MSF_CMD_REOPEN;
    CHECK_EQ(msf_channel_put(out, big, sizeof(big)), 0);
    wrote = msf_write_channel(pair[0], out);
    CHECK_EQ(wrote, EAGAIN);
    while ((got = msf_read_channel(pair[1], in)) == EAGAIN && turns++ < 100000)
        if (wrote == EAGAIN)
            wrote = msf_write_channel(pair[0], out);
    CHECK_EQ(wrote, 0);
    CHECK_EQ(got, (int)(sizeof(struct msf_channel_hdr) + 4 + sizeof(big)));
    CHECK_EQ(in->hdr.cmd, MSF_CMD_REOPEN);
    CHECK(in->hdr.data_len == sizeof(big) && memcmp(msf_channel_data(in), big, sizeof(big)) == 0);
    joined(in->fd_arr[0], ends[0], "through");
    close(ends[0]);
    close(ends[1]);
    close_pair();
    msf_free_channel(out);
    msf_free_channel(in);
}

/* Sends a header that says `data` and `fds`, with `sent` descriptors, and then `more` bytes. */
static void lie(u32 data, u32 fds, int sent, int more)
{
    struct msf_channel_hdr hdr;
    struct iovec part = { &hdr, sizeof(hdr) };
    struct msghdr message;
    char zeros[512] = "";
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int) * 64)];
    } control;

    memset(&hdr, 0, sizeof(hdr));
    memset(&message, 0, sizeof(message));
    memset(&control, 0, sizeof(control));
    hdr.data_len = data;
    hdr.fd_num = fds;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (sent > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)sent);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)sent);
        for (int i = 0; i < sent; i++)
            memcpy(CMSG_DATA(&control.head) + sizeof(int) * (size_t)i, &pair[0], sizeof(int));
    }
    CHECK_EQ(sendmsg(pair[0], &message, 0), (ssize_t)sizeof(hdr));
    if (more > 0)
        CHECK_EQ(write(pair[0], zeros, (size_t)more), more);
}

/* What a liar sends ends with this errno, and leaves nothing open. */
#define CHECK_LIE(read_it, room, type, data, fds, sent, more, wanted) \
    do {                                                     \
        struct msf_channel *in = msf_new_channel(room);      \
        int before;                                          \
        open_pair(type);                                     \
        before = open_descriptors();                         \
        lie(data, fds, sent, more);                          \
        CHECK_FAILS(read_it(pair[1], in), wanted);           \
        CHECK_FAILS(read_it(pair[1], in), wanted);           \
        CHECK_EQ(open_descriptors(), before);                \
        msf_free_channel(in);                                \
        close_pair();                                        \
    } while (0)

static void liars(void)
{
    struct rlimit limit, tight;
    struct msf_channel *in;
    int before;

    CHECK_LIE(msf_read_channel, 4, SOCK_STREAM, 0xffffffffu, 0, 0, 0, EMSGSIZE);
    CHECK_LIE(msf_read_channel, 4, SOCK_STREAM, MSF_CHANNEL_MAX_DATA + 1, 0, 0, 0, EMSGSIZE);
    CHECK_LIE(msf_read_channel, 4, SOCK_STREAM, 0, 0xffffffffu, 0, 0, EMSGSIZE);
    CHECK_LIE(msf_read_channel, 4, SOCK_STREAM, 0, 5, 5, 0, EMSGSIZE);
    CHECK_LIE(msf_read_channel, 4, SOCK_STREAM, 0, 2, 1, 8, EPROTO);
    CHECK_LIE(msf_read_channel, 4, SOCK_STREAM, 0, 1, 2, 4, EPROTO);
    CHECK_LIE(msf_read_channel, 4, SOCK_STREAM, 0, 0, 3, 0, EPROTO);
    CHECK_LIE(msf_read_channel, 4, SOCK_STREAM, 4, 0, 64, 4, EPROTO);

    /* More descriptors than this process may open. */
    in = msf_new_channel(64);
    open_pair(SOCK_STREAM);
    before = open_descriptors();
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    tight = limit;
    tight.rlim_cur = (rlim_t)(before + 10);
    lie(0, 64, 64, 256);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
    CHECK_FAILS(msf_read_channel(pair[1], in), EMFILE);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_EQ(open_descriptors(), before);
    msf_free_channel(in);
    close_pair();

    /* The end in the middle. */
    in = msf_new_channel(0);
    open_pair(SOCK_STREAM);
    lie(100, 0, 0, 50);
    close(pair[0]);
    CHECK_FAILS(msf_read_channel(pair[1], in), ECONNRESET);
    close(pair[1]);
    msf_free_channel(in);
}

static void not_a_stream(void)
{
    struct msf_channel *out = msf_new_channel(0), *in = msf_new_channel(0);

    open_pair(SOCK_SEQPACKET);
    CHECK_EQ(msf_channel_put(out, "data", 4), 0);
    CHECK_EQ(msf_write_channel(pair[0], out), 0);
    CHECK_FAILS(msf_read_channel(pair[1], in), EPROTOTYPE);
    close_pair();
    msf_free_channel(out);
    msf_free_channel(in);
}

static void refused(void)
{
    struct msf_channel *ch = msf_new_channel(1);
    static char data[MSF_CHANNEL_MAX_DATA + 1];

    CHECK_NULL(msf_new_channel(MSF_CHANNEL_MAX_FDS + 1), EINVAL);
    open_pair(SOCK_STREAM);
    CHECK_FAILS(msf_write_channel(pair[0], NULL), EINVAL);
    CHECK_FAILS(msf_read_channel(pair[0], NULL), EINVAL);
    CHECK_FAILS(msf_write_channel(-1, ch), EBADF);
    CHECK_FAILS(msf_read_channel(-1, ch), EBADF);
    CHECK_FAILS(msf_channel_take(NULL, 0), EINVAL);
    CHECK_FAILS(msf_channel_put(NULL, "x", 1), EINVAL);
    CHECK_FAILS(msf_channel_put(ch, NULL, 1), EINVAL);
    CHECK_EQ(msf_channel_put(ch, NULL, 0), 0);
    CHECK_FAILS(msf_channel_put(ch, data, sizeof(data)), EMSGSIZE);
    CHECK_NULL(msf_channel_data(NULL), EINVAL);
    msf_add_channel(NULL, 0);

    msf_add_channel(ch, 9999); /* not open */
    CHECK_FAILS(msf_write_channel(pair[0], ch), EBADF);
    msf_channel_reset(ch);
    msf_add_channel(ch, pair[0]);
    msf_add_channel(ch, pair[0]); /* no room */
    CHECK_EQ(ch->cur_pos, 1);
    CHECK_FAILS(msf_write_channel(pair[0], ch), EMSGSIZE);
    msf_channel_reset(ch);
    ch->hdr.cmd = MSF_CMD_CLOSE_CHANNEL;
    CHECK_EQ(msf_write_channel(pair[0], ch), 0);
    close(pair[1]);
    ch->hdr.cmd = MSF_CMD_TERMINATE;
    CHECK_FAILS(msf_write_channel(pair[0], ch), EPIPE);
    close(pair[0]);
    msf_free_channel(ch);
}

int main(void)
{
    passes_descriptors_and_data();
    frees_what_was_not_taken();
    goes_on_where_it_was();
    liars();
    not_a_stream();
    refused();
    return check_verdict();
}
