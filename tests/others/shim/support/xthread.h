#include "check.h"
#include <pthread.h>
static inline pthread_t xpthread_create(pthread_attr_t *attr, void *(*run)(void *), void *with)
{ pthread_t thread; TEST_VERIFY_EXIT(pthread_create(&thread, attr, run, with) == 0); return thread; }
static inline void *xpthread_join(pthread_t thread) { void *result; TEST_VERIFY_EXIT(pthread_join(thread, &result) == 0); return result; }
#define xpthread_barrier_init(b, a, n) TEST_VERIFY_EXIT(pthread_barrier_init(b, a, n) == 0)
#define xpthread_barrier_wait(b) pthread_barrier_wait(b)
#define xpthread_barrier_destroy(b) pthread_barrier_destroy(b)
#define xpthread_barrierattr_init(a) pthread_barrierattr_init(a)
#define xpthread_barrierattr_setpshared(a, shared) pthread_barrierattr_setpshared(a, shared)
#define xpthread_barrierattr_destroy(a) pthread_barrierattr_destroy(a)
#define xpthread_kill(thread, number) TEST_VERIFY_EXIT(pthread_kill(thread, number) == 0)
#define xpthread_mutex_lock(m) TEST_VERIFY_EXIT(pthread_mutex_lock(m) == 0)
#define xpthread_mutex_unlock(m) TEST_VERIFY_EXIT(pthread_mutex_unlock(m) == 0)
