/*
 * The log where it is hard: a /dev/shm that is full or missing, rings removed under it, a setuid program whose starter
 * chooses the environment, a signal handler, atexit, the destructors of thread data, more threads than rings.
 */
/* no qemu: it emulates neither mount namespaces nor setuid programs */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_log.h>

#include "check.h"

#define SAY(...) msf_log_write(DBG_INFO, "PLACES", MSF_FUNC_FILE_LINE, __VA_ARGS__)

enum { THREADS = 300, EACH = 20 };

static char folder[] = "/tmp/msf-places-XXXXXX";
static char log_path[64];

static int lines_with(const char *what)
{
    char line[1024];
    int count = 0;
    FILE *file = fopen(log_path, "r");

    CHECK(file != NULL);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        count += strstr(line, what) != NULL;
    if (file != NULL)
        fclose(file);
    return count;
}

static void in_folder(const char *name)
{
    snprintf(log_path, sizeof(log_path), "%s/%s", folder, name);
}

static void *say_some(void *word)
{
    for (int record = 0; record < EACH; record++)
        CHECK_EQ(SAY("%s %d", (const char *)word, record), 0);
    return NULL;
}

static void say_from_threads(int count, char *word)
{
    pthread_t threads[THREADS];

    for (int which = 0; which < count; which++)
        CHECK_EQ(pthread_create(&threads[which], NULL, say_some, word), 0);
    for (int which = 0; which < count; which++)
        CHECK_EQ(pthread_join(threads[which], NULL), 0);
}

/* In a child, so that namespaces and logs are its own; 0 when all was well. */
static void in_child(const char *title, void (*body)(void))
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        check_failures = 0;
        body();
        /* Not by exit: the parent's handlers are its own. */
        _exit(check_failures != 0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fprintf(stderr, "%s: status %x\n", title, status);
    CHECK_EQ(status, 0);
}

static void log_with_shm_of(const char *options)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        fprintf(stderr, "no mount namespace here: not tried\n");
        return;
    }
    if (options != NULL)
        CHECK_EQ(mount("tmpfs", "/dev/shm", "tmpfs", 0, options), 0);
    else
        CHECK_EQ(mount("/proc/self/fdinfo", "/dev/shm", NULL, MS_BIND, NULL), 0);
    CHECK_EQ(msf_log_init(log_path), 0);
    say_from_threads(100, (char *)"word");
    msf_log_free();
    CHECK_EQ(lines_with("word"), 100 * EACH);
}

static void shm_without_a_byte(void)
{
    in_folder("none.log");
    log_with_shm_of("size=4k,nr_inodes=1");
}

static void shm_for_three_rings(void)
{
    in_folder("three.log");
    log_with_shm_of("size=256k");
}

static void shm_that_takes_no_files(void)
{
    in_folder("nowhere.log");
    log_with_shm_of(NULL);
}

static void rings_removed(void)
{
    char rings[] = "/tmp/msf-places-rings-XXXXXX", path[600];

    in_folder("removed.log");
    CHECK(mkdtemp(rings) != NULL);
    setenv("MSF_LOG_RING_DIR", rings, 1);
    CHECK_EQ(msf_log_init(log_path), 0);
    SAY("word before");
    DIR *found = opendir(rings);
    CHECK(found != NULL);
    int removed = 0;
    for (struct dirent *entry; found != NULL && (entry = readdir(found)) != NULL;)
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", rings, entry->d_name);
            removed += unlink(path) == 0;
        }
    CHECK_EQ(removed, 1);
    closedir(found);
    say_from_threads(10, (char *)"word");
    msf_log_free();
    CHECK_EQ(lines_with("word"), 10 * EACH + 1);
    CHECK_EQ(rmdir(rings), 0);
}

/* The rings belong to whoever made them, whatever he grants the files he makes. */
static void a_umask_that_takes_all(void)
{
    char rings[] = "/tmp/msf-places-umask-XXXXXX", path[600];
    struct stat status;
    int found = 0;

    in_folder("umask.log");
    CHECK(mkdtemp(rings) != NULL);
    setenv("MSF_LOG_RING_DIR", rings, 1);
    umask(0377);
    CHECK_EQ(msf_log_init(log_path), 0);
    SAY("word");
    DIR *files = opendir(rings);
    CHECK(files != NULL);
    for (struct dirent *entry; files != NULL && (entry = readdir(files)) != NULL;)
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", rings, entry->d_name);
            CHECK_EQ(stat(path, &status), 0);
            CHECK_EQ(status.st_mode & 0777, 0600);
            found++;
        }
    closedir(files);
    CHECK_EQ(found, 1);
    msf_log_free();
    CHECK_EQ(lines_with("word"), 1);
    CHECK_EQ(rmdir(rings), 0);
}

static void more_threads_than_rings(void)
{
    in_folder("threads.log");
    CHECK_EQ(msf_log_init(log_path), 0);
    say_from_threads(THREADS, (char *)"word");
    msf_log_free();
    CHECK_EQ(lines_with("word"), THREADS * EACH);
}

static int handled, refused;
static struct itimerval next_signal = { { 0, 0 }, { 0, 200 } };

static void say_in_handler(int signo)
{
    (void)signo;
    int before = errno;
    /* -1 when it interrupted a call on its own thread: said, not waited for. */
    if (SAY("handler") == 0)
        handled++;
    else
        refused++;
    CHECK_EQ(errno, before);
    /* From here, not at a fixed pace: on a slow machine nothing but handlers would run. */
    setitimer(ITIMER_REAL, &next_signal, NULL);
}

