/*
 * Loading a service: what each mistake is answered with, and a variable that is found. libmsf.so itself
 * stands for the service's library, and its g_proc for the service.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msf_log.h>
#include <msf_process.h>
#include <msf_svc.h>

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

static struct svcinst svc;
static char text[65536];

static s32 load(const char *name, const char *library)
{
    memset(&svc, 0, sizeof svc);
    strcpy(svc.svc_name, name);
    strcpy(svc.svc_lib, library);
    svc.svc_handle = svc.svc_cb = (void *)text; /* must not survive a failure */
    errno = 0;
    return msf_svcinst_init(&svc);
}

int main(void)
{
    char folder[] = "/tmp/msf-test-svc-XXXXXX", log[300], first[] = "libm.so.6";
    FILE *file;
    size_t length;
    CHECK(g_proc != NULL && g_proc->proc_svc_num == 0 && g_proc->proc_svcs == NULL);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(log, sizeof log, "%s/x.log", folder);
    CHECK(msf_log_init(log) == 0);

    CHECK(load("upnp", "libmsf_is_not_there.so") == -1 && errno == ENOENT);
    CHECK(svc.svc_handle == NULL && svc.svc_cb == NULL);
    CHECK(load("upnp", "/is/not/there.so") == -1 && errno == ENOENT);
    CHECK(load("upnp", "/proc/self/stat") == -1 && errno == ELIBBAD);
    CHECK(load("no_such_service", "libmsf.so.1") == -1 && errno == ESRCH);
    CHECK(svc.svc_handle == NULL && svc.svc_cb == NULL);
    CHECK(load("", "libmsf.so.1") == -1 && errno == EINVAL);
    CHECK(load("upnp", "") == -1 && errno == EINVAL);
    memset(&svc, 'x', sizeof svc);
    svc.svc_deplib_num = 0;
    CHECK(msf_svcinst_init(&svc) == -1 && errno == EINVAL); /* names without an end */
    CHECK(msf_svcinst_init(NULL) == -1 && errno == EINVAL);
    CHECK(msf_svcinst_deinit(NULL) == -1 && errno == EINVAL);

    memset(&svc, 0, sizeof svc);
    strcpy(svc.svc_name, "g_proc");
    strcpy(svc.svc_lib, "libmsf.so.1");
    svc.svc_deplib_num = 1;
    svc.svc_deplib[0] = first;
    CHECK(msf_svcinst_deinit(&svc) == -1 && errno == EINVAL);
    CHECK(msf_svcinst_init(&svc) == 0 && svc.state == SVCINST_LOADED);
    /* The program may have a copy of the variable of its own: the values are what can be compared. */
    CHECK(*(struct process **)(void *)svc.svc_cb == g_proc && svc.svc_handle != NULL);
    CHECK(msf_svcinst_init(&svc) == -1 && errno == EALREADY && svc.svc_handle != NULL);
    CHECK(msf_svcinst_deinit(&svc) == 0 && svc.svc_handle == NULL && svc.svc_cb == NULL);
    CHECK(msf_svcinst_deinit(&svc) == -1 && errno == EINVAL);
    CHECK(msf_svcinst_init(&svc) == 0 && msf_svcinst_deinit(&svc) == 0);

    msf_log_free();
    file = fopen(log, "r");
    CHECK(file != NULL);
    length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    /* Every refusal named its service and its library. */
    CHECK(strstr(text, "service upnp from libmsf_is_not_there.so") != NULL);
    CHECK(strstr(text, "service upnp from /proc/self/stat") != NULL);
    CHECK(strstr(text, "service no_such_service from libmsf.so.1: it has no variable no_such_service") != NULL);
    unlink(log);
    CHECK(rmdir(folder) == 0);
    return 0;
}
