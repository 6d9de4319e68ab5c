#define EXIT_UNSUPPORTED 77
extern int test_verbose;