static void signals_while_it_logs(void)
{
    struct sigaction action = { .sa_handler = say_in_handler };
    int said = 0;

    in_folder("signals.log");
    CHECK_EQ(msf_log_limit(1 << 30, 1), 0);
    /* A small ring, so that handlers find it full, too, and a thread that is often interrupted in malloc. */
    CHECK_EQ(msf_log_ring(16384), 0);
    CHECK_EQ(msf_log_init(log_path), 0);
    said += SAY("plain") == 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &next_signal, NULL);
    for (long long end = check_now() + 700; check_now() < end;)
        for (int record = 0; record < 50; record++) {
            said += SAY("plain") == 0;
            for (int size = 1; size < 4000; size *= 2)
                free(malloc((size_t)size));
        }
    next_signal.it_value.tv_usec = 0;
    setitimer(ITIMER_REAL, &next_signal, NULL);
    msf_log_free();
    CHECK(handled > 0);
    CHECK_EQ(lines_with("plain"), said);
    CHECK_EQ(lines_with("handler"), handled);
}

static pthread_key_t key;

static void say_at_the_end_of_a_thread(void *value)
{
    static _Thread_local int again;

    SAY("last words");
    /* Thread data of ours is destroyed in several passes: also behind the library's. */
    if (again++ < PTHREAD_DESTRUCTOR_ITERATIONS - 1)
        pthread_setspecific(key, value);
}

static void *with_last_words(void *value)
{
    pthread_setspecific(key, value);
    SAY("first words");
    return NULL;
}

static void say_at_exit(void)
{
    SAY("at exit");
}

static void at_the_end_of_threads(void)
{
    pthread_t thread;

    in_folder("ends.log");
    CHECK_EQ(msf_log_init(log_path), 0);
    CHECK_EQ(pthread_key_create(&key, say_at_the_end_of_a_thread), 0);
    for (int round = 0; round < 20; round++) {
        CHECK_EQ(pthread_create(&thread, NULL, with_last_words, &key), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
    CHECK_EQ(msf_log_flush(), 0);
    CHECK_EQ(lines_with("first words"), 20);
    CHECK_EQ(lines_with("last words"), 20 * PTHREAD_DESTRUCTOR_ITERATIONS);
}

static void exits(void)
{
    in_folder("exits.log");
    CHECK_EQ(msf_log_init(log_path), 0);
    atexit(say_at_exit);
    SAY("before exit");
    exit(check_failures != 0);
}

/* What the environment of somebody with fewer rights says is not done. */
static void setuid_program(void)
{
    char copy[64], evil[64], value[512];
    struct stat status;

    snprintf(copy, sizeof(copy), "%s/setuid", folder);
    snprintf(evil, sizeof(evil), "%s/evil", folder);
    snprintf(value, sizeof(value), "json=%s", evil);
    in_folder("setuid.log");
    if (geteuid() != 0) {
        fprintf(stderr, "not root: no setuid program\n");
        return;
    }
    CHECK_EQ(chmod(folder, 0777), 0);
    snprintf(value, sizeof(value), "cp /proc/%d/exe %s && chown 65534 %s && chmod 4755 %s", (int)getpid(),
             copy, copy, copy);
    CHECK_EQ(system(value), 0);
    snprintf(value, sizeof(value), "json=%s", evil);
    pid_t child = fork();
    if (child == 0) {
        setenv("MSF_LOG_OUTPUTS", value, 1);
        setenv("MSF_LOG_LEVEL", "FATAL", 1);
        execl(copy, copy, log_path, (char *)NULL);
        _exit(127);
    }
    int code = -1;
    CHECK_EQ(waitpid(child, &code, 0), child);
    if (code != 0 && stat(log_path, &status) != 0) {
        fprintf(stderr, "a setuid program does not find the library or starts without its rights: not tried\n");
        return;
    }
    CHECK_EQ(code, 0);
    CHECK_EQ(lines_with("with more rights"), 1);
    CHECK(stat(evil, &status) == -1 && errno == ENOENT);
}

static int as_setuid(const char *path)
{
    if (geteuid() == getuid())
        return 3;
    if (msf_log_init(path) != 0 || SAY("with more rights") != 0)
        return 1;
    msf_log_free();
    return 0;
}

int main(int argc, char **argv)
{
    char command[64];

    if (argc > 1)
        /* The leak checker may not look at such a program. */
        _exit(as_setuid(argv[1]));
    CHECK(mkdtemp(folder) != NULL);
    /* Where they lie when nobody has said so. */
    CHECK_EQ(unsetenv("MSF_LOG_RING_DIR"), 0);
    in_child("no room in /dev/shm", shm_without_a_byte);
    in_child("room for three rings", shm_for_three_rings);
    in_child("no files in /dev/shm", shm_that_takes_no_files);
    in_child("rings removed", rings_removed);
    in_child("umask", a_umask_that_takes_all);
    in_child("threads", more_threads_than_rings);
    in_child("signals", signals_while_it_logs);
    in_child("ends of threads", at_the_end_of_threads);
    in_child("exit", exits);
    in_folder("exits.log");
    CHECK_EQ(lines_with("before exit"), 1);
    CHECK_EQ(lines_with("at exit"), 1);
    setuid_program();
    snprintf(command, sizeof(command), "rm -r %s", folder);
    CHECK_EQ(system(command), 0);
    return check_failures != 0;
}
