/*
 * Loading a service: what each mistake is answered with, and a variable that is found. libmsf.so itself
 * stands for the service's library, and its g_proc for the service.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>
#include <msf_log.h>
#include <msf_process.h>
#include <msf_svc.h>

#include "must.h"

static struct svcinst svc;
static char text[65536];

static struct svcinst *named(const char *name, const char *library)
{
    memset(&svc, 0, sizeof svc);
    strcpy(svc.svc_name, name);
    strcpy(svc.svc_lib, library);
    svc.svc_handle = svc.svc_cb = (void *)text; /* must not survive a failure */
    return &svc;
}

static s32 add(void *data, u32 len)
{
    return *(s32 *)data + (s32)len;
}

/* What a service of 2019 may use of the loader itself. */
static void macros_and_plain_loading(void)
{
    struct svcinst one = { .svc_cb = NULL };
    msf_plugin plugin = { .init = add };
    msf_module *module = &plugin;
    MSF_DLHANDLE handle = MSF_DLOPEN_N("libm.so.6");
    s32 forty = 40;

    MUST(handle != NULL && MSF_DLSYM(handle, "cos") != NULL);
    MUST(msf_load_symbol(handle, "cos") == MSF_DLSYM(handle, "cos"));
    MUST(MSF_DLSYM(handle, "no_such_symbol") == NULL && MSF_DLERROR() != NULL);
    MUST(MSF_DLCLOSE(handle) == 0);
    handle = MSF_DLOPEN_L("libm.so.6");
    MUST(handle != NULL && MSF_DLCLOSE(handle) == 0);

    handle = msf_load_dynamic("libm.so.6");
    MUST(handle != NULL && msf_load_symbol(handle, "sin") != NULL);
    CHECK_NULL(msf_load_symbol(handle, "no_such_symbol"), ESRCH);
    CHECK_NULL(msf_load_symbol(handle, NULL), EINVAL);
    CHECK_NULL(msf_load_symbol(NULL, "sin"), EINVAL);
    MUST(MSF_DLCLOSE(handle) == 0);
    CHECK_NULL(msf_load_dynamic("/is/not/there.so"), ENOENT);
    CHECK_NULL(msf_load_dynamic("/proc/self/stat"), ELIBBAD);
    CHECK_NULL(msf_load_dynamic(NULL), EINVAL);
    CHECK_NULL(msf_load_dynamic(""), EINVAL);

    one.svc_cb = module;
    MUST(MFS_FUNCHK(one.svc_cb->init, &forty, 2) == 42);
    MUST(MFS_FUNCHK(one.svc_cb->start, NULL, 0) == MSF_SVC_NOT_FOUND);
    MUST(msf_svc_stub("by hand", 1, 2, 3) == 401);
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

    CHECK_FAILS(msf_svcinst_init(named("upnp", "libmsf_is_not_there.so")), ENOENT);
    MUST(svc.svc_handle == NULL && svc.svc_cb == NULL);
    CHECK_FAILS(msf_svcinst_init(named("upnp", "/is/not/there.so")), ENOENT);
    CHECK_FAILS(msf_svcinst_init(named("upnp", "/proc/self/stat")), ELIBBAD);
    CHECK_FAILS(msf_svcinst_init(named("no_such_service", "libmsf.so.1")), ESRCH);
    MUST(svc.svc_handle == NULL && svc.svc_cb == NULL);
    CHECK_FAILS(msf_svcinst_init(named("", "libmsf.so.1")), EINVAL);
    CHECK_FAILS(msf_svcinst_init(named("upnp", "")), EINVAL);
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

    macros_and_plain_loading();
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
    MUST(strstr(text, "cannot load /proc/self/stat: ") != NULL && strstr(text, "cannot find no_such_symbol: ") != NULL);
    MUST(strstr(text, "one.svc_cb->start is not there") != NULL);
    unlink(log);
    MUST(rmdir(folder) == 0);
    return check_verdict();
}
