# cpuinfo: Debian's find_package(cpuinfo) is broken, so it is looked for by file.
find_package(Threads REQUIRED)
find_path(CPUINFO_INCLUDE_DIR cpuinfo.h REQUIRED)
find_library(CPUINFO_LIBRARY cpuinfo REQUIRED)
add_library(bytegate_cpuinfo INTERFACE)
target_include_directories(bytegate_cpuinfo SYSTEM INTERFACE $<BUILD_INTERFACE:${CPUINFO_INCLUDE_DIR}>)
target_link_libraries(bytegate_cpuinfo INTERFACE $<BUILD_INTERFACE:${CPUINFO_LIBRARY}> $<INSTALL_INTERFACE:cpuinfo>)
