include(CMakePackageConfigHelpers)
install(TARGETS bytegate bytegate_cpuinfo EXPORT bytegate_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/bytegate DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT bytegate_targets NAMESPACE bytegate:: FILE bytegate-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bytegate)
configure_package_config_file(cmake/bytegate-config.cmake.in ${PROJECT_BINARY_DIR}/bytegate-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bytegate)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/bytegate-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/bytegate-config.cmake ${PROJECT_BINARY_DIR}/bytegate-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bytegate)
# Relative to the .pc file, so that `cmake --install --prefix` and a tree that is moved keep working.
file(RELATIVE_PATH BYTEGATE_PREFIX_FROM_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" BYTEGATE_PREFIX_FROM_PC "${BYTEGATE_PREFIX_FROM_PC}")
configure_file(cmake/bytegate.pc.in ${PROJECT_BINARY_DIR}/bytegate.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/bytegate.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
