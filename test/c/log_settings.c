/*
 * What may be set while the log is in use: levels of modules, mode, policy, rings, outputs; what is counted; and
 * records of a process that was killed.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_log.h>

#include "check.h"

#define LOG(mod, ...) msf_log_write(DBG_INFO, mod, MSF_FUNC_FILE_LINE, __VA_ARGS__)

static char folder[] = "/tmp/msf-test-settings-XXXXXX";
static char path[256], text[1 << 20];

static const char *content(const char *name)
{
    FILE *file = fopen(name, "r");
    size_t length = 0;

    CHECK(file != NULL);
    if (file != NULL) {
        length = fread(text, 1, sizeof text - 1, file);
        fclose(file);
    }
    text[length] = '\0';
    return text;
}

static int has(const char *what)
{
    return strstr(content(path), what) != NULL;
}

static void a_record_comes_by_itself_and_at_once_when_asked_for(void)
{
    CHECK_EQ(LOG("TEST", "by itself"), 0);
    CHECK_WITHIN(20000, has("] by itself["));
    CHECK_EQ(LOG("TEST", "when %s for", "asked"), 0);
    CHECK_EQ(msf_log_flush(), 0);
    CHECK(has("] when asked for["));
}

static void a_module_has_a_level_of_its_own(void)
{
    char name[16];
    int i;

    CHECK_EQ(msf_log_module_level("QUIET", DBG_WARN), 0);
    CHECK_EQ(LOG("QUIET", "not wanted"), 0);
    CHECK_EQ(LOG("OTHER", "wanted"), 0);
    CHECK_EQ(msf_log_module_level("QUIET", -1), 0);
    CHECK_EQ(LOG("QUIET", "wanted again"), 0);
    CHECK_EQ(msf_log_flush(), 0);
    CHECK(has("[OTHER]") && has("] wanted again[") && !has("not wanted"));
    CHECK_FAILS(msf_log_module_level(NULL, DBG_WARN), EINVAL);
    CHECK_FAILS(msf_log_module_level("QUIET", DBG_MAX), EINVAL);
    for (i = 1; i < 64; i++) {
        snprintf(name, sizeof name, "M%d", i);
        CHECK_EQ(msf_log_module_level(name, -1), 0);
    }
    CHECK_FAILS(msf_log_module_level("one more", DBG_WARN), ENOSPC);
}

static void direct_mode_writes_before_it_returns(void)
{
    CHECK_EQ(msf_log_mode(MSF_LOG_DIRECT), 0);
    CHECK_EQ(LOG("TEST", "directly"), 0);
    CHECK(has("] directly["));
    CHECK_EQ(msf_log_mode(MSF_LOG_RING), 0);
    CHECK_FAILS(msf_log_mode(2), EINVAL);
}

static void dropped_records_are_counted_and_told(void)
{
    struct msf_log_stats stats;
    struct {
        u32 size;
        u32 rings;
    } short_stats = { sizeof short_stats, 0 };
    u64 refused = 0, written;
    int i;

    CHECK_EQ(msf_log_flush(), 0);
    stats.size = sizeof stats;
    CHECK_EQ(msf_log_stats(&stats), 0);
    written = stats.written;
    CHECK_EQ(msf_log_ring(16384), 0);
    CHECK_EQ(msf_log_policy(MSF_LOG_DROP), 0);
    for (i = 0; i < 20000 || (refused == 0 && i < 10000000); i++) {
        refused += LOG("FLOOD", "%d", i) == -1;
    }
    CHECK_EQ(msf_log_policy(MSF_LOG_BLOCK), 0);
    CHECK_EQ(msf_log_flush(), 0);
    CHECK(refused > 0);
    CHECK_EQ(msf_log_stats(&stats), 0);
    CHECK_EQ(stats.dropped, refused);
    CHECK_EQ(stats.written, written + (u64)i - refused);
    CHECK(stats.lost == 0 && stats.recovered == 0 && stats.refused == 0 && stats.rings == 1);
    CHECK_EQ(msf_log_stats((struct msf_log_stats *)(void *)&short_stats), 0);
    CHECK_EQ(short_stats.rings, 1);
    stats.size = 4;
    CHECK_FAILS(msf_log_stats(&stats), EINVAL);
    CHECK_FAILS(msf_log_stats(NULL), EINVAL);
    CHECK_FAILS(msf_log_policy(-1), EINVAL);
    CHECK_FAILS(msf_log_ring(16383), EINVAL);
    CHECK_FAILS(msf_log_ring(4194305), EINVAL);
    CHECK_EQ(msf_log_ring(262144), 0);
}

static int listen_at(const char *name)
{
    struct sockaddr_un address = { 0 };
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, name, sizeof address.sun_path - 1);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static void outputs_get_what_the_file_gets(void)
{
    char json[300], socket_path[300], datagram[4096];
    int fd, kind;
    ssize_t length;

    snprintf(json, sizeof json, "%s/x.jsonl", folder);
    snprintf(socket_path, sizeof socket_path, "%s/socket", folder);
    fd = listen_at(socket_path);
    CHECK_EQ(msf_log_output(MSF_LOG_JSON, json), 0);
    for (kind = MSF_LOG_SYSLOG; kind <= MSF_LOG_JOURNAL; kind++) {
        CHECK_EQ(msf_log_output(kind, socket_path), 0);
        CHECK_EQ(LOG("OUT", "to output %d", kind), 0);
        CHECK_EQ(msf_log_flush(), 0);
        length = recv(fd, datagram, sizeof datagram - 1, MSG_DONTWAIT);
        CHECK(length > 0);
        datagram[length > 0 ? length : 0] = '\0';
        CHECK(strstr(datagram, "to output ") != NULL);
        CHECK(strncmp(datagram, kind == MSF_LOG_JOURNAL ? "MESSAGE=" : "<30>", 4) == 0);
        CHECK_EQ(msf_log_output_end(kind), 0);
        CHECK_FAILS(msf_log_output_end(kind), ENOENT);
    }
    CHECK(strstr(content(json), "\"module\":\"OUT\"") != NULL && strstr(text, "\"text\":\"to output 3\"") != NULL);
    CHECK_EQ(msf_log_output_end(MSF_LOG_JSON), 0);
    close(fd);
    CHECK_FAILS(msf_log_output(MSF_LOG_SYSLOG, socket_path), ECONNREFUSED);
    unlink(socket_path);
    CHECK_FAILS(msf_log_output(MSF_LOG_SYSLOG, socket_path), ENOENT);
    CHECK_FAILS(msf_log_output(MSF_LOG_JSON, NULL), EINVAL);
    CHECK_FAILS(msf_log_output(4, NULL), EINVAL);
    CHECK_FAILS(msf_log_output_end(-1), EINVAL);
    unlink(json);
}

/* The child's last records are in its ring when it is killed. */
static void records_of_a_killed_process_are_written(void)
{
    char other[300];
    int status, i, count;
    pid_t child;

    snprintf(other, sizeof other, "%s/other.log", folder);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int bad = msf_log_init(other);

        for (i = 0; i < 100; i++) {
            bad |= LOG("DEAD", "record %d.", i);
        }
        kill(getpid(), bad ? SIGTERM : SIGKILL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    count = msf_log_recover(other);
    CHECK(count >= 0 && count <= 100);
    CHECK_EQ(msf_log_recover(other), 0);
    content(other);
    for (i = 0, count = 0; i < 100; i++) {
        char one[32];
        const char *found;

        snprintf(one, sizeof one, "] record %d.", i);
        found = strstr(text, one);
        CHECK(found != NULL && strstr(found + 1, one) == NULL);
    }
    CHECK_FAILS(msf_log_recover(NULL), EINVAL);
    CHECK_FAILS(msf_log_recover(""), EINVAL);
    unlink(other);
}

static int in_the_handler = 1;

static void handler(int number)
{
    (void)number;
    in_the_handler = LOG("TEST", "from a handler");
}

/* Not inside the logger, a handler logs like anybody. */
static void a_signal_handler_may_log(void)
{
    signal(SIGUSR1, handler);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(in_the_handler, 0);
    CHECK_EQ(msf_log_flush(), 0);
    CHECK(has("] from a handler["));
}

static volatile sig_atomic_t refused_flushes, refused_records;

static void interrupt(int number)
{
    int before = errno;

    (void)number;
    errno = 0;
    refused_flushes += msf_log_flush() == -1 && errno == EDEADLK;
    errno = 4711;
    refused_records += LOG("TEST", "nested") == -1 && errno == 4711;
    errno = before;
}

/* A handler that interrupts the logging of its own thread is refused; waiting would never end. */
static void a_handler_inside_the_logger_is_refused(void)
{
    struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
    long long end = check_now() + 20000;
    int copy = dup(2), null = open("/dev/null", O_WRONLY);

    dup2(null, 2); /* what is refused goes to stderr, at least */
    signal(SIGALRM, interrupt);
    setitimer(ITIMER_REAL, &often, NULL);
    while ((refused_flushes == 0 || refused_records == 0) && check_now() < end) {
        LOG("TEST", "interrupted %d", 1);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    dup2(copy, 2);
    close(copy);
    close(null);
    CHECK(refused_flushes > 0 && refused_records > 0);
}

static void names_of_2019(void)
{
    static const enum LOG_LEVEL levels[] = { DBG_FATAL, DBG_ERROR, DBG_WARN, DBG_DEBUG, DBG_INFO, DBG_MAX };
    static const char colours[] = NONE BLACK L_BLACK RED L_RED GREEN L_GREEN BROWN YELLOW BLUE L_BLUE PURPLE L_PURPLE
        CYAN L_CYAN GRAY WHITE BOLD UNDERLINE BLINK REVERSE HIDE CLEAR CLRLINE;
    int i, escapes = 0;

    for (i = 0; i < 6; i++) {
        CHECK_EQ(levels[i], i);
    }
    for (i = 0; colours[i] != '\0'; i++) {
        escapes += colours[i] == '\033';
    }
    CHECK_EQ(escapes, 24);
}

static void without_a_log_there_is_nothing_to_flush(void)
{
    struct msf_log_stats stats = { .size = sizeof stats };

    CHECK_EQ(msf_log_flush(), 0);
    CHECK_EQ(msf_log_stats(&stats), 0);
    CHECK(stats.rings == 0 && stats.written > 0);
}

int main(void)
{
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/x.log", folder);
    /* While there is one thread: emulators do not take it well when the child of a process with more starts another. */
    records_of_a_killed_process_are_written();
    CHECK_EQ(msf_log_init(path), 0);
    a_record_comes_by_itself_and_at_once_when_asked_for();
    a_module_has_a_level_of_its_own();
    direct_mode_writes_before_it_returns();
    outputs_get_what_the_file_gets();
    a_signal_handler_may_log();
    a_handler_inside_the_logger_is_refused();
    dropped_records_are_counted_and_told();
    names_of_2019();
    msf_log_free();
    without_a_log_there_is_nothing_to_flush();
    unlink(path);
    CHECK_EQ(rmdir(folder), 0); /* no ring is left */
    return check_verdict();
}
