/* Memory nobody knows any more. caught as: detected memory leaks */
#include <msf.h>
#include <stdlib.h>

static char *volatile block;

int main(void)
{
    block = malloc(100);
    block = NULL;
    return msf_version() == NULL;
}
