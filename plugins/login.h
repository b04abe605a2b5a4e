/*
 * Logging in to msf_agent without being deaf meanwhile: client_agent_init may
 * wait for seconds, and who is told to end then should not finish waiting.
 */
#ifndef MSF_LOGIN_H
#define MSF_LOGIN_H

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include <client.h>

#define LOGIN_PATIENCE_MS 5000
#define LOGIN_SLICE_MS 1000

/* As long as client_agent_init would wait by itself. */
static inline u32 login_patience(void)
{
    const char *text = getenv("MSF_AGENT_WAIT_MS");
    char *end = NULL;
    unsigned long ms = text == NULL ? 0 : strtoul(text, &end, 10);

    return end == NULL || end == text || *end != '\0' || ms > UINT32_MAX ? LOGIN_PATIENCE_MS : (u32)ms;
}

/* Whether SIGTERM or SIGINT, which the caller has blocked, has come. It is left for whoever waits for it. */
static inline int login_told_to_end(void)
{
    sigset_t pending;

    sigemptyset(&pending);
    sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

/* client_agent_init; -1 with EINTR also when the caller is told to end. */
static inline s32 login(struct client_param *client)
{
    u32 rest = login_patience();

    for (;;) {
        u32 slice = rest < LOGIN_SLICE_MS ? rest : LOGIN_SLICE_MS;

        client_agent_wait(slice);
        if (client_agent_init(client) == 0)
            return 0;
        rest -= slice;
        /* Waiting does not mend these. */
        if (rest == 0 || errno == EINVAL || errno == EEXIST || errno == EALREADY)
            return -1;
        if (login_told_to_end()) {
            errno = EINTR;
            return -1;
        }
    }
}

#endif
