/*
 * The name of a program in a folder too deep for the 256 bytes of msf_get_process_name.
 */
/* no qemu: /proc/self/exe is the path the emulator was started with, wherever the file is now */
#include <stdlib.h>

#include <msf_process.h>

#include "check.h"

int main(void)
{
    char self[256], path[1024], part[101];
    int at;

    memset(part, 'x', sizeof(part) - 1);
    part[100] = '\0';
    CHECK_EQ(msf_get_process_name(self), 0);
    CHECK(getcwd(path, sizeof(path)) != NULL);
    for (at = 0; at < 3; at++) {
        snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", part);
        CHECK_EQ(mkdir(path, 0700), 0);
    }
    snprintf(path + strlen(path), sizeof(path) - strlen(path), "/program");
    CHECK_EQ(rename(self, path), 0);
    memset(self, 0x5a, sizeof(self));
    CHECK_FAILS(msf_get_process_name(self), ERANGE);
    CHECK(self[0] == 0x5a);
    CHECK_EQ(unlink(path), 0);
    CHECK_FAILS(msf_get_process_name(self), ERANGE);
    return check_verdict();
}
