/*
 * An id belongs to one live process: a second one is refused with EEXIST, at once, until the first has gone.
 */
#include "ipc_peer.h"

int main(void)
{
    struct service service = { ID_B, nothing };
    pid_t pid = peer(serve, &service);
    long long start = check_now();

    CHECK_FAILS(log_in(ID_B, "SECOND", nothing, nothing), EEXIST);
    CHECK(check_now() - start < 3000);
    CHECK_EQ(log_in(ID_A, "OTHER", nothing, nothing), 0);
    CHECK_EQ(client_agent_deinit(), 0);
    end_peer(pid);
    CHECK_EQ(log_in(ID_B, "SECOND", nothing, nothing), 0);
    CHECK_EQ(client_agent_deinit(), 0);
    return check_verdict();
}
