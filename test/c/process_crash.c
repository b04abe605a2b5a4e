/*
 * A crash is told when it begins: with its signal, its address and a trace; and then it goes its way as it would have.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <msf_process.h>

#include "apart.h"
#include "check.h"

static int board;
static const int faults[] = { SIGSEGV, SIGBUS, SIGABRT };
static struct sockaddr_un place = { .sun_family = AF_UNIX };

static void overflow(volatile char *before)
{
    volatile char room[65536];

    room[0] = before ? before[0] : (char)1;
    if (room[0])
        overflow(room);
    room[1] = room[0];
}

static void null(void)
{
    *(volatile int *)8 = 1;
}

static void deep(void)
{
    overflow(NULL);
}

static void *thread(void *arg)
{
    CHECK_EQ(msf_crash_notify(), 0);
    overflow(NULL);
    return arg;
}

static void deep_in_a_thread(void)
{
    pthread_t id;

    pthread_create(&id, NULL, thread, NULL);
    pthread_join(id, NULL);
}

static void sent(void)
{
    raise(SIGBUS);
}

static void handler(int signo)
{
    (void)signo;
    _exit(77);
}

static void theirs(void)
{
    null();
}

/* What one way of dying tells, and how it ends. */
static int dies(void (*how)(void), int handles, char *text, size_t size, char *trace, size_t trace_size)
{
    int status = 0;
    ssize_t got;
    pid_t child = fork();

    if (child == 0) {
        /* A sanitizer has its own. */
        for (size_t at = 0; at < sizeof(faults) / sizeof(faults[0]); at++)
            signal(faults[at], SIG_DFL);
        if (handles)
            signal(SIGSEGV, handler);
        if (msf_crash_notify() != 0)
            _exit(99);
        how();
        _exit(98);
    }
    CHECK(waitpid(child, &status, 0) == child);
    got = recv(board, text, size - 1, MSG_DONTWAIT);
    text[got > 0 ? got : 0] = '\0';
    got = recv(board, trace, trace_size - 1, MSG_DONTWAIT);
    trace[got > 0 ? got : 0] = '\0';
    CHECK(recv(board, trace + trace_size - 1, 1, MSG_DONTWAIT) < 0); /* once */
    return status;
}

static void told(void (*how)(void), int signo, const char *address)
{
    char text[256], trace[4096], expected[64];
    int status = dies(how, 0, text, sizeof(text), trace, sizeof(trace));

    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signo);
    snprintf(expected, sizeof(expected), "MSF_CRASH=%d\nMSF_CRASH_ADDRESS=0x%s", signo, address);
    CHECK(strncmp(text, expected, strlen(expected)) == 0);
    CHECK(strncmp(trace, "MSF_CRASH_TRACE=/", 17) == 0);
    CHECK(strstr(trace, "+0x") != NULL);
}

int main(void)
{
    char text[256], trace[4096], *name = place.sun_path;
    int status;

    unsetenv("NOTIFY_SOCKET");
    unsetenv("MSF_CRASH_SOCKET");
    CHECK_FAILS(msf_crash_notify(), ENOENT);
    memset(trace, 'x', 200);
    trace[200] = '\0';
    setenv("NOTIFY_SOCKET", trace, 1);
    CHECK_FAILS(msf_crash_notify(), ENAMETOOLONG);

    board = socket(AF_UNIX, SOCK_DGRAM, 0);
    snprintf(name + 1, sizeof(place.sun_path) - 1, "msf-crash-%d", (int)getpid());
    CHECK(bind(board, (struct sockaddr *)&place, (socklen_t)(sizeof(sa_family_t) + 1 + strlen(name + 1))) == 0);
    snprintf(text, sizeof(text), "@%s", name + 1);
    setenv("MSF_CRASH_SOCKET", text, 1);

    told(null, SIGSEGV, "8");
    told(abort, SIGABRT, "");
    told(sent, SIGBUS, "");
    told(deep, SIGSEGV, "");
    told(deep_in_a_thread, SIGSEGV, "");

    /* A handler of the program's own has its turn. */
    status = dies(theirs, 1, text, sizeof(text), trace, sizeof(trace));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 77);
    CHECK(strncmp(text, "MSF_CRASH=11\n", 13) == 0);

    /* Nobody there is no reason to die of something else. */
    close(board);
    board = socket(AF_UNIX, SOCK_DGRAM, 0);
    status = dies(null, 0, text, sizeof(text), trace, sizeof(trace));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    return check_verdict();
}
