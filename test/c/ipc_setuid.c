/*
 * A program with more rights than who started it: the environment does not say who its agent is.
 */
/* no qemu: it emulates no setuid programs */
#include <fcntl.h>

#include "ipc_agent.h"

enum { NOT_SETUID = 3, TURNED_AWAY = 4 };

static char folder[] = "/tmp/msf-ipc-setuid-XXXXXX";

/* Runs `program` as told by `as`, with an agent named by whoever starts it. Whether that one was asked. */
static int is_led_astray(const char *program, const char *as, int expected)
{
    char evil[64];
    int status = -1, listener, peer;
    pid_t child;

    snprintf(evil, sizeof(evil), "%s/evil", folder);
    listener = listening(evil);
    CHECK(listener >= 0 && chmod(evil, 0777) == 0 && fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    child = fork();
    if (child == 0) {
        setenv("MSF_AGENT_SOCK", evil, 1);
        setenv("MSF_RUN_DIR", folder, 1);
        setenv("XDG_RUNTIME_DIR", folder, 1);
        execl(program, program, as, (char *)NULL);
        _exit(127);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_SETUID) {
        printf("setuid programs start without their rights here\n");
        fflush(stdout);
        _exit(77);
    }
    CHECK_EQ(status, expected << 8);
    peer = accept(listener, NULL, NULL);
    CHECK(peer >= 0 || errno == EAGAIN);
    close(peer);
    close(listener);
    return peer >= 0;
}

/* The evil one accepts nobody before we have ended, so whoever asks him gets no answer. */
static int logs_in(const char *as)
{
    if (strcmp(as, "setuid") == 0 && geteuid() == getuid())
        return NOT_SETUID;
    client_agent_wait(100);
    return log_in(ID_A, "A", nothing, nothing) == 0 ? 0 : TURNED_AWAY;
}

int main(int argc, char **argv)
{
    char copy[64], command[512];

    if (argc > 1)
        /* The leak checker may not look at such a program. */
        _exit(logs_in(argv[1]));
    if (geteuid() != 0) {
        printf("only root makes setuid programs\n");
        return 77;
    }
    CHECK(mkdtemp(folder) != NULL && chmod(folder, 0777) == 0);
    snprintf(copy, sizeof(copy), "%s/setuid", folder);
    snprintf(command, sizeof(command), "cp /proc/%d/exe %s && chown 65534 %s && chmod 4755 %s", (int)getpid(), copy,
             copy, copy);
    CHECK_EQ(system(command), 0);
    CHECK(is_led_astray("/proc/self/exe", "plain", TURNED_AWAY));
    CHECK(!is_led_astray(copy, "setuid", TURNED_AWAY));
    snprintf(command, sizeof(command), "rm -r %s", folder);
    CHECK_EQ(system(command), 0);
    return check_verdict();
}
