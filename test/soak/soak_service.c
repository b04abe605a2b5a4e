/* A service for the soak test: answers every request with its bytes transformed, through libipc.
 *
 * usage: soak_service ID(decimal)
 * The answer to a SET is its payload, to a GET that many zero bytes, see soak_transform.h. Ends on SIGTERM. */
#include "soak_transform.h"

int main(int argc, char **argv) {
    static s8 name[MAX_CONN_NAME];
    struct client_param param;
    sigset_t stop;
    int sig;

    if (argc != 2) {
        fprintf(stderr, "usage: soak_service ID\n");
        return 2;
    }
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);

    snprintf(name, sizeof(name), "SOAK%s", argv[1]);
    memset(&param, 0, sizeof(param));
    param.cid = (u32)strtoul(argv[1], NULL, 10);
    param.name = name;
    param.host = LOCAL_HOST_V4;
    param.port = LOCAL_PORT;
    param.req_scb = soak_transform;
    param.ack_scb = soak_ignore_ack;
    if (client_agent_init(&param) < 0) {
        fprintf(stderr, "soak_service %s: client_agent_init: %s\n", argv[1], strerror(errno));
        return 1;
    }
    sigwait(&stop, &sig);
    client_agent_deinit();
    return 0;
}
