/*
 * A dead socket of another user's is not ours to remove, and a folder somebody is at work in is waited for, not for ever.
 */
#include <msf_network.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "check.h"

int main(void)
{
    int listener, folder, status;
    pid_t child;

    listener = msf_server_unix_socket(1, "dead.sock", 0666);
    CHECK(listener >= 0);
    close(listener);
    folder = open(".", O_RDONLY | O_DIRECTORY);
    CHECK(folder >= 0 && flock(folder, LOCK_EX) == 0);
    CHECK_FAILS(msf_server_unix_socket(1, "dead.sock", 0666), EBUSY);
    close(folder);
    if (geteuid() != 0) {
        listener = msf_server_unix_socket(1, "dead.sock", 0666);
        CHECK(listener >= 0);
        close(listener);
        puts("only root can become the other user");
        return check_verdict() ? check_verdict() : 77;
    }
    CHECK_EQ(chmod(".", 0777), 0);
    child = fork();
    if (child == 0) {
        CHECK_EQ(setgid(65534), 0);
        CHECK_EQ(setuid(65534), 0);
        CHECK_FAILS(msf_server_unix_socket(1, "dead.sock", 0666), EPERM);
        _exit(check_verdict());
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    listener = msf_server_unix_socket(1, "dead.sock", 0666);
    CHECK(listener >= 0);
    close(listener);
    return check_verdict();
}
