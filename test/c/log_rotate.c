/*
 * Threads and forked processes write one log that rotates all the time: every record is there once, in a line
 * that is whole, in files that are hardly larger than was asked for.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_log.h>
#include <msf_thread.h>

#include "must.h"

#define WRITERS 6 /* two threads each in the parent and in two children */
#define RECORDS 2000
#define LIMIT 65536

static unsigned char seen[WRITERS][RECORDS];
/* A child ends in the middle of a write, maybe: then another may have ended its line before the whole one was written. */
static int stumps;

static void *writer(void *arg)
{
    int number = *(int *)arg, record;
    for (record = 0; record < RECORDS; record++) {
        if (msf_log_write(DBG_INFO, "TEST", MSF_FUNC_FILE_LINE, "record %d/%d/", number, record) != 0) {
            return arg;
        }
    }
    return NULL;
}

static int write_as(int first)
{
    pthread_t threads[2];
    int numbers[2], i, bad = 0;
    void *result;
    for (i = 0; i < 2; i++) {
        numbers[i] = first + i;
        bad |= msf_pthread_spawn(&threads[i], writer, &numbers[i]);
    }
    for (i = 0; i < 2; i++) {
        bad |= pthread_join(threads[i], &result) != 0 || result != NULL;
    }
    return bad;
}

static void look_at(const char *name)
{
    char line[4096];
    long size = 0;
    FILE *file = fopen(name, "r");
    MUST(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        int number = -1, record = -1;
        char *text = strstr(line, "] record ");
        size += (long)strlen(line);
        MUST(line[strlen(line) - 1] == '\n');
        if (line[0] == '[' && strcmp(line + strlen(line) - 2, "]\n") != 0) {
            stumps++;
            continue;
        }
        MUST(text != NULL);
        MUST(sscanf(text, "] record %d/%d/[pid:", &number, &record) == 2);
        MUST(number >= 0 && number < WRITERS && record >= 0 && record < RECORDS);
        seen[number][record]++;
    }
    if (size > LIMIT + 2 * LIMIT / 8) {
        fprintf(stderr, "%s has %ld bytes\n", name, size);
    }
    MUST(size <= LIMIT + 3 * LIMIT / 8 + 256); /* each process may see the last gap as its own batch's */
    fclose(file);
}

int main(void)
{
    char folder[] = "/tmp/msf-test-rotate-XXXXXX", name[300];
    pid_t children[2];
    int i, j, status, number, files = 0;
    MUST(mkdtemp(folder) != NULL);
    /* Whoever else logs on this machine must not bring the children's last records to the log while it is being read. */
    MUST(setenv("MSF_LOG_RING_DIR", folder, 1) == 0);
    snprintf(name, sizeof name, "%s/x.log", folder);
    MUST(msf_log_init(name) == 0 && msf_log_limit(LIMIT, 99) == 0);
    for (i = 0; i < 2; i++) {
        children[i] = fork();
        MUST(children[i] >= 0);
        if (children[i] == 0) {
            _exit(write_as(2 + 2 * i));
        }
    }
    MUST(write_as(0) == 0);
    for (i = 0; i < 2; i++) {
        MUST(waitpid(children[i], &status, 0) == children[i] && status == 0);
    }
    msf_log_free();
    look_at(name);
    MUST(unlink(name) == 0);
    for (number = 1; number < 100; number++) {
        snprintf(name, sizeof name, "%s/x.log.%d", folder, number);
        /* A child may have ended while its writer was renaming: then a number is missing. */
        if (access(name, F_OK) == 0) {
            look_at(name);
            MUST(unlink(name) == 0);
            files++;
        }
    }
    MUST(files > 10 && rmdir(folder) == 0 && stumps <= 2);
    for (i = 0; i < WRITERS; i++) {
        for (j = 0; j < RECORDS; j++) {
            MUST(seen[i][j] == 1);
        }
    }
    return 0;
}
