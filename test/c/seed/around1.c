/* Around snippet 1: g_proc describes two plugin libraries, service_init loads and initialises both. */
#include <check.h>
#include <msf_process.h>
#include <msf_svc.h>

s32 service_init(void);

static struct svcinst services[2];

static void describe(u32 at, const char *name)
{
    int length;

    memset(&services[at], 0, sizeof(services[at]));
    snprintf(services[at].svc_name, sizeof(services[at].svc_name), "%s", name);
    length = snprintf(services[at].svc_lib, sizeof(services[at].svc_lib), "%s/lib%s.so", getenv("MSF_TEST_PLUGINS"), name);
    CHECK(length > 0 && (size_t)length < sizeof(services[at].svc_lib));
}

static s32 inits_of_one(void)
{
    s32 inits = -1;

    CHECK_EQ(services[0].svc_cb->get_param(&inits, sizeof(inits)), 0);
    return inits;
}

static void both_services_are_loaded_and_initialised(void)
{
    describe(0, "seed_one");
    describe(1, "seed_two");
    CHECK_EQ(service_init(), 0);
    CHECK(services[0].svc_cb != NULL && services[1].svc_cb != NULL);
    CHECK(services[0].svc_cb == dlsym(services[0].svc_handle, "seed_one"));
    CHECK(services[1].svc_cb == dlsym(services[1].svc_handle, "seed_two"));
    CHECK(services[0].svc_cb->start == NULL);
    CHECK_EQ(inits_of_one(), 1);
    CHECK_EQ(services[0].state, SVCINST_LOADED);
}

static void unloading_forgets_everything(void)
{
    CHECK_EQ(msf_svcinst_deinit(&services[0]), 0);
    CHECK_EQ(msf_svcinst_deinit(&services[1]), 0);
    CHECK(services[0].svc_cb == NULL && services[0].svc_handle == NULL);
    CHECK_EQ(services[0].state, SVCINST_EMPTY);
    CHECK_FAILS(msf_svcinst_deinit(&services[0]), EINVAL);
}

static void a_failing_init_fails_the_whole(void)
{
    s32 failing = -1;

    describe(0, "seed_one");
    describe(1, "seed_two");
    CHECK_EQ(msf_svcinst_init(&services[1]), 0);
    CHECK_EQ(services[1].svc_cb->set_param(&failing, sizeof(failing)), 0);
    /* A library is loaded once per process, so the copy service_init sees is told already. */
    g_proc->proc_svcs = services;
    describe(0, "seed_one");
    struct svcinst held = services[1];
    describe(1, "seed_two");
    CHECK_EQ(service_init(), -1);
    CHECK_EQ(inits_of_one(), 1);
    CHECK_EQ(msf_svcinst_deinit(&held), 0);
    unloading_forgets_everything();
}

static void a_missing_library_fails_the_whole(void)
{
    describe(0, "seed_one");
    describe(1, "seed_none");
    CHECK_EQ(service_init(), -1);
    CHECK(services[1].svc_handle == NULL && services[1].svc_cb == NULL);
    CHECK_EQ(msf_svcinst_deinit(&services[0]), 0);
}

int main(void)
{
    CHECK(g_proc != NULL);
    CHECK_EQ(g_proc->proc_svc_num, 0);
    CHECK_EQ(service_init(), 0);
    g_proc->proc_svc_num = 2;
    g_proc->proc_svcs = services;
    both_services_are_loaded_and_initialised();
    unloading_forgets_everything();
    a_failing_init_fails_the_whole();
    a_missing_library_fails_the_whole();
    return check_verdict();
}
