/* A byte behind a heap block. caught as: heap-buffer-overflow */
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    (void)argv;
    char *block = malloc(8);
    memset(block, 0, 8 + (size_t)argc);
    int sum = block[7];
    free(block);
    return sum;
}
