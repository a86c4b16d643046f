// The program `bytegate`.
#include "commands.h"

int main(int argc, char** argv) { return bytegate::cli::run(argc, argv); }
