/* A sum no int can hold. caught as: signed integer overflow */
#include <limits.h>

int main(int argc, char **argv)
{
    (void)argv;
    int sum = INT_MAX;
    sum += argc;
    return sum == 0;
}
