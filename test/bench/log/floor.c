/* No log at all: the time is asked for and the line formatted into memory that is used over and over. Nothing is written. */
#include "work.h"

static _Thread_local char lines[65536];
static _Thread_local size_t filled;

static void log_open(const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        perror(path);
        exit(1);
    }
    fclose(file);
}

static void log_line(unsigned peer, int bytes, const char *what)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    if (filled > sizeof lines - 256) {
        filled = 0;
    }
    filled += (size_t)snprintf(lines + filled, 256, "[%s.%06ld][%s][%s][%s %s:%d] peer %u sent %d bytes in %s[pid:%s]\n",
                               "2026-01-01 00:00:00", time.tv_nsec / 1000, "BENCH", "INFO", __func__, __FILE__, __LINE__, peer,
                               bytes, what, "4711,tid:4712");
}

static void log_close(void)
{
}
