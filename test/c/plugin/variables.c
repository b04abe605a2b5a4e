/* What a plugin sees in place of the program's variables. */
#include <client.h>
#include <msf_process.h>

struct seen {
    struct process **process_variable;
    struct client **client_variable;
};

static s32 variables_get(void *data, u32 len)
{
    struct seen seen = { &g_proc, &rpc };

    if (len != sizeof(seen))
        return -1;
    memcpy(data, &seen, sizeof(seen));
    return 0;
}

MSF_EXPORT struct msf_svc variables = { .get_param = variables_get };
