#include "check.h"
#include <signal.h>
#define xsignal(number, handler) TEST_VERIFY_EXIT(signal(number, handler) != SIG_ERR)
#define xsigaction(number, new, old) TEST_VERIFY_EXIT(sigaction(number, new, old) == 0)
