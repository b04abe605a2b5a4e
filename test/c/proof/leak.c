/* Memory nobody knows any more. caught as: detected memory leaks */
#include <msf.h>
#include <stdlib.h>

static char *volatile block;

/* More than one, and from a frame that is gone: a stale copy on the stack or in a register would hide a single one. */
static __attribute__((noinline)) void lose(int depth)
{
    char room[256];

    block = malloc(100);
    room[0] = (char)depth;
    block[0] = room[0];
    if (depth > 0)
        lose(depth - 1);
    block = NULL;
}

int main(void)
{
    lose(20);
    return msf_version() == NULL;
}
