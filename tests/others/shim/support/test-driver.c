#include "check.h"
int shim_failures, test_verbose;
#ifdef TEST_FUNCTION
static int shim_test(void) { return TEST_FUNCTION(); }
#else
static int shim_test(void) { return do_test(); }
#endif
int main(void) { int status = shim_test(); return status ? status : shim_failures > 0; }
