/*
 * Serial lines, on a pty: what was set is what tcgetattr says, bytes pass unchanged, the line comes back as it was.
 */
#include <fcntl.h>
#include <msf_event.h>
#include <msf_serial.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "check.h"

extern int posix_openpt(int);
extern int grantpt(int);
extern int unlockpt(int);
extern char *ptsname(int);

static int other;
static char path[64];

/* The other side is `other`; our side is at `path`, and open as the result. */
static int open_pty(void)
{
    other = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(other >= 0);
    CHECK_EQ(grantpt(other), 0);
    CHECK_EQ(unlockpt(other), 0);
    snprintf(path, sizeof(path), "%s", ptsname(other));
    return open(path, O_RDWR | O_NOCTTY);
}

static struct termios line(int fd)
{
    struct termios now;

    memset(&now, 0, sizeof(now));
    CHECK_EQ(tcgetattr(fd, &now), 0);
    return now;
}

static struct msf_serial_settings settings(u32 baud)
{
    struct msf_serial_settings wanted;

    memset(&wanted, 0, sizeof(wanted));
    wanted.size = sizeof(wanted);
    wanted.baud = baud;
    return wanted;
}

static void names_of_2019(int fd)
{
    int file = open("/dev/null", O_RDWR);
    struct termios now;

    CHECK_EQ(msf_serial_baud(fd, B115200), 0);
    now = line(fd);
    CHECK_EQ(cfgetospeed(&now), B115200);
    CHECK_EQ(msf_serial_baud(fd, B9600), 0);
    now = line(fd);
    CHECK_EQ(cfgetospeed(&now), B9600);
    CHECK_EQ(cfgetispeed(&now), B9600);
    CHECK_FAILS(msf_serial_baud(fd, 12345), EINVAL);
    CHECK_FAILS(msf_serial_baud(fd, -1), EINVAL);
    now = line(fd);
    CHECK_EQ(cfgetospeed(&now), B9600);
    CHECK_FAILS(msf_serial_baud(file, B9600), ENOTTY);
    CHECK_FAILS(msf_serial_baud(-1, B9600), EBADF);

    CHECK(now.c_lflag & ICANON);
    CHECK_EQ(msf_serial_rawmode(fd), 0);
    now = line(fd);
    CHECK_EQ(now.c_lflag & (tcflag_t)(ICANON | ECHO | ECHOE | ISIG | IEXTEN), 0);
    CHECK_EQ(now.c_iflag & (tcflag_t)(IXON | IXOFF | ICRNL | INLCR | IGNCR), 0);
    CHECK_EQ(now.c_oflag & (tcflag_t)OPOST, 0);
    CHECK_FAILS(msf_serial_rawmode(file), ENOTTY);
    CHECK_FAILS(msf_serial_rawmode(-1), EBADF);
    close(file);
}

