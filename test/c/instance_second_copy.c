/*
 * One process, one libmsf: a copy of the library under another path is refused with EALREADY at its first
 * call, whatever call it is, and the first one goes on working.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msf.h>
#include <msf_event.h>
#include <msf_log.h>
#include <msf_mempool.h>
#include <msf_process.h>

#include "must.h"

/* Where the library that this program is linked to was loaded from. */
static void own_library(char *path)
{
    char line[PATH_MAX + 128];
    FILE *maps = fopen("/proc/self/maps", "r");
    MUST(maps != NULL);
    path[0] = '\0';
    while (path[0] == '\0' && fgets(line, sizeof line, maps) != NULL) {
        char *start = strchr(line, '/');
        if (start != NULL && strstr(start, "/libmsf.so") != NULL) {
            start[strcspn(start, "\n")] = '\0';
            strcpy(path, start);
        }
    }
    fclose(maps);
    MUST(path[0] != '\0');
}

static void copy(const char *from, const char *to)
{
    static char block[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t length;
    MUST(in != NULL && out != NULL);
    while ((length = fread(block, 1, sizeof block, in)) > 0) {
        MUST(fwrite(block, 1, length, out) == length);
    }
    fclose(in);
    MUST(fclose(out) == 0);
}

/* dlsym returns a data pointer; ISO C has no cast from it to a function's. */
static void find(void *library, const char *name, void *function_out)
{
    void *symbol = dlsym(library, name);
    MUST(symbol != NULL);
    memcpy(function_out, &symbol, sizeof symbol);
}

int main(void)
{
    char folder[] = "/tmp/msf-test-copy-XXXXXX", library[300], log[300], other_log[300], path[PATH_MAX + 128];
    const s8 *(*version)(void);
    s32 (*log_init)(const s8 *);
    s32 (*log_write)(s32, const s8 *, const s8 *, const s8 *, s32, const s8 *, ...);
    struct msf_event_base *(*base_new)(void);
    struct msf_mempool *(*pool_new)(s32, u32);
    pid_t (*holder)(const s8 *);
    void *second;
    MUST(mkdtemp(folder) != NULL);
    snprintf(library, sizeof library, "%s/another_name.so", folder);
    snprintf(log, sizeof log, "%s/x.log", folder);
    snprintf(other_log, sizeof other_log, "%s/y.log", folder);
    own_library(path);
    copy(path, library);
    second = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (second == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    find(second, "msf_version", &version);
    find(second, "msf_log_init", &log_init);
    find(second, "msf_log_write", &log_write);
    find(second, "msf_event_base_new", &base_new);
    find(second, "msf_mempool_create_prv", &pool_new);
    find(second, "msf_process_holder", &holder);
    MUST(version != msf_version);

    /* Refused before the first copy was ever called: the order of loading counts. */
    errno = 0;
    MUST(log_write(DBG_INFO, "TEST", MSF_FUNC_FILE_LINE, "x") == -1 && errno == EALREADY);
    errno = 0;
    MUST(log_init(other_log) == -1 && errno == EALREADY && access(other_log, F_OK) == -1);
    errno = 0;
    MUST(version() == NULL && errno == EALREADY);
    errno = 0;
    MUST(base_new() == NULL && errno == EALREADY);
    errno = 0;
    MUST(pool_new(-1, 0) == NULL && errno == EALREADY);
    errno = 0;
    MUST(holder("test") == -1 && errno == EALREADY);

    MUST(msf_version() != NULL && strcmp(msf_version(), MSF_VERSION_STRING) == 0);
    MUST(msf_log_init(log) == 0 && msf_log_write(DBG_INFO, "TEST", MSF_FUNC_FILE_LINE, "first") == 0);
    msf_log_free();
    dlclose(second);
    errno = 0;
    MUST(version() == NULL && errno == EALREADY); /* still mapped: it is never unloaded */
    unlink(library);
    unlink(log);
    MUST(rmdir(folder) == 0);
    return 0;
}
