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

#include "must.h"

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
    MUST(g_proc != NULL && g_proc->proc_svc_num == 0 && g_proc->proc_svcs == NULL);
    MUST(mkdtemp(folder) != NULL);
    snprintf(log, sizeof log, "%s/x.log", folder);
    MUST(msf_log_init(log) == 0);

    MUST(load("upnp", "libmsf_is_not_there.so") == -1 && errno == ENOENT);
    MUST(svc.svc_handle == NULL && svc.svc_cb == NULL);
    MUST(load("upnp", "/is/not/there.so") == -1 && errno == ENOENT);
    MUST(load("upnp", "/proc/self/stat") == -1 && errno == ELIBBAD);
    MUST(load("no_such_service", "libmsf.so.1") == -1 && errno == ESRCH);
    MUST(svc.svc_handle == NULL && svc.svc_cb == NULL);
    MUST(load("", "libmsf.so.1") == -1 && errno == EINVAL);
    MUST(load("upnp", "") == -1 && errno == EINVAL);
    memset(&svc, 'x', sizeof svc);
    svc.svc_deplib_num = 0;
    MUST(msf_svcinst_init(&svc) == -1 && errno == EINVAL); /* names without an end */
    MUST(msf_svcinst_init(NULL) == -1 && errno == EINVAL);
    MUST(msf_svcinst_deinit(NULL) == -1 && errno == EINVAL);

    memset(&svc, 0, sizeof svc);
    strcpy(svc.svc_name, "g_proc");
    strcpy(svc.svc_lib, "libmsf.so.1");
    svc.svc_deplib_num = 1;
    svc.svc_deplib[0] = first;
    MUST(msf_svcinst_deinit(&svc) == -1 && errno == EINVAL);
    MUST(msf_svcinst_init(&svc) == 0 && svc.state == SVCINST_LOADED);
    /* The program may have a copy of the variable of its own: the values are what can be compared. */
    MUST(*(struct process **)(void *)svc.svc_cb == g_proc && svc.svc_handle != NULL);
    MUST(msf_svcinst_init(&svc) == -1 && errno == EALREADY && svc.svc_handle != NULL);
    MUST(msf_svcinst_deinit(&svc) == 0 && svc.svc_handle == NULL && svc.svc_cb == NULL);
    MUST(msf_svcinst_deinit(&svc) == -1 && errno == EINVAL);
    MUST(msf_svcinst_init(&svc) == 0 && msf_svcinst_deinit(&svc) == 0);

    msf_log_free();
    file = fopen(log, "r");
    MUST(file != NULL);
    length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    /* Every refusal named its service and its library. */
    MUST(strstr(text, "service upnp from libmsf_is_not_there.so") != NULL);
    MUST(strstr(text, "service upnp from /proc/self/stat") != NULL);
    MUST(strstr(text, "service no_such_service from libmsf.so.1: it has no variable no_such_service") != NULL);
    unlink(log);
    MUST(rmdir(folder) == 0);
    return 0;
}
