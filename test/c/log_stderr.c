/*
 * Nobody reads stderr any more: a record is still written to the file, and the process lives.
 */
#include <signal.h>
#include <unistd.h>

#include <msf_log.h>

#include "must.h"

static volatile sig_atomic_t signals;

static void count(int number)
{
    (void)number;
    signals++;
}

int main(void)
{
    char folder[] = "/tmp/msf-test-stderr-XXXXXX", path[300];
    int ends[2], kept = dup(2);
    sigset_t pending;
    MUST(mkdtemp(folder) != NULL && pipe(ends) == 0 && kept >= 0);
    snprintf(path, sizeof path, "%s/x.log", folder);
    MUST(msf_log_init(path) == 0);
    MUST(dup2(ends[1], 2) == 2);
    close(ends[0]);
    close(ends[1]);
    signal(SIGPIPE, SIG_DFL);
    MUST(msf_log_write(DBG_ERROR, "TEST", MSF_FUNC_FILE_LINE, "to nobody") == 0);
    signal(SIGPIPE, count);
    MUST(msf_log_write(DBG_ERROR, "TEST", MSF_FUNC_FILE_LINE, "to nobody") == 0);
    MUST(signals == 0 && sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE));
    MUST(close(2) == 0);
    MUST(msf_log_write(DBG_ERROR, "TEST", MSF_FUNC_FILE_LINE, "to no stderr at all") == 0);
    MUST(dup2(kept, 2) == 2);
    msf_log_free();
    unlink(path);
    MUST(rmdir(folder) == 0);
    return 0;
}
