/* What glibc's tests of malloc use of its test support, for programs that are built alone. */
#ifndef SHIM_CHECK_H
#define SHIM_CHECK_H
#include <stdio.h>
#include <stdlib.h>

extern int shim_failures;
#define FAIL(...) (shim_failures++, printf("error: "), printf(__VA_ARGS__), puts(""))
#define FAIL_RET(...) do { FAIL(__VA_ARGS__); return 1; } while (0)
#define FAIL_EXIT1(...) do { FAIL(__VA_ARGS__); exit(1); } while (0)
#define FAIL_EXIT(status, ...) do { FAIL(__VA_ARGS__); exit(status); } while (0)
#define FAIL_UNSUPPORTED(...) do { printf(__VA_ARGS__); exit(77); } while (0)
#define TEST_VERIFY(what) ((what) ? (void)0 : (void)FAIL("%s:%d: %s", __FILE__, __LINE__, #what))
#define TEST_VERIFY_EXIT(what) do { if (!(what)) FAIL_EXIT1("%s:%d: %s", __FILE__, __LINE__, #what); } while (0)
#define TEST_COMPARE(left, right) TEST_VERIFY((left) == (right))
#endif
