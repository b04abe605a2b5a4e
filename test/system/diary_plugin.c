/*
 * A plugin that writes down which of its slots ran: a line "<name>.<slot>" in the file $DIARY, the same in the log.
 * Compiled with -DNAME=<service>, and what it should do wrong:
 *   -DFAIL_INIT -DFAIL_START -DFAIL_STOP   the slot returns -7
 *   -DEMPTY                                only init is filled
 *   -DSLOW_INIT                            init takes a second
 *   -DTHREAD                               start spawns a thread, stop joins it
 *   -DFUNCTION -DSMALL                     the symbol is a function, or a variable that is too small
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <client.h>
#include <msf_log.h>
#include <msf_process.h>
#include <msf_svc.h>
#include <msf_thread.h>

#define STRING_(x) #x
#define STRING(x) STRING_(x)

#if defined(FUNCTION)
int NAME(void);
int NAME(void) { return 0; }
#elif defined(SMALL)
extern int NAME;
int NAME = 1;
#else

static s32 note(const char *slot, s32 code)
{
    const char *path = getenv("DIARY");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;

    if (fd >= 0) {
        dprintf(fd, "%s.%s\n", STRING(NAME), slot);
        close(fd);
    }
    msf_log_write(DBG_INFO, "DIARY", MSF_FUNC_FILE_LINE, "%s.%s in %s with %u services", STRING(NAME), slot,
                  g_proc->proc_name, g_proc->proc_svc_num);
    return code;
}

static s32 on_init(void *data, u32 len)
{
    (void)data;
    (void)len;
#ifdef SLOW_INIT
    note("init begins", 0);
    sleep(1);
#endif
#ifdef FAIL_INIT
    return note("init", -7);
#else
    return note("init", data == NULL ? 0 : -1);
#endif
}

#ifndef EMPTY
#ifdef THREAD
static pthread_t thread;
static int pipe_fd[2];

static void *sit(void *arg)
{
    char byte;

    (void)arg;
    return read(pipe_fd[0], &byte, 1) < 0 ? arg : NULL;
}
#endif

static s32 on_deinit(void *data, u32 len)
{
    (void)data;
    (void)len;
    return note("deinit", 0);
}

static s32 on_start(void *data, u32 len)
{
    (void)data;
    (void)len;
#ifdef THREAD
    if (pipe(pipe_fd) < 0 || msf_pthread_spawn(&thread, sit, NULL) < 0)
        return -1;
#endif
#ifdef FAIL_START
    return note("start", -7);
#else
    return note("start", 0);
#endif
}

static s32 on_stop(void *data, u32 len)
{
    (void)data;
    (void)len;
#ifdef THREAD
    close(pipe_fd[1]);
    pthread_join(thread, NULL);
    close(pipe_fd[0]);
#endif
#ifdef FAIL_STOP
    return note("stop", -7);
#else
    return note("stop", 0);
#endif
}
#endif

struct msf_svc NAME = {
    .init = on_init,
#ifndef EMPTY
    .deinit = on_deinit,
    .start = on_start,
    .stop = on_stop,
#endif
};
#endif
