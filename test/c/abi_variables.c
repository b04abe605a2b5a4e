/* flags: -pie -fPIE */
/* flags: -no-pie -fno-pie */
/*
 * There is one g_proc and one rpc in a process, also in programs the linker gives a copy of them: program, plugin and
 * loader agree where they are.
 */
#include <check.h>
#include <client.h>
#include <msf_process.h>

struct seen {
    struct process **process_variable;
    struct client **client_variable;
};

static void a_plugin_sees_the_variables_of_the_program(void)
{
    static struct svcinst plugin = { .svc_name = "variables" };
    struct seen seen = { NULL, NULL };

    snprintf(plugin.svc_lib, sizeof(plugin.svc_lib), "%s/libvariables.so", getenv("MSF_TEST_PLUGINS"));
    CHECK_EQ(msf_svcinst_init(&plugin), 0);
    CHECK_EQ(plugin.svc_cb->get_param(&seen, sizeof(seen)), 0);
    CHECK(seen.process_variable == &g_proc);
    CHECK(seen.client_variable == &rpc);
    CHECK_EQ(msf_svcinst_deinit(&plugin), 0);
}

int main(void)
{
    struct process mine;
    void *everything = dlopen(NULL, RTLD_NOW);

    CHECK(everything != NULL);
    CHECK(dlsym(everything, "g_proc") == (void *)&g_proc);
    CHECK(dlsym(everything, "rpc") == (void *)&rpc);

    /* What they point at before anybody has called anything. */
    CHECK(g_proc != NULL && rpc != NULL);
    CHECK_EQ(g_proc->proc_svc_num, 0);
    CHECK(g_proc->proc_svcs == NULL);
    CHECK_EQ(rpc->state, CLIENT_UNINIT);
    CHECK_EQ(rpc->cli_conn.name[0], 0);

    a_plugin_sees_the_variables_of_the_program();
    memset(&mine, 0, sizeof(mine));
    g_proc = &mine;
    CHECK(*(struct process **)dlsym(everything, "g_proc") == &mine);

    CHECK_FAILS(client_agent_deinit(), ENOTCONN);
    CHECK(strcmp(msf_version(), MSF_VERSION_STRING) == 0);
    return check_verdict();
}
