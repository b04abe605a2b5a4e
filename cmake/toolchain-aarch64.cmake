# C programs for aarch64 Linux (Debian: gcc-aarch64-linux-gnu): cmake -DCMAKE_TOOLCHAIN_FILE=.../toolchain-aarch64.cmake
# The libraries to link come from `./build.py --target aarch64-unknown-linux-gnu`, installed below CMAKE_PREFIX_PATH.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# Programs run on this machine; headers and libraries are the target's. CMAKE_PREFIX_PATH is searched as given.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)

# cmake --build, then ctest, run the target's programs here when qemu-user is installed.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