static void set_and_put_back(int fd)
{
    struct termios before = line(fd), now;
    struct msf_serial_settings wanted = settings(9600), got = settings(0);
    struct msf_serial *port;

    wanted.stop_bits = 2;
    wanted.flow = MSF_SERIAL_FLOW_SOFTWARE;
    wanted.read_least = 3;
    wanted.read_wait = 20;
    wanted.nonblocking = 1;
    port = msf_serial_open(path, &wanted);
    CHECK(port != NULL);
    CHECK_EQ(fcntl(msf_serial_fd(port), F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(msf_serial_fd(port), F_GETFL) & O_NONBLOCK);
    now = line(fd);
    CHECK_EQ(cfgetospeed(&now), B9600);
    CHECK(now.c_cflag & CSTOPB);
    CHECK_EQ(now.c_cflag & CSIZE, CS8);
    CHECK_EQ(now.c_iflag & (tcflag_t)(IXON | IXOFF), IXON | IXOFF);
    CHECK_EQ(now.c_lflag & (tcflag_t)(ICANON | ECHO | ISIG), 0);
    CHECK_EQ(now.c_cc[VMIN], 3);
    CHECK_EQ(now.c_cc[VTIME], 20);
    CHECK_EQ(msf_serial_get(port, &got), 0);
    CHECK_EQ(got.size, sizeof(got));
    CHECK_EQ(got.baud, 9600);
    CHECK(got.data_bits == 8 && got.parity == 'N' && got.stop_bits == 2 && got.flow == MSF_SERIAL_FLOW_SOFTWARE);
    CHECK(got.read_least == 3 && got.read_wait == 20 && got.nonblocking == 1);

    wanted = settings(19200);
    wanted.flow = MSF_SERIAL_FLOW_HARDWARE;
    CHECK_EQ(msf_serial_set(port, &wanted), 0);
    CHECK(!(fcntl(msf_serial_fd(port), F_GETFL) & O_NONBLOCK));
    CHECK_EQ(msf_serial_get(port, &got), 0);
    CHECK(got.baud == 19200 && got.flow == MSF_SERIAL_FLOW_HARDWARE && got.stop_bits == 1 && got.read_least == 1);
    CHECK_FAILS(msf_serial_set(port, NULL), EINVAL);
    CHECK_FAILS(msf_serial_set(NULL, &wanted), EINVAL);
    wanted.data_bits = 9;
    CHECK_FAILS(msf_serial_set(port, &wanted), EINVAL);
    wanted.data_bits = 7; /* a pty has 8, whatever it is told */
    CHECK_FAILS(msf_serial_set(port, &wanted), EINVAL);
    wanted.data_bits = 8;
    wanted.parity = 'X';
    CHECK_FAILS(msf_serial_set(port, &wanted), EINVAL);
    wanted.parity = 'O'; /* nor has it parity */
    CHECK_FAILS(msf_serial_set(port, &wanted), EINVAL);
    wanted.parity = 'N';
    wanted.stop_bits = 3;
    CHECK_FAILS(msf_serial_set(port, &wanted), EINVAL);
    wanted.stop_bits = 1;
    wanted.flow = 9;
    CHECK_FAILS(msf_serial_set(port, &wanted), EINVAL);
    got.size = 4;
    CHECK_FAILS(msf_serial_get(port, &got), EINVAL);
    CHECK_FAILS(msf_serial_get(NULL, &got), EINVAL);
    CHECK_FAILS(msf_serial_get(port, NULL), EINVAL);
    /* A caller with an older, shorter struct gets what it has room for. */
    memset(&got, 0x55, sizeof(got));
    got.size = 8;
    CHECK_EQ(msf_serial_get(port, &got), 0);
    CHECK(got.baud == 19200 && got.data_bits == 0x55);
    msf_serial_close(port);
    now = line(fd);
    CHECK_EQ(now.c_lflag, before.c_lflag);
    CHECK_EQ(now.c_iflag, before.c_iflag);
    CHECK_EQ(now.c_cflag, before.c_cflag);
    CHECK_EQ(cfgetospeed(&now), cfgetospeed(&before));
    msf_serial_close(NULL);
}

static void open_refused(void)
{
    struct msf_serial_settings wanted = settings(9600);
    struct msf_serial *port = msf_serial_open(path, NULL), *second;
    pid_t child;
    int alone = 0, status;

    CHECK(port != NULL);
    /* Emulators cannot ask for it. */
    CHECK(ioctl(msf_serial_fd(port), TIOCGEXCL, &alone) == 0 ? alone == 1 : errno == ENOSYS);
    CHECK_NULL(msf_serial_open(path, NULL), EBUSY);
    msf_serial_close(port);
    wanted.shared = 1;
    port = msf_serial_open(path, &wanted);
    second = msf_serial_open(path, &wanted);
    CHECK(port && second);
    msf_serial_close(second);
    msf_serial_close(port);

    CHECK_NULL(msf_serial_open(NULL, NULL), EINVAL);
    CHECK_NULL(msf_serial_open("/nowhere/tty", NULL), ENOENT);
    CHECK_NULL(msf_serial_open("/dev/null", NULL), ENOTTY);
    wanted.size = 4;
    CHECK_NULL(msf_serial_open(path, &wanted), EINVAL);
    CHECK_FAILS(msf_serial_fd(NULL), EINVAL);
    child = fork();
    if (child == 0) {
        status = creat("closed", 0);
        close(status);
        if (geteuid() == 0)
            CHECK_EQ(setgid(65534) | setuid(65534), 0);
        CHECK_NULL(msf_serial_open("closed", NULL), EACCES);
        _exit(check_verdict());
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

static void any_speed(void)
{
    struct msf_serial_settings wanted = settings(74880), got = settings(0);
    struct msf_serial *port = msf_serial_open(path, &wanted);

    if (port == NULL) { /* without termios2 there are only the speeds with names */
        CHECK_EQ(errno, EINVAL);
        return;
    }
    CHECK_EQ(msf_serial_get(port, &got), 0);
    CHECK_EQ(got.baud, 74880);
    msf_serial_close(port);
}

static void bytes_pass(void)
{
    struct msf_serial *port = msf_serial_open(path, NULL);
    unsigned char all[256], got[256];
    size_t come = 0;
    u32 lines;
    int waiting = -1;

    for (int i = 0; i < 256; i++)
        all[i] = (unsigned char)i;
    CHECK_EQ(write(msf_serial_fd(port), all, sizeof(all)), (ssize_t)sizeof(all));
    CHECK_EQ(read(other, got, sizeof(got)), (ssize_t)sizeof(got));
    CHECK(memcmp(all, got, sizeof(all)) == 0);
    CHECK_EQ(write(other, all, sizeof(all)), (ssize_t)sizeof(all));
    while (come < sizeof(got)) {
        ssize_t count = read(msf_serial_fd(port), got + come, sizeof(got) - come);
        CHECK(count > 0);
        if (count <= 0)
            break;
        come += (size_t)count;
    }
    CHECK(memcmp(all, got, sizeof(all)) == 0);

    CHECK_EQ(write(other, "away", 4), 4);
    CHECK_WITHIN(5000, ioctl(msf_serial_fd(port), FIONREAD, &waiting) == 0 && waiting == 4);
    CHECK_EQ(msf_serial_discard(port), 0);
    CHECK_EQ(ioctl(msf_serial_fd(port), FIONREAD, &waiting), 0);
    CHECK_EQ(waiting, 0);
    CHECK_EQ(msf_serial_drain(port), 0);
    CHECK_EQ(msf_serial_break(port, 1), 0);
    CHECK_FAILS(msf_serial_drain(NULL), EINVAL);
    CHECK_FAILS(msf_serial_discard(NULL), EINVAL);
    CHECK_FAILS(msf_serial_break(NULL, 1), EINVAL);

    /* A pty has no modem. */
    CHECK_FAILS(msf_serial_lines(port, &lines), ENOTTY);
    CHECK_FAILS(msf_serial_lines(NULL, &lines), EINVAL);
    CHECK_FAILS(msf_serial_lines(port, NULL), EINVAL);
    CHECK_FAILS(msf_serial_set_lines(port, MSF_SERIAL_DTR, MSF_SERIAL_RTS), ENOTTY);
    CHECK_FAILS(msf_serial_set_lines(port, MSF_SERIAL_CTS, 0), EINVAL);
    CHECK_FAILS(msf_serial_set_lines(port, MSF_SERIAL_DTR, MSF_SERIAL_DTR), EINVAL);
    CHECK_FAILS(msf_serial_set_lines(NULL, 0, 0), EINVAL);
    msf_serial_close(port);
}

struct seen {
    struct msf_event_base *base;
    int fd;
    char text[16];
};

static void on_read(void *args)
{
    struct seen *seen = args;

    CHECK_EQ(read(seen->fd, seen->text, sizeof(seen->text) - 1), 5);
    msf_event_base_loopexit(seen->base);
}

static void is_an_event_source(void)
{
    struct msf_serial_settings wanted = settings(115200);
    struct seen seen = { msf_event_base_new(), -1, "" };
    struct msf_serial *port;
    struct msf_event *event;

    wanted.nonblocking = 1;
    port = msf_serial_open(path, &wanted);
    seen.fd = msf_serial_fd(port);
    event = msf_event_new(seen.fd, on_read, NULL, NULL, &seen);
    CHECK_EQ(msf_event_add(seen.base, event), 0);
    CHECK_EQ(write(other, "event", 5), 5);
    CHECK_EQ(msf_event_base_dispatch(seen.base), 0);
    CHECK(strcmp(seen.text, "event") == 0);
    msf_event_free(event);
    msf_event_base_free(seen.base);
    msf_serial_close(port);
}

static void the_line_goes_away(int fd)
{
    struct msf_serial *port = msf_serial_open(path, NULL);

    CHECK(port != NULL);
    close(other); /* hangs our side up */
    CHECK_FAILS(msf_serial_drain(port), EIO);
    CHECK_FAILS(msf_serial_discard(port), EIO);
    CHECK_FAILS(msf_serial_break(port, 1), EIO);
    msf_serial_close(port);
    close(fd);
}

int main(void)
{
    int fd = open_pty();

    CHECK(fd >= 0);
    set_and_put_back(fd);
    open_refused();
    any_speed();
    bytes_pass();
    is_an_event_source();
    names_of_2019(fd);
    the_line_goes_away(fd);
    return check_verdict();
}
