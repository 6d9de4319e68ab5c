#include "check.h"
#include <signal.h>
#define xsigaction(number, new, old) TEST_VERIFY_EXIT(sigaction(number, new, old) == 0)
