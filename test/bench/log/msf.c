/* libmsf's log as it is unless somebody changes it: rings, nothing dropped. */
#include <msf_log.h>

#include "work.h"

static void log_open(const char *path)
{
    if (msf_log_init(path) != 0 || msf_log_limit((u64)1 << 40, 1) != 0) {
        perror("msf_log_init");
        exit(1);
    }
}

static void log_line(unsigned peer, int bytes, const char *what)
{
    msf_log_write(DBG_INFO, "BENCH", MSF_FUNC_FILE_LINE, "peer %u sent %d bytes in %s", peer, bytes, what);
}

static void log_close(void)
{
    msf_log_free();
}
