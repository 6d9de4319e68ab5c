#include "xthread.h"
