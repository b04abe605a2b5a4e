/*
 * The command line of programs that take no arguments.
 */
#ifndef MSF_USAGE_H
#define MSF_USAGE_H

#include <stdio.h>
#include <string.h>

#define USAGE_GO_ON (-1)

/* The exit status: 0 when only the usage was asked for, 2 for arguments nobody knows; USAGE_GO_ON when there are none. */
static inline int usage(int argc, char **argv, const char *text)
{
    if (argc < 2)
        return USAGE_GO_ON;
    if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        fputs(text, stdout);
        return 0;
    }
    fprintf(stderr, "%s: unexpected argument \"%s\"\n%s", argv[0], argv[argc - 1], text);
    return 2;
}

#endif
