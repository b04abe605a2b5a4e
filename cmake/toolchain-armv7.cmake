# C programs for armv7 Linux (Debian: gcc-arm-linux-gnueabihf): cmake -DCMAKE_TOOLCHAIN_FILE=.../toolchain-armv7.cmake
# The libraries to link come from `./build.py --target armv7-unknown-linux-gnueabihf`, installed below CMAKE_PREFIX_PATH.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR arm)

set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
set(CMAKE_CXX_COMPILER arm-linux-gnueabihf-g++)

# Programs run on this machine; headers and libraries are the target's. CMAKE_PREFIX_PATH is searched as given.
set(CMAKE_FIND_ROOT_PATH /usr/arm-linux-gnueabihf)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)

# cmake --build, then ctest, run the target's programs here when qemu-user is installed.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-arm -L /usr/arm-linux-gnueabihf)
