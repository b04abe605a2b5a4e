/*
 * What killed processes have left for a log, written by several processes at once: each record once.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_log.h>

#include "check.h"

enum { ROUNDS = 12, KILLED = 3, RECORDS = 150, RECOVERING = 6 };

static char folder[] = "/tmp/msf-recover-XXXXXX";
static char path[64];

static void killed(int which)
{
    pid_t child = fork();

    if (child == 0) {
        if (msf_log_init(path) != 0)
            _exit(1);
        for (int record = 0; record < RECORDS; record++)
            msf_log_write(DBG_INFO, "RECOVER", MSF_FUNC_FILE_LINE, "word %d.%d.", which, record);
        kill(getpid(), SIGKILL);
    }
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

/* All begin when the pipe is closed; half of them open the log as their own. */
static void recovered_at_once(void)
{
    pid_t children[RECOVERING];
    int gate[2], status;

    CHECK_EQ(pipe(gate), 0);
    for (int which = 0; which < RECOVERING; which++) {
        children[which] = fork();
        if (children[which] == 0) {
            char none;

            close(gate[1]);
            if (read(gate[0], &none, 1) != 0)
                _exit(1);
            if (which % 2 == 0)
                _exit(msf_log_recover(path) < 0);
            status = msf_log_init(path);
            msf_log_free();
            _exit(status != 0);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int which = 0; which < RECOVERING; which++) {
        CHECK_EQ(waitpid(children[which], &status, 0), children[which]);
        CHECK_EQ(status, 0);
    }
}

/* How often each record is in the log: once. */
static void each_once(void)
{
    static unsigned char seen[ROUNDS * KILLED][RECORDS];
    char line[512];
    int which, record, count = 0;
    FILE *file = fopen(path, "r");

    CHECK(file != NULL);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *word = strstr(line, "word ");

        CHECK(word != NULL && sscanf(word, "word %d.%d.", &which, &record) == 2);
        if (word != NULL && which >= 0 && which < ROUNDS * KILLED && record >= 0 && record < RECORDS)
            CHECK_EQ(++seen[which][record], 1);
        count++;
    }
    if (file != NULL)
        fclose(file);
    CHECK_EQ(count, ROUNDS * KILLED * RECORDS);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    setenv("MSF_LOG_RING_DIR", folder, 1);
    snprintf(path, sizeof(path), "%s/x.log", folder);
    for (int round = 0; round < ROUNDS; round++) {
        for (int which = 0; which < KILLED; which++)
            killed(round * KILLED + which);
        recovered_at_once();
    }
    each_once();
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rmdir(folder), 0); /* no ring is left */
    return check_verdict();
}
