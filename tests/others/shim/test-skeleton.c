/* The older form of support/test-driver.c, where TEST_FUNCTION is a call. */
#ifdef TEST_FUNCTION
static int skeleton_test(void) { return TEST_FUNCTION; }
#undef TEST_FUNCTION
#define TEST_FUNCTION skeleton_test
#endif
#include <support/test-driver.c>
